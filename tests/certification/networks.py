"""Small random networks of every kind that has bounds, and points inside a threat."""

import torch
from torch import Tensor, nn

import quantattack as qa
from quantattack.nn.architectures import build
from quantattack.nn.architectures.binary import Block
from quantattack.nn.architectures.resnet import Basic
from quantattack.nn.layers import Normalize
from quantattack.nn.quantizers import BinaryConnect, BnnWaq, Sign, Ternary, Uniform, UniformActivation

IMAGES = {"small": (1, 8, 8), "coarse": (1, 12, 12), "perceptron": (1, 4, 4), "lenet": (1, 8, 8)}


def settled(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """A network in eval mode whose BatchNorms have statistics of random images."""
    with torch.no_grad():
        for _ in range(3):
            model.train()(torch.rand(32, *shape))
    return model.eval()


def residual() -> nn.Module:
    body = nn.Sequential(Basic(2, 2, 1, affine=True), Basic(2, 4, 2, affine=True), nn.AvgPool2d(2), nn.Flatten())
    return nn.Sequential(Normalize([0.4, 0.5], [0.3, 0.2]), body, nn.Linear(4 * 2 * 2, 3))


def binary_residual() -> nn.Module:
    model = nn.Sequential(Block(2, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    return qa.quantize(model, weights=BnnWaq(), activations=Sign())


def made(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A random network by its kind, and the shape of its images."""
    torch.manual_seed(0)
    if name in ("residual", "binary-residual"):
        model = residual() if name == "residual" else binary_residual()
        return settled(model, (2, 8, 8)), (2, 8, 8)
    kind, _, how = name.partition("-")
    shape = IMAGES[kind]
    settings = {"lenet": {"width": 0.05}, "perceptron": {"hidden": 12}}.get(kind, {"width": 2})
    float_net = build(kind, {"shape": shape, "classes": 4, **settings})
    weights = {"float": None, "bc": BinaryConnect(), "ternary": Ternary(), "bits": Uniform(4), "signs": BnnWaq()}[how]
    activations = {"bits": UniformActivation(4), "signs": Sign()}.get(how)
    return settled(qa.quantize(float_net, weights=weights, activations=activations), shape), shape


def points(threat: qa.Threat, clean: Tensor, count: int, seed: int = 0) -> Tensor:
    """Images inside a threat around one: half in its corners, half anywhere; on its grid if it has one."""
    torch.manual_seed(seed)
    noise = torch.rand(count, *clean.shape[1:]) * 2 - 1
    noise[: count // 2] = noise[: count // 2].sign()
    around = clean.expand(count, *clean.shape[1:])
    return threat.snap(threat.project(around + threat.radius * noise, around), around)
