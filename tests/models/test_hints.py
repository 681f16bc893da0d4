"""A name that no model has is answered with what would have worked."""

from pathlib import Path

import pytest
import torch

import quantattack as qa
from commands import command
from quantattack.models.hints import made_in, models_in

SOURCE = """
import os
from torch import nn, device

here: str = "x"
EPOCHS = 3
cpu = device("cpu")
short = lambda x: x

def lenet():
    return Net()

def train(net, epochs=3):
    return net

def main():
    train(lenet())

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()

class Settings:
    pass

class Net(nn.Module):
    def __init__(self, width=3, *, depth=2):
        super().__init__()

net: nn.Module = Net()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mymod.py").write_text(SOURCE)
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "other.py").write_text("def deep():\n    raise SystemExit('this is never run')\n")
    (tmp_path / "bad.py").write_text("def (")
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.pt")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lenet", "did you mean 'mymod.py:lenet'?"),
        ("net", "did you mean 'mymod.py:net'?"),
        ("deep", "did you mean 'nets/other.py:deep'?"),
        ("mymod", "name what makes the model in mymod.py: mymod.py:lenet or mymod.py:Net or mymod.py:net"),
        ("mymod.py", "name what makes the model in mymod.py: mymod.py:lenet or mymod.py:Net or mymod.py:net"),
        ("bad.py", "write a function without arguments that returns the network, and name it: bad.py:function"),
        ("microsoft/resnet-18", "nothing is downloaded"),
        ("nets", "nets is a folder without config.json"),
        ("missing.pt", "there is no file missing.pt"),
        ("model.h5", "a Keras file is not read; export the network to .onnx or .tflite"),
        ("digits-flaot", "did you mean 'digits-float'?"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(name: str, says: str):
    with pytest.raises(qa.InputError) as refusal:
        qa.load_model(name)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_pickle_says_how_it_is_converted(folder: Path):
    with pytest.raises(qa.InputError, match=r"torch.load\('model.pt', 'cpu', weights_only=True\)") as refusal:
        qa.load_model("model.pt")
    assert "--architecture" in str(refusal.value)


def test_names_are_read_from_the_source_without_running_it(folder: Path):
    assert models_in(folder / "mymod.py") == ["lenet", "Net", "net"]
    assert {"here", "EPOCHS", "short", "main", "Block"} < set(made_in(folder / "mymod.py"))
    assert made_in(folder / "bad.py") == made_in(folder / "none.py") == []


def test_the_command_line_lists_them_too(capsys: pytest.CaptureFixture[str]):
    for words in (["mymod.py"], ["mymod.py", "--data", "digits"], ["mymod"]):
        assert command("evaluate", *words) == 2
        line = capsys.readouterr().err
        assert "mymod.py:lenet or mymod.py:Net or mymod.py:net" in line
        assert "here" not in line
