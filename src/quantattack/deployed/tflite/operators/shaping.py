"""Operators that move numbers and compute none."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from quantattack.deployed.tflite.call import Call, levels_of
from quantattack.deployed.tflite.finish import Cut


class Reshape(nn.Module):
    """Another shape for each image.

    Arguments:
        shape: The shape without the batch.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, values: Tensor) -> Tensor:
        return values.reshape(len(values), *self.shape)


class Transpose(nn.Module):
    """Another order of the dimensions.

    Arguments:
        order: The input's dimension for each of the output's.
    """

    def __init__(self, order: tuple[int, ...]) -> None:
        super().__init__()
        self.order = order

    def forward(self, values: Tensor) -> Tensor:
        return values.permute(self.order)


class Padding(nn.Module):
    """Numbers around a tensor.

    Arguments:
        widths: How many are added before and after, for each dimension, the last first.
        filler: What is added.
    """

    def __init__(self, widths: tuple[int, ...], filler: float) -> None:
        super().__init__()
        self.widths, self.filler = widths, filler

    def forward(self, values: Tensor) -> Tensor:
        return F.pad(values, self.widths, value=self.filler)


class Concatenation(nn.Module):
    """Tensors one after another.

    Arguments:
        axis: The dimension along which they lie.
        activation: The activation of float tensors.
    """

    def __init__(self, axis: int, activation: str) -> None:
        super().__init__()
        self.axis, self.finish = axis, Cut(activation)

    def forward(self, *parts: Tensor) -> Tensor:
        result: Tensor = self.finish(torch.cat([_rows(part, len(parts[0]), parts) for part in parts], self.axis))
        return result


def reshape(call: Call) -> nn.Module:
    """Return the part of RESHAPE, SQUEEZE or EXPAND_DIMS: the file states the output's shape."""
    call.same_grid()
    taken, given = call.value(0).shape, call.output.shape
    if not taken or not given or taken[0] != 1 or given[0] != 1:
        raise call.refused(f"from {taken} to {given} moves the images of a batch")
    return Reshape(given[1:])


def transpose(call: Call) -> nn.Module:
    """Return the part of TRANSPOSE."""
    call.same_grid()
    order = tuple(call.integers(1))
    if sorted(order) != list(range(len(call.value(0).shape))) or order[0] != 0:
        raise call.refused("moves the images of a batch")
    return Transpose(order)


def padding(call: Call) -> nn.Module:
    """Return the part of PAD or PADV2."""
    call.same_grid()
    widths, rank = call.integers(1), len(call.value(0).shape)
    if len(widths) != 2 * rank or min(widths) < 0 or any(widths[:2]):
        raise call.refused("adds images to a batch, or less than nothing")
    pairs = [widths[2 * axis : 2 * axis + 2] for axis in reversed(range(1, rank))]
    return Padding(tuple(width for pair in pairs for width in pair), _filler(call))


def concatenation(call: Call) -> nn.Module:
    """Return the part of CONCATENATION."""
    axis, rank = int(call.option("axis")), len(call.output.shape)
    if not -rank <= axis < rank or axis % rank == 0:
        raise call.refused("joins the images of a batch")
    float_numbers, activation = call.is_float, call.activation
    for index in range(len(call.node.inputs)):
        if float_numbers != (call.value(index).type == "float32"):
            raise call.refused("joins float numbers and levels")
        if not float_numbers and call.takes(index) != call.gives:
            raise call.refused("joins tensors of several scales")
    if activation != "NONE" and not float_numbers:
        raise call.refused(f"of levels ends in {activation}")
    return Concatenation(axis % rank, activation)


def _filler(call: Call) -> float:
    if call.node.name == "PAD" or len(call.node.inputs) < 3:
        return 0.0  # the real 0 is level 0
    if not call.is_float and call.takes(2) != call.gives:
        raise call.refused("adds a number of another scale")
    call.constant(2)
    return float(levels_of(call.value(2)).reshape(-1)[0])


def _rows(part: Tensor, first: int, parts: tuple[Tensor, ...]) -> Tensor:
    """Return a part with as many images as the others: a constant has one."""
    count = max(first, *(len(other) for other in parts))
    return part if len(part) == count else part.expand(count, *part.shape[1:])


MOVED = {"PAD": padding, "PADV2": padding, "TRANSPOSE": transpose, "CONCATENATION": concatenation}
MOVED |= dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), reshape)
