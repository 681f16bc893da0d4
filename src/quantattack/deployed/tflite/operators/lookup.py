"""Functions of one number. On an 8-bit grid each is a table of 256 levels, whatever arithmetic the runtime has."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from quantattack.deployed.tflite import fixed_point
from quantattack.deployed.tflite.call import Call
from quantattack.deployed.tflite.finish import Cut
from quantattack.deployed.tflite.grid import Grid, settled

Function: TypeAlias = Callable[[Tensor], Tensor]


class Lookup(nn.Module):
    """A function from one grid to another, with the derivative of the real function.

    Arguments:
        table: The output's levels, for every level of the input from the smallest on.
        function: The real function.
        taken: The input's grid.
        given: The output's grid.
    """

    table: Tensor
    one: Tensor

    def __init__(self, table: Tensor, function: Function, taken: Grid, given: Grid) -> None:
        super().__init__()
        self.register_buffer("table", table.to(torch.float32))
        self.register_buffer("one", torch.ones(()))
        self.function, self.taken, self.given = function, taken, given

    def forward(self, levels: Tensor) -> Tensor:
        smooth = self.function(levels * self.taken.scale) / self.given.scale
        found = self.table[(levels.detach() - self.taken.low).long()]
        return settled(smooth, self.one, smooth.detach(), found, self.given)


class FloatFunction(nn.Module):
    """A function of float tensors.

    Arguments:
        function: The function.
    """

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)


class Quantization(nn.Module):
    r"""Float numbers to levels: :math:`\mathrm{round}(x / s)`.

    Arguments:
        grid: The output's grid.
        reference: Whether half is rounded away from zero; XNNPACK multiplies by 1 / s and rounds half to even.
    """

    scale: Tensor

    def __init__(self, grid: Grid, reference: bool) -> None:
        super().__init__()
        self.grid, self.reference = grid, reference
        self.register_buffer("scale", torch.tensor(grid.scale))

    def forward(self, values: Tensor) -> Tensor:
        with torch.no_grad():
            single, scale = values.float(), self.scale.float()
            levels = _half_away(single / scale) if self.reference else (single * (1 / scale)).round()
        return settled(values, 1 / self.scale, values.detach() / self.scale, levels, self.grid)


class Dequantization(nn.Module):
    """Levels to float numbers.

    Arguments:
        scale: The grid's step.
    """

    scale: Tensor

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, levels: Tensor) -> Tensor:
        return levels * self.scale


def logistic(call: Call) -> nn.Module:
    """Return the part of LOGISTIC."""
    return _sampled(call, torch.sigmoid)


def tanh(call: Call) -> nn.Module:
    """Return the part of TANH."""
    return _sampled(call, torch.tanh)


def hard_swish(call: Call) -> nn.Module:
    """Return the part of HARD_SWISH."""
    if call.is_float:
        return FloatFunction(F.hardswish)
    taken, given = call.takes(0), call.gives
    table = fixed_point.hard_swish(_levels(taken), taken.scale, given.scale)
    return Lookup(table, F.hardswish, taken, given)


def leaky_relu(call: Call) -> nn.Module:
    """Return the part of LEAKY_RELU."""
    alpha = float(call.option("alpha"))
    function = partial(F.leaky_relu, negative_slope=alpha)
    if call.is_float:
        return FloatFunction(function)
    taken, given = call.takes(0), call.gives
    levels, ratio = _levels(taken), np.float32(taken.scale) / np.float32(given.scale)
    slopes = float(ratio), float(ratio * np.float32(alpha))
    up, down = (_rescaled(call, levels, slope) for slope in slopes)
    return Lookup(torch.where(levels >= 0, up, down), function, taken, given)


def rectified(call: Call) -> nn.Module:
    """Return the part of RELU, RELU6 or RELU_N1_TO_1."""
    if call.is_float:
        return Cut(call.node.name)
    taken, given = call.takes(0), call.gives.cut(call.node.name)
    table = fixed_point.scaled(_levels(taken), *fixed_point.multiplier(taken.scale / given.scale))
    return Lookup(table, _same, taken, given)


def quantize(call: Call) -> nn.Module:
    """Return the part of QUANTIZE, from float numbers or from another grid."""
    if call.value(0).type == "float32":
        return Quantization(call.gives, reference=not call.delegated)
    taken, given = call.takes(0), call.gives
    if call.delegated:
        table = _rescaled(call, _levels(taken), float(np.float32(taken.scale) / np.float32(given.scale)))
    else:
        rule = fixed_point.scaled if call.reference else fixed_point.scaled_upward
        table = rule(_levels(taken), *fixed_point.multiplier(taken.scale / given.scale))
    return Lookup(table, _same, taken, given)


def dequantize(call: Call) -> nn.Module:
    """Return the part of DEQUANTIZE."""
    if call.output.type != "float32":
        raise call.refused(f"gives {call.output.type}")
    return Dequantization(call.takes(0).scale)


def _sampled(call: Call, function: Function) -> nn.Module:
    """Return a function that the runtime samples in float32 at every level, half rounded to even."""
    if call.is_float:
        return FloatFunction(function)
    taken, given = call.takes(0), call.gives
    real = function(_levels(taken).float() * taken.scale)
    return Lookup((real / torch.tensor(given.scale)).round(), function, taken, given)


def _rescaled(call: Call, levels: Tensor, ratio: float) -> Tensor:
    """Return levels times a ratio: in XNNPACK with 8 bits of fraction, half rounded up."""
    if call.delegated:
        return (levels * round(256 * ratio) + 128) >> 8
    return fixed_point.scaled(levels, *fixed_point.multiplier(ratio))


def _levels(grid: Grid) -> Tensor:
    return torch.arange(int(grid.low), int(grid.high) + 1)


def _same(values: Tensor) -> Tensor:
    return values


def _half_away(values: Tensor) -> Tensor:
    return values.sign() * (values.abs() + 0.5).floor()


FUNCTIONS = {"LEAKY_RELU": leaky_relu, "LOGISTIC": logistic, "TANH": tanh, "HARD_SWISH": hard_swish}
FUNCTIONS |= {"QUANTIZE": quantize, "DEQUANTIZE": dequantize}
FUNCTIONS |= dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1"), rectified)
