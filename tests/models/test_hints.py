"""A name that no model has is answered with what would have worked."""

from pathlib import Path

import pytest
import torch

import quantattack as qa
from quantattack.models.hints import made_in


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mymod.py").write_text("import os\n\ndef lenet():\n    pass\n\nclass Net:\n    pass\n\nnet = Net()\n")
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
        ("mymod", "name what makes the model in mymod.py: mymod.py:lenet or mymod.py:Net"),
        ("mymod.py", "name what makes the model in mymod.py: mymod.py:lenet or mymod.py:Net"),
        ("bad.py", "name what makes the model in bad.py: bad.py:function"),
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
    assert made_in(folder / "mymod.py") == ["lenet", "Net", "net"]
    assert made_in(folder / "bad.py") == made_in(folder / "none.py") == []
