"""Networks of one logit are attacked as two classes, on the command line, in run files and in Python."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from commands import command
from quantattack import InputError, Linf, OneLogit, Threat, evaluate, load_data, load_model, pgd
from quantattack.record.store import Store

THREAT = Threat(Linf(), 0.5)
SOURCE = """
import torch
from quantattack import load_model

class Gap(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = load_model("digits-float")

    def forward(self, images):
        logits = self.inner(images)
        return (logits[:, 1:2] - logits[:, :1]) / 2

def model():
    return Gap().eval()
"""


class Gap(nn.Module):
    """One logit: half of how far class 1 is above class 0."""

    def __init__(self, flat: bool = False) -> None:
        super().__init__()
        self.inner, self.flat = load_model("digits-float"), flat

    def forward(self, images: Tensor) -> Tensor:
        logits = self.inner(images)
        gap = (logits[:, 1] - logits[:, 0]) / 2
        return gap if self.flat else gap[:, None]


def zeros_and_ones() -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    some = torch.nonzero(labels < 2)[:40, 0]
    return images[some], labels[some]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    images, labels = zeros_and_ones()
    np.savez(tmp_path / "two.npz", images=(images * 255).round().byte().numpy(), labels=labels.numpy())
    (tmp_path / "sigmoid_network.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "sigmoid_network", raising=False)
    return tmp_path


ABOUT = ("sigmoid_network:model", "--data", "two.npz")
HOW = ("--radius", "0.5", "--images", "40")


@pytest.mark.parametrize("flat", [False, True], ids=["column", "flat"])
def test_two_classes_are_made_of_one_logit(flat: bool):
    images, labels = zeros_and_ones()
    logits = OneLogit(Gap(flat).eval())(images)
    assert torch.equal(logits[:, 0], -logits[:, 1])
    two = load_model("digits-float")(images)[:, :2]
    assert torch.equal(logits.argmax(1), two.argmax(1))
    record = evaluate(OneLogit(Gap(flat).eval()), images, labels, {"pgd": pgd(THREAT, steps=5)}, THREAT)
    assert record.clean > 0.9
    assert record.worst_case < record.clean


@pytest.mark.parametrize("shape", [(2,), (1, 1)])
def test_what_is_not_one_logit_is_refused(shape: tuple[int, ...]):
    images, _ = zeros_and_ones()
    model = OneLogit(lambda x: x.new_zeros(len(x), *shape))
    with pytest.raises(InputError, match="one logit means outputs of shape"):
        model(images)


def test_the_hint_names_it(place: Path, capsys: pytest.CaptureFixture[str]):
    assert command("evaluate", *ABOUT, *HOW, "--out", str(place / "run")) == 2
    assert "--one-logit" in capsys.readouterr().err


def test_evaluate_notes_it_and_verify_needs_no_word(place: Path, capsys: pytest.CaptureFixture[str]):
    how = (*HOW, "--attacks", "pgd[steps=5]", "--save-images", "--out", "run", "--quiet")
    assert command("evaluate", *ABOUT, "--one-logit", *how) == 0
    store = Store.load(place / "run")
    assert store.notes["one_logit"] == [ABOUT[0]]
    assert store.records()[0].worst_case < store.records()[0].clean
    store.close()
    assert command("verify", "run") == 0
    assert "0 disagree" in capsys.readouterr().out


def test_a_run_file_says_it(place: Path):
    text = (
        "models: [sigmoid_network:model]\ndata: [two.npz]\nthreats: [{radius: 0.5}]\nattacks: [fgsm]\none_logit: true\n"
    )
    (place / "run.yaml").write_text(text)
    assert command("evaluate", "--config", "run.yaml", "--out", "run", "--quiet") == 0
    store = Store.load(place / "run")
    assert store.notes["one_logit"] == [ABOUT[0]]
    store.close()


def test_diagnose_and_inspect_take_it(place: Path, capsys: pytest.CaptureFixture[str]):
    assert command("inspect", *ABOUT, "--one-logit") == 0
    assert "quantized: 0.0% of" in capsys.readouterr().out
    assert command("diagnose", *ABOUT, *HOW, "--budget", "100", "--one-logit") in (0, 3)
    assert "right" in capsys.readouterr().out
    assert command("inspect", *ABOUT) == 2


def test_a_deployed_file_is_refused_in_one_line(place: Path, capsys: pytest.CaptureFixture[str]):
    (place / "some.onnx").write_bytes(b"")
    assert command("evaluate", "some.onnx", "--data", "two.npz", "--one-logit", *HOW) == 2
    assert capsys.readouterr().err.count("\n") == 1
