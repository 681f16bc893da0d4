"""A user's first own model on the command line: Python code, weights, and what pixels mean to them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

import quantattack as qa
from quantattack.cli import main
from quantattack.record.store import Store

MODULE = """
import torch
from quantattack import load_model

class Normalized(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = load_model("digits-float")
    def forward(self, images):  # takes (pixels in [0, 255] - 127.5) / 51
        return self.inner((51 * images + 127.5) / 255)

def plain():
    return load_model("digits-float")

def undecided():
    return torch.nn.Sequential(torch.nn.Dropout(0.9), load_model("digits-float"))

def color():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 10))
"""
PIXELS = ["--range", "0,255", "--mean", "127.5", "--std", "51"]
DATA = ["--data", "mine.npz"]
HOW = [*DATA, "--radius", "0.1", "--attacks", "fgsm", "--images", "24", "--quiet", "--out", "run"]
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(autouse=True)
def place(own_code: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    images, labels = qa.load_data("digits")
    np.savez("mine.npz", images=images[:40].numpy().transpose(0, 2, 3, 1), labels=labels[:40].numpy())
    (own_code / "own_models.py").write_text(MODULE)
    save_file(
        {name: tensor.contiguous() for name, tensor in qa.load_model("digits-float").state_dict().items()},
        "weights.safetensors",
    )
    return own_code


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(arguments)
        said = capsys.readouterr()
        assert (end.value.code or 0) == code, said.err
        return said.out, said.err

    return run


def outcomes(model: str, say: Any, *more: str) -> list[Any]:
    say("evaluate", model, *HOW, *more)
    record = qa.Record.load("run")
    assert record.subject.model == model
    columns = [record.column("fgsm", name).tolist() for name in ("clean_prediction", "prediction")]
    assert "0 disagree" in say("verify", "run")[0]
    return columns


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("own_models.py:plain", []),
        ("own_models:Normalized", PIXELS),
        ("weights.safetensors", ["--architecture", "small"]),
    ],
)
def test_each_is_the_same_network_and_is_verified_without_a_word(place: Path, say: Any, model: str, more: list[str]):
    expected = outcomes("digits-float", say)
    (place / "run").rename(place / "zoo")
    assert outcomes(model, say, *more) == expected


def test_the_record_notes_how_it_was_opened(say: Any):
    say("evaluate", "own_models:Normalized", *HOW, *PIXELS)
    pixels = {"layout": "nchw", "low": 0.0, "high": 255.0, "mean": [127.5], "std": [51.0]}
    assert Store.load(Path("run")).notes["opened"] == {
        "own_models:Normalized": {"pixels": pixels, "architecture": None},
    }
    say("verify", "run", *PIXELS)
    out, _ = say("verify", "run", "--range", "0,1", code=4)
    assert " 0 disagree" not in out


def test_wrong_pixels_raise_the_flag_of_chance(say: Any):
    out, _ = say("evaluate", "own_models:Normalized", *HOW, "--mean", "-9", "--std", "0.01")
    assert "chance" in out
    assert "check the range of the pixels, the model's normalization" in " ".join(out.split())
    assert "chance" not in say("evaluate", "own_models:Normalized", *HOW[:-1], "right", *PIXELS)[0]


def test_the_other_commands_take_it_too(say: Any):
    own = ["own_models:Normalized", *DATA, *PIXELS]
    assert "of 12 images: " in say("diagnose", *own, "--radius", "0.01", "--images", "12", "--budget", "100")[0]
    out, _ = say("inspect", *own)
    assert "100.0%" not in out
    assert "model.inner." in out
    say("signal", *own, "--images", "4", "--out", "signal", "--quiet")
    weights = ["weights.safetensors", *DATA, "--architecture", "small"]
    assert "features.0" in say("inspect", *weights)[0]


def test_a_run_file_says_the_same(say: Any):
    settings = {"models": "weights.safetensors", "architecture": "small", "data": "mine.npz", "attacks": "fgsm"}
    Path("run.yaml").write_text(json.dumps(settings | {"threats": {"radius": 0.1}, "images": 24}))
    say("evaluate", "--config", "run.yaml", "--out", "run", "--quiet")
    assert qa.Record.load("run").clean > 0.9


def test_train_mode_is_left_with_one_note(say: Any):
    _, err = say("evaluate", "own_models.py:undecided", *HOW)
    assert err == "note: own_models.py:undecided was in train mode; it is put in eval mode\n"
    assert "random" not in say("show", "run")[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["own_models.py:plain"], "does not say what it was trained on; name the images' data set with --data"),
        (["plain", *DATA], "unknown model 'plain'; did you mean 'own_models.py:plain'?"),
        (["plain"], "unknown model 'plain'; did you mean 'own_models.py:plain'?"),
        (["own_models.py:color", *DATA], "it takes 3 (color) channels, these have 1 (gray)"),
        (["own_models.py:plain", *DATA, "--architecture", "small"], "--architecture is for .safetensors files"),
        (["own_models.py:plain", *DATA, "--runtime", "litert"], "--runtime is for deployed files"),
        (["digits-float", *DATA, "--mean", "0.5", "--std", "0.5"], "digits-float takes pixels in [0, 1] as it is"),
        (["own_models.py:plain", *DATA, "--mean", "0.5"], "mean and std must have one number per channel each"),
        (["own_models.py:plain", *DATA, "--layout", "nhcw"], "the layout must be nchw, nhwc or flat"),
        (["own_models.py:plain", "--data", "mnist"], "run `quantattack data fetch mnist --data-root FOLDER`"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "inspect"])
def test_what_cannot_be_is_one_line(
    command: str, arguments: list[str], says: str, say: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("QUANTATTACK_DATA", raising=False)
    if command == "inspect" and "mnist" in arguments:
        pytest.skip("inspect shows noise where the images are missing")
    radius = ["--radius", "0.1"] if command == "evaluate" else []
    _, err = say(command, *arguments, *radius, code=2)
    assert says in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
