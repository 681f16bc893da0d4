"""Models in Python code of one's own, by file.py:name and package.module:name."""

import inspect
from pathlib import Path

import pytest
import torch
from torch import nn

import quantattack as qa
from quantattack.models.python import is_python, named_object

SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.ReLU(), nn.Linear(width, 10))
    def forward(self, images):
        return self.layers(images)

def made():
    return Net()

def needs(width):
    return Net(width)

def number():
    return 3

def failing():
    raise RuntimeError("no weights\\nhere")

class Nets:
    small = Net(2)

built = Net(3)
text = "built"
"""


@pytest.fixture(autouse=True)
def folder(own_code: Path) -> Path:
    (own_code / "own_nets.py").write_text(SOURCE)
    return own_code


@pytest.mark.parametrize("place", ["own_nets.py", "own_nets", "./own_nets.py"])
@pytest.mark.parametrize(("name", "width"), [("Net", 4), ("made", 4), ("built", 3), ("Nets.small", 2)])
def test_a_class_a_function_and_a_network_are_models(place: str, name: str, width: int):
    model = qa.load_model(f"{place}:{name}")
    assert model.layers[1].out_features == width
    assert model(torch.rand(2, 1, 4, 4)).shape == (2, 10)


def test_an_absolute_path_and_folders_are_places(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "own_inner.py").write_text(
        "from own_nets import Net\nfrom own_sibling import WIDTH\ndef model():\n    return Net(WIDTH)\n"
    )
    (folder / "deep" / "er" / "own_sibling.py").write_text("WIDTH = 7\n")
    assert qa.load_model("deep/er/own_inner.py:model").layers[1].out_features == 7
    monkeypatch.chdir("/")
    assert qa.load_model(f"{folder}/deep/er/own_inner.py:model").layers[1].out_features == 7


def test_a_file_of_a_package_may_import_relatively(folder: Path):
    (folder / "own_package" / "sub").mkdir(parents=True)
    for path in ("own_package/__init__.py", "own_package/sub/__init__.py"):
        (folder / path).touch()
    (folder / "own_package" / "base.py").write_text("from own_nets import Net\n")
    (folder / "own_package" / "sub" / "m.py").write_text("from ..base import Net\n\ndef model():\n    return Net(6)\n")
    for place in ("own_package/sub/m.py", "own_package.sub.m"):
        assert qa.load_model(f"{place}:model").layers[1].out_features == 6


def test_a_file_with_the_name_of_another_module_is_its_own(folder: Path):
    (folder / "json.py").write_text(SOURCE)
    model = qa.load_model("json.py:Net")
    import json

    assert json.loads("[1]") == [1]
    assert "class Net" in inspect.getsource(type(model))


def test_a_changed_file_is_read_again(folder: Path):
    (folder / "own_file.py").write_text(SOURCE)
    qa.load_model("own_file.py:built")
    (folder / "own_file.py").write_text(SOURCE.replace("built = Net(3)", "built = Net(9)  # now"))
    assert qa.load_model("own_file.py:built").layers[1].out_features == 9


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("own_nets.py:mada", "cannot be made: unknown name in own_nets.py 'mada'; did you mean 'made'"),
        ("own_net.py:made", "unknown file in .* 'own_net.py'; did you mean 'own_nets.py'"),
        ("own_nothing:made", "ModuleNotFoundError: No module named 'own_nothing'"),
        ("own_nets.py:needs", "missing a required argument: 'width'; write a function without arguments"),
        ("own_nets.py:number", r"number\(\) must return a torch.nn.Module, not int"),
        ("own_nets.py:text", "is of type str; name a torch.nn.Module"),
        ("own_nets.py:failing", r"RuntimeError: no weights here \(own_nets.py, line 22\)"),
        ("broken.py:made", "SyntaxError"),
    ],
)
def test_what_makes_no_model_is_one_line(folder: Path, name: str, says: str):
    (folder / "broken.py").write_text("def made(:\n")
    with pytest.raises(qa.InputError, match=says) as refusal:
        qa.load_model(name)
    assert "\n" not in str(refusal.value)


def test_what_is_a_name_of_python_code(folder: Path):
    (folder / "a:b").touch()
    assert [is_python(name) for name in ("m:f", "a/b.py:f", "m.n:A.b", "m:", ":f", "a b:c", "a:b", "digits-float")] == [
        *(True, True, True),
        *(False, False, False, False, False),
    ]


def test_pixels_are_told_to_it_as_to_a_file(folder: Path):
    images = torch.rand(3, 1, 4, 4)
    inside = qa.load_model("own_nets:built")
    model = qa.load_model("own_nets:built", mean=[0.5], std=[0.25])
    assert torch.allclose(model(images), inside((images - 0.5) / 0.25))
    assert torch.allclose(qa.load_model("own_nets:built", range=(0, 255))(images), inside(images * 255))
    last = qa.load_model("own_nets:built", layout="nhwc", range=(-1, 1), mean=[0.1], std=[2])
    assert torch.allclose(last(images), inside(((2 * images - 1 - 0.1) / 2).movedim(1, -1)))
    with pytest.raises(qa.InputError, match="mean and std have 3 numbers, the images 1 channels"):
        qa.load_model("own_nets:built", mean=[0.5] * 3, std=[1] * 3)(images)


def test_the_library_leaves_the_mode_and_refuses_train_mode(folder: Path):
    (folder / "own_drop.py").write_text("from torch import nn\nnet = nn.Sequential(nn.Dropout(), nn.Flatten())\n")
    images, labels = torch.rand(4, 1, 4, 4), torch.zeros(4, dtype=torch.long)
    threat = qa.Threat("linf", 0.1)
    for settings in ({}, {"mean": [0.5], "std": [0.5]}):
        model: nn.Module = qa.load_model("own_drop.py:net", **settings)
        with pytest.raises(qa.InputError, match="train mode"):
            qa.evaluate(model, images, labels, {"fgsm": qa.fgsm(threat)}, threat)


def test_a_wrong_name_is_answered_with_what_the_file_defines(tmp_path):
    """What it imports is no attack of its own."""
    text = "import torch\nfrom dataclasses import dataclass\nfrom quantattack import Threat, cross_entropy\n"
    (tmp_path / "twosteps.py").write_text(
        text + "net = torch.nn.Flatten()\n@dataclass\nclass TwoStep:\n    steps: int = 2\n"
    )
    for kind, known in (("attack", "TwoStep"), ("model", "TwoStep, net")):
        with pytest.raises(qa.InputError, match=rf"unknown name in .*; known: {known}$"):
            named_object(kind, f"{tmp_path / 'twosteps.py'}:zzz")
