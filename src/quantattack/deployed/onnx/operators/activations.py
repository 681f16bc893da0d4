"""Elementwise functions with settings of their own: activations, clipping, and what fused operators name."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from quantattack.deployed.onnx.call import Apply, Call, Part, applied
from quantattack.deployed.onnx.grid import through


def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Return Clip."""
    if low is None and high is None:
        return x
    return torch.clamp(x, low, high)


def hard_sigmoid(x: Tensor, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """Return HardSigmoid, ``clamp(alpha x + beta, 0, 1)``."""
    return (alpha * x + beta).clamp(0, 1)


def leaky_relu(x: Tensor, alpha: float = 0.01) -> Tensor:
    """Return LeakyRelu."""
    return functional.leaky_relu(x, alpha)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return Elu."""
    return functional.elu(x, alpha)


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return Celu."""
    return functional.celu(x, alpha)


def selu(x: Tensor, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Tensor:
    """Return Selu, ``gamma elu(x, alpha)``."""
    return gamma * functional.elu(x, alpha)


def thresholded_relu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return ThresholdedRelu, x where it is above alpha and else 0."""
    return torch.where(x > alpha, x, torch.zeros_like(x))


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Return PRelu, whose slope broadcasts to the input."""
    return torch.where(x < 0, slope * x, x)


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """Return Gelu."""
    return functional.gelu(x, approximate=approximate)


def bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    """Return BiasGelu, ``gelu(x + bias)``."""
    return functional.gelu(x + bias)


def fast_gelu(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return FastGelu, the one with a tanh."""
    return functional.gelu(x if bias is None else x + bias, approximate="tanh")


def quick_gelu(x: Tensor, alpha: float = 1.702) -> Tensor:
    """Return QuickGelu, ``x sigmoid(alpha x)``."""
    return x * torch.sigmoid(alpha * x)


def clip_of(call: Call) -> Part:
    """Return Clip, whose limits are attributes before opset 11; an infinite limit is none."""
    if not {"min", "max"} & set(call.node.attributes):
        return applied(clip, call)
    limits = [call.attribute(name) for name in ("min", "max")]
    low, high = (None if limit is None or abs(limit) >= 3.4e38 else torch.tensor(limit) for limit in limits)
    return applied(clip, call, low=low, high=high)


def with_settings(function: Callable[..., Any], *names: str) -> Callable[[Call], Part]:
    """Return what makes a part of a function that takes these attributes of a node as they are.

    Arguments:
        function: A function of tensors.
        names: Names of the attributes that are its arguments, too.
    """

    def build(call: Call) -> Part:
        given = {name: call.attribute(name) for name in names if call.attribute(name) is not None}
        return applied(function, call, **given)

    return build


_FUSED: dict[str, tuple[Callable[..., Tensor], tuple[str, ...]]] = {
    "Relu": (torch.relu, ()),
    "Tanh": (torch.tanh, ()),
    "Sigmoid": (torch.sigmoid, ()),
    "LeakyRelu": (leaky_relu, ("alpha",)),
    "HardSigmoid": (hard_sigmoid, ("alpha", "beta")),
    "Elu": (elu, ("alpha",)),
    "Softplus": (functional.softplus, ()),
    "Softsign": (functional.softsign, ()),
    "HardSwish": (functional.hardswish, ()),
}


def fused_activation(call: Call) -> Apply:
    """Return the activation that a fused convolution or matrix product names.

    Arguments:
        call: The node.
    """
    name = str(call.attribute("activation", ""))
    given = [float(value) for value in call.attribute("activation_params", [])]
    if name == "Clip" and len(given) == 2:
        return Apply(_between, low=given[0], high=given[1])
    if name not in _FUSED:
        raise call.refuse(f"fuses the activation {name!r}, which is not supported")
    function, names = _FUSED[name]
    named = {key[len("activation_") :]: value for key, value in call.node.attributes.items() if key in _PREFIXED}
    return Apply(function, **{**named, **dict(zip(names, given, strict=False))})


_PREFIXED = ("activation_alpha", "activation_beta")


def _between(x: Tensor, low: float, high: float) -> Tensor:
    return x.clamp(low, high)


def rounded(x: Tensor) -> Tensor:
    """Return Round, half to even, with derivative 1."""
    return through(x.detach().round(), x)


def floored(x: Tensor) -> Tensor:
    """Return Floor with derivative 1 for real numbers."""
    return through(x.detach().floor(), x)


def ceiled(x: Tensor) -> Tensor:
    """Return Ceil with derivative 1 for real numbers."""
    return through(x.detach().ceil(), x)
