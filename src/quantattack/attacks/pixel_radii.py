"""A radius for each channel or pixel under Linf, as one tensor that broadcasts to an image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantattack.attacks.grid import Grid
from quantattack.errors import InputError, is_number
from quantattack.record.description import tagged

_WRITTEN = 16  # values that a record holds one by one; of more it holds a digest


@tagged("PixelRadii")
@dataclass(frozen=True, init=False, eq=False)
class PixelRadii:
    """The largest change of each pixel, in units of the pixel range.

    Arguments:
        values: Radii of a shape that broadcasts to an image's: (channels, 1, 1) for one per channel, or the image's.
            Zero where nothing may change.

    Raises:
        InputError: If a value is negative or not finite, or all are zero.
    """

    values: Tensor  # a record holds its digest
    shape: tuple[int, ...]
    least: float
    most: float
    numbers: tuple[float, ...] | None = field(metadata={"recorded_as": "numbers"})  # None where there are many

    def __init__(self, values: Any) -> None:
        radii = _as_float64(values)
        if not radii.numel() or not bool(torch.isfinite(radii).all()) or bool((radii < 0).any()) or not radii.any():
            raise InputError("radii per channel or pixel must be numbers from 0 on, and one above it; 0 for no change")
        flat = tuple(radii.flatten().tolist())
        given = {"values": radii, "shape": tuple(radii.shape), "least": min(flat), "most": max(flat)}
        for name, value in {**given, "numbers": flat if len(flat) <= _WRITTEN else None}.items():
            object.__setattr__(self, name, value)  # fields of a frozen dataclass cannot be assigned

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PixelRadii) and torch.equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.shape, self.least, self.most))

    @property
    def words(self) -> str:
        """The radii in words: one by one where there is one for each channel, else the largest."""
        if self.numbers is not None and len(self.numbers) == self.shape[0]:
            return "per channel " + ", ".join(f"{value:.4g}" for value in self.numbers)
        return f"per pixel, at most {self.most:.4g}"

    def check(self, shape: Sequence[int]) -> None:
        """Raise InputError unless the radii broadcast to images of a shape."""
        pairs = zip(reversed(self.shape), reversed(tuple(shape)), strict=False)
        if len(self.shape) > len(shape) or any(own not in (1, other) for own, other in pairs):
            hint = f"({shape[0]}, 1, 1) for one per channel" if len(shape) == 3 else "or one number"
            raise InputError(f"radii of shape {self.shape} do not fit images of shape {tuple(shape)}; {hint}")


def _as_float64(values: Any) -> Tensor:
    """Return a copy of radii in float64, on the CPU, without the leading dimension of a batch of one.

    Raises:
        InputError: If they are no tensor, array or nested sequence of numbers.
    """
    try:
        given = values.detach().cpu() if isinstance(values, Tensor) else values
        held = np.asarray(given.float() if isinstance(given, Tensor) and given.dtype == torch.bfloat16 else given)
        if held.dtype.kind not in "fiu" or held.ndim < 1:
            raise ValueError
        radii = torch.from_numpy(np.array(held, dtype=np.float64))
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"the radius must be a positive number, not {values!r}; 8/255 is usual for images") from None
    return radii[0] if radii.ndim == 4 and len(radii) == 1 else radii


def number_and_each(radius: Any, each: PixelRadii | None) -> tuple[Any, PixelRadii | None]:
    """Return a radius as a number and the pixels' own radii, which a tensor or nested sequence brings."""
    if isinstance(radius, str | bytes) or not (hasattr(radius, "__array__") or isinstance(radius, list | tuple)):
        return radius, each
    if hasattr(radius, "__array__") and not getattr(radius, "shape", ()):  # a tensor of one number
        return (radius if is_number(radius) else radius.item()), each
    each = PixelRadii(radius)
    return each.most, each


def rounded_each(each: PixelRadii, grid: Grid) -> str | None:
    """Return in one line what radii that are no multiples of a level come to; None where nothing is rounded."""
    levels = grid.whole(each.values) / grid.step
    if bool(((each.values / grid.step - levels).abs() < 1e-3).all()):
        return None
    stay = int((levels.round() == 0).sum())
    return f"radii {each.words} are rounded down to whole levels of {grid.levels - 1}; {stay} of {levels.numel()} are 0"
