"""`verify` of a run that was interrupted: it says how much is there, and nothing is never confirmed."""

from pathlib import Path
from typing import Any

import pytest

from commands import command
from quantattack import InputError, Linf, Threat, evaluate, fgsm, load_data, load_model
from records import by_hand

THREAT = Threat(Linf(), 0.1)


@pytest.mark.parametrize(
    ("left", "status", "words"),
    [(24, 0, ""), (23, 0, "unfinished: 23 of 24 outcomes"), (8, 0, "unfinished: 8 of 24 outcomes"), (0, 2, "0 of 24")],
)
def test_how_much_is_there_is_said(left: int, status: int, words: str, tmp_path: Path, capsys: Any):
    images, labels = load_data("digits")
    about: Any = {"name": "digits-float", "data": "digits", "out": tmp_path / "run"}
    evaluate(
        load_model("digits-float"), images[:24], labels[:24], {"fgsm": fgsm(THREAT)}, THREAT, **about
    ).store.close()
    if left < 24:
        by_hand(tmp_path / "run", f"DELETE FROM outcome WHERE image >= {left}")
        by_hand(tmp_path / "run", "DELETE FROM run WHERE key = 'finished'")
    capsys.readouterr()
    assert command("verify", str(tmp_path / "run")) == status
    said = capsys.readouterr()
    assert words in " ".join(said.out.split())
    assert ("unfinished" in said.out) == (left < 24)
    assert ("no outcome to verify" in said.err) == (left == 0)


@pytest.mark.parametrize("part", [(1, 0), (0, 0), (0, 3), (4, 3), (1, 25), (-1, 2)])
def test_a_part_that_there_is_not_is_answered_with_those_that_there_are(part: tuple[int, int]):
    images, labels = load_data("digits")
    with pytest.raises(InputError, match="there are 1 to 24 parts, such as 1/") as said:
        evaluate(load_model("digits-float"), images[:24], labels[:24], fgsm, THREAT, part=part)
    assert "1/0 to" not in str(said.value)
    assert "0/0 to" not in str(said.value)
