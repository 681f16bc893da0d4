"""Windows that slide over images: strides, dilation, and TFLite's padding, which is not symmetric."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from quantattack.deployed.tflite.call import Call

_SAME, _VALID = 0, 1


@dataclass(frozen=True)
class Window:
    """How a window slides over NCHW tensors.

    Arguments:
        size: Height and width.
        stride: Rows and columns from one place to the next.
        dilation: Rows and columns from one number of the window to the next.
        padding: Rows and columns added before and after: top, bottom, left, right.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]

    def padded(self, values: Tensor, filler: float = 0.0) -> tuple[Tensor, tuple[int, int]]:
        """Return values with the padding that is not symmetric, and what a convolution itself is to pad.

        Arguments:
            values: With shape (n, c, h, w).
            filler: What is added around them.
        """
        top, bottom, left, right = self.padding
        if top == bottom and left == right and filler == 0.0:
            return values, (top, left)
        if not any(self.padding):
            return values, (0, 0)
        return F.pad(values, (left, right, top, bottom), value=filler), (0, 0)


def window_of(call: Call, size: Sequence[int], dilated: bool = True) -> Window:
    """Return the window of an operator with strides and padding.

    Arguments:
        call: The operator.
        size: Height and width.
        dilated: Whether it has a dilation.

    Raises:
        InputError: If its options are no numbers of a window.
    """
    taken, height, width = call.value(0).shape, int(size[0]), int(size[1])
    stride = int(call.option("strideH")), int(call.option("strideW"))
    dilation = (int(call.option("dilationHFactor")), int(call.option("dilationWFactor"))) if dilated else (1, 1)
    if len(taken) != 4 or min(*stride, *dilation, height, width) < 1 or max(*dilation, height, width) > 4096:
        raise call.refused("has a window that is none")
    padding = call.option("padding")
    if padding not in (_SAME, _VALID):
        raise call.refused(f"has padding {padding}")
    spans = ((height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1)
    added = [
        _same(length, span, step) if padding == _SAME else (0, 0)
        for length, span, step in zip(taken[1:3], spans, stride, strict=True)
    ]
    if any(sum(more) + length < span for more, length, span in zip(added, taken[1:3], spans, strict=True)):
        raise call.refused("has a window larger than its input")
    return Window((height, width), stride, dilation, (*added[0], *added[1]))


def _same(length: int, span: int, step: int) -> tuple[int, int]:
    """Return what SAME padding adds before and after: one more after where the sum is odd."""
    count = -(-length // step)
    total = max((count - 1) * step + span - length, 0)
    return total // 2, total - total // 2
