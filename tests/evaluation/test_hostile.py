"""What strangers' code says, returns and raises at its worst: one line that can be printed, and nothing else."""

import asyncio
from collections.abc import Callable
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bad_models import Answer
from quantattack import Ensemble, InputError, Linf, Restarts, Threat, evaluate, fgsm, load_data, load_model
from quantattack.cli import main

THREAT = Threat(Linf(), 0.1)


@pytest.fixture(autouse=True)
def as_users_run_it(monkeypatch: pytest.MonkeyPatch):
    """The shape checks of the tests would speak before the package does."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def data(count: int = 16) -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:count].clone(), labels[:count].clone()


def refused(model: Any, attacks: Any, images: Any = None, labels: Any = None) -> str:
    with pytest.raises(InputError) as said:
        evaluate(model, *(data() if images is None else (images, labels)), attacks, THREAT)
    text = str(said.value)
    assert text.isprintable()
    text.encode()
    return text


class Mute(Exception):
    """An exception that cannot say anything."""

    def __str__(self) -> str:
        raise ValueError("no words")


NAMED = type("a\nb\x1b[31m", (Exception,), {})
SAID: dict[str, tuple[BaseException, str]] = {
    "escapes": (Exception("a\nb\x1b[31m\ud800"), r"Exception: a b\x1b[31m\ud800"),
    "bidirectional": (ValueError("safe\u202eevil"), r"ValueError: safe\u202eevil"),
    "nul and bell": (RuntimeError("a\0\a"), r"RuntimeError: a\x00\x07"),
    "line separator": (ValueError("a\u2028b\x85c"), "ValueError: a b c"),
    "plain": (ValueError("größer"), "ValueError: größer"),
    "mute": (Mute("x"), "raised Mute (images"),
    "type name": (NAMED("x"), r"raised a b\x1b[31m: x"),
    "generator exit": (GeneratorExit("out"), "GeneratorExit: out"),
    "cancelled": (asyncio.CancelledError(), "CancelledError"),
    "group": (BaseExceptionGroup("several", [SystemExit(1)]), "BaseExceptionGroup: several"),
}


def raising(error: BaseException) -> Callable[..., Any]:
    def attack(model: Any, images: Tensor, labels: Tensor) -> Any:
        raise error

    return attack


def raising_by_its_model(error: BaseException) -> Any:
    def answer(logits: Tensor) -> Any:
        raise error

    return Answer(answer).eval()


@pytest.mark.parametrize(("error", "words"), SAID.values(), ids=SAID)
@pytest.mark.parametrize("around", [lambda x: x, lambda x: Restarts(x, 2), lambda x: Ensemble({"one": x})])
def test_what_an_attack_raises_can_be_printed(error: BaseException, words: str, around: Callable[[Any], Any]):
    assert words in refused(load_model("digits-float"), {"mine": around(raising(error))})


@pytest.mark.parametrize(("error", "words"), SAID.values(), ids=SAID)
def test_what_a_model_raises_can_be_printed(error: BaseException, words: str):
    assert words.removeprefix("raised ").removesuffix(" (images") in refused(raising_by_its_model(error), fgsm)


RAISED = ["GeneratorExit('out')", "KeyError('a\\x1b[31m')", "asyncio.CancelledError()"]


@pytest.mark.parametrize("place", ["import", "attack"])
@pytest.mark.parametrize("error", RAISED)
def test_the_command_line_refuses_in_one_line(error: str, place: str, tmp_path: Any, capsys: Any):
    (tmp_path / "mine.py").write_text(
        f"import asyncio\nerror = {error}\n"
        + ("raise error\n" if place == "import" else "def attack(model, images, labels):\n    raise error\n")
    )
    command = ["evaluate", "digits-float", "--data", "digits", "--images", "16", "--radius", "0.1", "--quiet"]
    with pytest.raises(SystemExit) as end:
        main([*command, "--attacks", f"{tmp_path / 'mine.py'}:attack", "--out", str(tmp_path / "run")])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.rstrip("\n").isprintable()


class Endless(Dataset[Any]):
    """A data set that says how long it is."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, position: int) -> Any:
        return data()[0][position % 16], 3


@pytest.mark.parametrize("count", [10**12, 2**62])
def test_a_length_beyond_memory_is_refused(count: int):
    assert f"{count} images" in refused(load_model("digits-float"), fgsm, Endless(count))


class Ragged(Endless):
    """Images of two shapes."""

    def __getitem__(self, position: int) -> Any:
        return torch.rand(1, 8, 8 + position % 2), 3


def test_ragged_images_are_refused_in_one_line():
    assert "of one shape" in refused(load_model("digits-float"), fgsm, Ragged(16))
