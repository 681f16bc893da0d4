"""Pooling of real numbers; largest numbers of quantized ones too, whose order is the same."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from quantattack.deployed.onnx.call import Call, Part, applied
from quantattack.deployed.onnx.operators.window import Window, padded, window_of

_LARGEST: dict[int, Callable[..., Tensor]] = {
    1: functional.max_pool1d,
    2: functional.max_pool2d,
    3: functional.max_pool3d,
}
_MEAN: dict[int, Callable[..., Tensor]] = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def largest(x: Tensor, window: Window, ceil: bool) -> Tensor:
    """Return MaxPool.

    Arguments:
        x: Inputs with shape (n, c, ...).
        window: Where the windows lie.
        ceil: Whether the output's size is rounded up.
    """
    values, pads = padded(x, window.padding(x.shape[2:]), -torch.inf)
    if any(2 * pad > size for pad, size in zip(pads, window.kernel, strict=True)):  # torch takes at most half a window
        values, pads = (
            functional.pad(x, [pad for pad in reversed(pads) for _ in range(2)], value=-torch.inf),
            [0] * len(pads),
        )
    pool = _LARGEST[len(window.kernel)]
    return pool(values, window.kernel, window.strides, pads, window.dilations, ceil_mode=ceil)


def average(x: Tensor, window: Window, counted: bool, ceil: bool) -> Tensor:
    """Return AveragePool.

    Arguments:
        x: Inputs with shape (n, c, ...).
        window: Where the windows lie.
        counted: Whether padding counts in the mean.
        ceil: Whether the output's size is rounded up.
    """
    padding = window.padding(x.shape[2:])
    pool = _MEAN[len(window.kernel)]
    values, pads = padded(x, padding)
    if values is x:
        return pool(x, window.kernel, window.strides, pads, ceil, counted)
    mean = pool(values, window.kernel, window.strides, pads, ceil)
    if counted:
        return mean
    ones, _ = padded(torch.ones_like(x[:1, :1]), padding)
    return mean / pool(ones, window.kernel, window.strides, pads, ceil)


def average_by_columns(x: Tensor, window: Window, counted: bool, ceil: bool) -> Tensor:
    """Return AveragePool with the sums in the order of onnxruntime's kernel: down each column, then along the row.

    The order decides ties: the mean of four levels lies halfway between two levels as often as not.

    Arguments:
        x: Inputs with shape (n, c, ...).
        window: Where the windows lie.
        counted: Whether padding counts in the mean.
        ceil: Whether the output's size is rounded up.
    """
    if len(window.kernel) != 2 or window.strides[1] > 2 or ceil:
        return average(x, window, counted, ceil)
    padding = window.padding(x.shape[2:])
    sums = _window_sums(x, window, padding)
    if counted or not any(map(any, padding)):
        return sums / math.prod(window.kernel)
    return sums / _window_sums(torch.ones_like(x[:1, :1]), window, padding)


def _window_sums(x: Tensor, window: Window, padding: Sequence[tuple[int, int]]) -> Tensor:
    (high, wide), (down, along) = window.kernel, window.strides
    values, (above, before) = padded(x, padding)
    pool = functional.avg_pool2d
    columns = pool(values, (high, 1), (down, 1), (above, 0), divisor_override=1)
    return pool(columns, (1, wide), (1, along), (0, before), divisor_override=1)


def max_pool(call: Call) -> Part:
    """Return MaxPool without its indices."""
    if len([name for name in call.node.outputs if name]) > 1:
        raise call.refuse("gives the places of the largest numbers, which is not supported")
    return applied(largest, call, window=window_of(call, ()), ceil=bool(call.attribute("ceil_mode", 0)))


def average_pool(call: Call) -> Part:
    """Return AveragePool."""
    window, counted = window_of(call, ()), bool(call.attribute("count_include_pad", 0))
    if any(step != 1 for step in window.dilations):
        raise call.refuse("has dilated windows, which is not supported")
    return applied(average_by_columns, call, window=window, counted=counted, ceil=bool(call.attribute("ceil_mode", 0)))


def global_average(x: Tensor) -> Tensor:
    """Return GlobalAveragePool."""
    return x.mean(list(range(2, x.ndim)), keepdim=True)


def global_largest(x: Tensor) -> Tensor:
    """Return GlobalMaxPool."""
    return x.amax(list(range(2, x.ndim)), keepdim=True)
