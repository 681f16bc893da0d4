"""Weights alone, with the architecture that they belong to by its name."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import quantattack as qa
from quantattack.models.weights import is_weights
from quantattack.nn.architectures import build
from quantattack.nn.zoo import path_of

IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
MODULE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.first, self.second = nn.Linear(64, width), nn.Linear(width, 10)
    def forward(self, images):
        return self.second(self.first(images.flatten(1)).relu())
"""


def saved(net: nn.Module, path: str, prefix: str = "") -> None:
    save_file({prefix + name: tensor.contiguous() for name, tensor in net.state_dict().items()}, path)


@pytest.fixture(autouse=True)
def folder(own_code: Path) -> Path:
    (own_code / "own_net.py").write_text(MODULE)
    return own_code


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    return build("small", {"classes": 7}).eval()


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_the_weights_of_an_architecture_of_ours(small: nn.Module, prefix: str):
    saved(small, "net.safetensors", prefix)
    model = qa.load_model("net.safetensors", architecture="small[classes=7]")
    assert not model.training
    assert torch.equal(model(IMAGES), small(IMAGES))


def test_those_of_a_class_of_one_s_own_and_of_a_network(small: nn.Module, folder: Path):
    net = qa.load_model("own_net.py:Net")
    saved(net, "net.safetensors")
    for name in ("own_net.py:Net", "own_net:Net[width=4]"):
        assert torch.equal(qa.load_model("net.safetensors", architecture=name)(IMAGES), net(IMAGES))
    saved(small, "small.safetensors")
    empty = build("small", {"classes": 7})
    assert torch.equal(qa.load_model("small.safetensors", architecture=empty)(IMAGES), small(IMAGES))


def test_pixels_are_stated_beside_them(small: nn.Module):
    saved(small, "net.safetensors")
    model = qa.load_model("net.safetensors", architecture="small[classes=7]", mean=[0.5], std=[0.25])
    assert torch.allclose(model(IMAGES), small((IMAGES - 0.5) / 0.25))


@pytest.mark.parametrize(
    ("architecture", "says"),
    [
        (None, "holds weights without their network; name it with --architecture"),
        ("smal", "unknown architecture 'smal'; did you mean 'small'"),
        ("small[classes]", "write it like"),
        ("small[clases=7]", "unknown setting of architecture small 'clases'; did you mean 'classes'"),
        ("small", "does not fit small: of another shape head.* is 7x.* for 10x"),
        ("own_net.py:Net", "missing first.weight, first.bias, second.weight and 1 more; unexpected .* more"),
        ("own_net.py:Net[depth=3]", "unexpected keyword argument 'depth'"),
    ],
)
def test_what_does_not_fit_is_one_line(small: nn.Module, architecture: str | None, says: str):
    saved(small, "net.safetensors")
    with pytest.raises(qa.InputError, match=says) as refusal:
        qa.load_model("net.safetensors", architecture=architecture)
    assert "\n" not in str(refusal.value)


def test_an_architecture_is_for_weights_alone(folder: Path):
    for name in ("digits-float", str(path_of("digits-float")), "own_net.py:Net"):
        with pytest.raises(qa.InputError, match=r"for a \.safetensors file of weights alone"):
            qa.load_model(name, architecture="small")
    with pytest.raises(qa.InputError, match="holds its own graph"):
        qa.load_model("net.onnx", architecture="small")
    with pytest.raises(qa.InputError, match=r"float_model are for deployed files; own_net.py:Net is none"):
        qa.load_model("own_net.py:Net", float_model="digits-float")


def test_a_checkpoint_and_a_damaged_file_are_no_weights(folder: Path):
    for data in (b"", b"\xff" * 40, b"\x08\0\0\0\0\0\0\0[1,2,34]", (2**62).to_bytes(8, "little") + b"{}"):
        (folder / "x.safetensors").write_bytes(data)
        assert not is_weights("x.safetensors")
    assert not is_weights(str(path_of("digits-float")))
    assert not is_weights("none.safetensors")


class Timm(nn.Module):
    """A network as timm makes it."""

    def __init__(self, num_classes: int = 5) -> None:
        super().__init__()
        self.head = nn.Linear(64, num_classes)
        self.pretrained_cfg = {"mean": (0.5,), "std": (0.25,)}

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1))


def test_an_architecture_of_timm_brings_its_normalization(monkeypatch: pytest.MonkeyPatch):
    made = []

    def create_model(name: str, pretrained: bool, **settings: int) -> nn.Module:
        made.append((name, pretrained))
        return Timm(**settings)

    module = ModuleType("timm")
    vars(module).update(SimpleNamespace(create_model=create_model, list_models=lambda: ["tiny"]).__dict__)
    monkeypatch.setitem(sys.modules, "timm", module)
    net = Timm(3)
    saved(net, "net.safetensors")
    model = qa.load_model("net.safetensors", architecture="timm:tiny[num_classes=3]")
    assert made == [("tiny", False)]
    assert torch.allclose(model(IMAGES), net((IMAGES - 0.5) / 0.25))
    plain = qa.load_model("net.safetensors", architecture="timm:tiny[num_classes=3]", range=(0, 1))
    assert torch.allclose(plain(IMAGES), net(IMAGES))
    with pytest.raises(qa.InputError, match="unknown architecture of timm 'tinny'; did you mean 'tiny'"):
        qa.load_model("net.safetensors", architecture="timm:tinny")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(qa.InputError, match="timm cannot be imported"):
        qa.load_model("net.safetensors", architecture="timm:tiny")
