"""Averages, maxima and sums over windows and dimensions."""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from quantattack.deployed.tflite.call import Call
from quantattack.deployed.tflite.finish import Cut, Finish, Fixed, Stored
from quantattack.deployed.tflite.fixed_point import mean_multiplier
from quantattack.deployed.tflite.grid import Grid, settled
from quantattack.deployed.tflite.operators.windows import Window, window_of


class Average(nn.Module):
    """The average over each window, padding left out; that of levels is rounded half away from zero.

    Arguments:
        window: The window.
        taken: Height and width of the input.
        grid: The output's grid, cut by the activation; None for float tensors.
        finish: The activation of a float average.
    """

    count: Tensor

    def __init__(self, window: Window, taken: tuple[int, int], grid: Grid | None, finish: Finish) -> None:
        super().__init__()
        self.window, self.grid, self.finish = window, grid, finish
        self.register_buffer("count", self._sums(torch.ones(1, *taken, 1)))

    def forward(self, values: Tensor) -> Tensor:
        sums = self._sums(values)
        if self.grid is None:
            return self.finish(sums / self.count)
        with torch.no_grad():
            # the kernel averages the levels as they are stored, so that half goes away from the stored 0
            stored = sums + self.count * self.grid.zero
            levels = stored.sign() * ((stored.abs() + (self.count / 2).floor()) / self.count).floor() - self.grid.zero
        return settled(sums, 1 / self.count, sums.detach() / self.count, levels, self.grid)

    def _sums(self, values: Tensor) -> Tensor:
        window = self.window
        padded, inner = window.padded(values.permute(0, 3, 1, 2))
        padded = F.pad(padded, (inner[1], inner[1], inner[0], inner[0])) if any(inner) else padded
        return F.avg_pool2d(padded, window.size, window.stride, divisor_override=1).permute(0, 2, 3, 1)


class Largest(nn.Module):
    """The maximum over each window.

    Arguments:
        window: The window.
        grid: The output's grid, cut by the activation; None for float tensors.
        finish: The activation of float tensors.
    """

    def __init__(self, window: Window, grid: Grid | None, finish: Finish) -> None:
        super().__init__()
        self.window, self.grid, self.finish = window, grid, finish

    def forward(self, values: Tensor) -> Tensor:
        padded, _ = self.window.padded(values.permute(0, 3, 1, 2), float("-inf"))
        found = F.max_pool2d(padded, self.window.size, self.window.stride).permute(0, 2, 3, 1)
        return self.finish(found) if self.grid is None else found.clamp(self.grid.low, self.grid.high)


class Sum(nn.Module):
    """The sum over dimensions, which the rescaling turns into the mean where it is one.

    Arguments:
        axes: The dimensions.
        keep: Whether they are kept with size 1.
        finish: What follows the sum.
    """

    def __init__(self, axes: tuple[int, ...], keep: bool, finish: Finish) -> None:
        super().__init__()
        self.axes, self.keep, self.finish = axes, keep, finish

    def forward(self, values: Tensor) -> Tensor:
        return self.finish(values.sum(self.axes, keepdim=self.keep))


class Divided(nn.Module):
    """The end of a float mean.

    Arguments:
        count: How many numbers are averaged.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, total: Tensor) -> Tensor:
        return total / self.count


def average(call: Call) -> nn.Module:
    """Return the part of AVERAGE_POOL_2D."""
    window, grid, finish = _pooled(call)
    height, width = call.value(0).shape[1:3]
    return Average(window, (height, width), grid, finish)


def largest(call: Call) -> nn.Module:
    """Return the part of MAX_POOL_2D."""
    return Largest(*_pooled(call))


def mean(call: Call) -> nn.Module:
    """Return the part of MEAN."""
    axes, count = _axes(call)
    keep = bool(call.option("keepDims"))
    if call.is_float:
        return Sum(axes, keep, Divided(count))
    taken, given = call.takes(0), call.gives
    if call.delegated:
        scale = np.float32(taken.scale) / np.float32(given.scale) / np.float32(count)
        return Sum(axes, keep, Stored(scale, given, count * taken.zero))
    ratio = taken.scale / given.scale
    return Sum(axes, keep, Fixed(np.float64(ratio / count), given, mean_multiplier(ratio, count)))


def summed(call: Call) -> nn.Module:
    """Return the part of SUM."""
    axes, count = _axes(call)
    keep = bool(call.option("keepDims"))
    if call.is_float:
        return Sum(axes, keep, Cut("NONE"))
    taken, given = call.takes(0), call.gives
    if call.delegated:
        scale = np.float32(taken.scale) / np.float32(given.scale)
        return Sum(axes, keep, Stored(scale, given, count * taken.zero))
    if call.value(0).type == "int8":
        raise call.refused("of int8 numbers runs on TFLite's own kernels, which add them without their scale")
    return Sum(axes, keep, Fixed(np.float64(taken.scale / given.scale), given))


def _pooled(call: Call) -> tuple[Window, Grid | None, Finish]:
    call.same_grid()
    size = int(call.option("filterHeight")), int(call.option("filterWidth"))
    grid = None if call.is_float else call.gives.cut(call.activation)
    return window_of(call, size, dilated=False), grid, Cut(call.activation)


def _axes(call: Call) -> tuple[tuple[int, ...], int]:
    """Return the dimensions that are summed over, and how many numbers that is."""
    shape = call.value(0).shape
    axes = tuple(sorted({axis % len(shape) for axis in call.integers(1) if -len(shape) <= axis < len(shape)}))
    if not axes or axes[0] == 0 or len(axes) > len(set(call.integers(1))):
        raise call.refused("sums over the images of a batch, or over nothing")
    return axes, math.prod(shape[axis] for axis in axes)


POOLED = {"AVERAGE_POOL_2D": average, "MAX_POOL_2D": largest, "MEAN": mean, "SUM": summed}
