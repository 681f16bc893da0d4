"""Pixels as whole numbers: the levels of a threat, or a grid so fine that its rounding is an error term."""

from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantattack.certification.parts import Box
from quantattack.certification.region import Region

_FINE, _FINEST = 14, 22  # bits; at most, so that float32 holds every value of the grid in [0, 1]
_EACH = 128  # values, at least, that the smallest radius spans


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of a region as whole numbers.

    Arguments:
        low: The value of number 0.
        unit: The distance of the values of two numbers that follow each other.
        outer: The numbers that hold every image inside the region, as intervals.
        inner: The numbers whose images are inside the threat, as intervals.
        outer_error: By how much a pixel may be off its number in the outer model, in numbers.
        inner_error: The same in the inner model, whose images are those of the numbers themselves.
        shape: Shape of an image, with one row.
    """

    low: float
    unit: float
    outer: Box
    inner: Box
    outer_error: float
    inner_error: float
    shape: tuple[int, ...]

    @classmethod
    def of(cls, region: Region) -> "Pixels":
        """Return the pixels of a region."""
        threat, x = region.threat, region.clean
        limits = threat.limits(threat.radii(x), x)
        reach = (limits if limits.ndim > 1 else limits.view(-1, *[1] * (x.ndim - 1))).expand_as(x)
        if threat.levels is not None:
            grid = threat.grid
            middle, most = grid.positions(x).round(), (reach / grid.step).round()
            whole = Box((middle - most).clamp(min=0), (middle + most).clamp(max=grid.levels - 1))
            rounding = region.rounding / grid.step
            return cls(float(threat.low), grid.step, whole, whole, rounding, rounding, tuple(x.shape))
        smallest = float(reach[reach > 0].min())
        unit = 2.0 ** -min(_FINEST, max(_FINE, ceil(log2(_EACH / smallest))))
        inside = Box((x - reach).clamp(min=threat.low), (x + reach).clamp(max=threat.high))
        outer = Box((region.box.low / unit).floor(), (region.box.high / unit).ceil())
        inner = Box((inside.low / unit).ceil(), (inside.high / unit).floor())
        return cls(0.0, unit, outer, inner, 0.5, 0.0, tuple(x.shape))

    @property
    def count(self) -> int:
        """Number of pixels."""
        return self.outer.low.numel()

    @property
    def start(self) -> NDArray[np.float64]:
        """The value of number 0, for each pixel."""
        return np.full(self.count, self.low)

    def ranges(self, inner: bool) -> list[tuple[int, int]]:
        """Return the first and the last number of each pixel."""
        box = self.inner if inner else self.outer
        ends = (end.flatten().long().tolist() for end in (box.low, box.high))
        return list(zip(*ends, strict=True))

    def image(self, index: NDArray[np.int64]) -> Tensor:
        """Return the image of some numbers, in float64."""
        return self.low + torch.from_numpy(np.asarray(index, dtype=np.float64)).view(self.shape) * self.unit
