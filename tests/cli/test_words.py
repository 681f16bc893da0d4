"""No word of the command line is lost, or taken for what it is not: one line says what was meant."""

import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from commands import command
from quantattack.cli.commands import app
from quantattack.cli.gate import share_of

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def refused(capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command that is refused in an empty folder, and return its one line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert command(*arguments) == 2
        line = str(capsys.readouterr().err)
        assert line.startswith("error: ")
        assert line.count("\n") == 1
        return line

    return run


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--save-images all", "--save-images takes files or png, not 'all'"),
        ("--save-images digits-float", "--save-images takes files or png, not 'digits-float'"),
        ("--attacks pgd, gap", "write a list as one, pgd,gap, or in quotes"),
        ("--attacks pgd[steps=2, restarts=2]", "write a list as one, pgd[steps=2,restarts=2], or in quotes"),
        ("--attacks pgd gap", "gap is an attack, not a model; write the attacks as one word, --attacks pgd,gap"),
        ("--attacks pgd fgsm[step_size=1/9]", "--attacks pgd,fgsm[step_size=1/9]"),
        ("--radius 0.1 0.2", "0.2 is a number, not a model"),
        ("--radius 1/255 2/255", "2/255 is a number, not a model"),
    ],
)
def test_a_word_that_is_no_model_is_not_taken_for_one(words: str, says: str, refused: Any):
    assert says in refused("evaluate", "digits-float", "--images", "4", *words.split(" "))


@pytest.mark.parametrize(
    "words", ["--radius 0.2", "--attacks pgd", "--data mnist", "--images 3", "--seed 0", "--one-logit", "--save-images"]
)
def test_what_a_run_file_says_is_not_said_beside_it(words: str, refused: Any):
    Path("run.yaml").write_text("{models: digits-float, attacks: fgsm, images: 4}")
    line = refused("evaluate", "--config", "run.yaml", *words.split())
    assert f"{words.split()[0]} goes into the run file that --config names" in line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("show run --min-robust abc", "--min-robust is a share from 0 to 1, such as 0.3 or 30%, not 'abc'"),
        ("show run --min-robust 95", "not 95; did you mean 95%?"),
        ("show run --min-robust 195%", "--min-robust is a share from 0 to 1, such as 0.3 or 30%, not 1.95"),
        ("evaluate --min-robust=0.9.5", "such as 0.3 or 30%, not '0.9.5'"),
        ("evaluate --images 10%", "--images must be a whole number, not '10%'"),
        ("evaluate --images 1 --images=1e3", "--images must be a whole number, not '1e3'"),
        ("evaluate --gpus-per-worker half", "--gpus-per-worker must be a number, not 'half'"),
        ("evaluate --batch-size 8.5", "--batch-size must be a whole number, not '8.5'"),
        ("diagnose digits-float --budget lots", "--budget must be a number, not 'lots'"),
        ("signal digits-float --clever 2.5", "--clever must be a whole number, not '2.5'"),
        ("reproduce --budget x", "--budget must be a whole number, not 'x'"),
        ("certify digits-float --seconds-per-image x", "--seconds-per-image must be a positive number"),
        ("export-onnx digits-float net.onnx --images x", "--images must be a whole number, not 'x'"),
    ],
)
def test_a_number_that_cannot_be_read_is_said_in_plain_words(words: str, says: str, refused: Any):
    assert says in refused(*words.split())


def test_every_option_that_is_a_number_is_refused_in_plain_words(refused: Any):
    tried = 0
    for each in app.registered_commands:
        for name, hint in get_type_hints(each.callback).items():
            if {int, float} & set(get_args(hint) or (hint,)) and name not in ("return",):
                line = refused(str(each.name), f"--{name.replace('_', '-')}=1x1")
                assert re.search(r"error: --[a-z-]+ must be (a|a whole) number, not '1x1'", line), line
                tried += 1
    assert tried > 10


@pytest.mark.parametrize(("text", "share"), [("95%", 0.95), ("95 %", 0.95), ("0.95", 0.95), (".3", 0.3), ("1", 1.0)])
def test_a_share_is_written_either_way(text: str, share: float):
    assert share_of(text) == pytest.approx(share)
