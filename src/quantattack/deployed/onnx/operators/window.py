"""Where the windows of a convolution or pooling lie: kernel, strides, padding, dilation."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from quantattack.deployed.onnx.call import Call


@dataclass(frozen=True)
class Window:
    """The windows of one node; one number for each spatial axis.

    Arguments:
        kernel: Size of the window.
        strides: Steps between windows.
        dilations: Steps inside a window.
        pads: Padding before each axis, then after each axis.
        auto: "NOTSET" for the pads as given, "VALID" for none, or "SAME_UPPER" or "SAME_LOWER".
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    auto: str = "NOTSET"

    def padding(self, sizes: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Return the padding before and after each axis for an input of these spatial sizes."""
        axes = len(self.kernel)
        if not self.auto.startswith("SAME"):
            return tuple(zip(self.pads[:axes], self.pads[axes:], strict=True))
        reach = [(size - 1) * step + 1 for size, step in zip(self.kernel, self.dilations, strict=True)]
        totals = [
            max(0, (-(-size // stride) - 1) * stride + far - size)
            for size, stride, far in zip(sizes, self.strides, reach, strict=True)
        ]
        halves = [(total // 2, total - total // 2) for total in totals]
        return tuple(halves if self.auto == "SAME_UPPER" else [(after, before) for before, after in halves])


def window_of(call: Call, kernel: Sequence[int]) -> Window:
    """Return the windows that a node states.

    Arguments:
        call: The node.
        kernel: Size of the window where the node states none.
    """
    sizes = tuple(int(size) for size in call.attribute("kernel_shape", kernel))
    axes = len(sizes)
    ones, auto = [1] * axes, str(call.attribute("auto_pad", "NOTSET"))
    pads = call.attribute("pads", [0] * 2 * axes) if auto == "NOTSET" else [0] * 2 * axes
    window = Window(
        sizes,
        tuple(call.attribute("strides", ones)),
        tuple(call.attribute("dilations", ones)),
        tuple(pads),
        auto,
    )
    if axes not in (1, 2, 3) or len(window.pads) != 2 * axes or min(window.pads) < 0 or min(window.strides) < 1:
        raise call.refuse(f"has a window that is not supported: {window}")
    return window


def padded(values: Tensor, padding: Sequence[tuple[int, int]], fill: float = 0.0) -> tuple[Tensor, list[int]]:
    """Return the values padded where the padding is lopsided, and the padding that is left to be done on both sides.

    Arguments:
        values: A tensor with shape (n, c, ...).
        padding: Padding before and after each spatial axis.
        fill: What to pad with.
    """
    if all(before == after for before, after in padding):
        return values, [before for before, _ in padding]
    sides = [side for pair in reversed(padding) for side in pair]
    return functional.pad(values, sides, value=fill), [0] * len(padding)
