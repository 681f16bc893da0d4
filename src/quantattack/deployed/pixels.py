"""What pixels mean to a deployed file: layout, range and normalization."""

from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.errors import InputError
from quantattack.types import Images

LAYOUTS = ("nchw", "nhwc", "flat")
INTEGERS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}


@dataclass(frozen=True)
class Pixels:
    r"""Maps images in [0, 1] with shape (n, c, h, w) to the inputs of a file.

    .. math:: v = (\mathrm{low} + (\mathrm{high} - \mathrm{low})\, x - \mathrm{mean}) / \mathrm{std}

    Arguments:
        layout: "nchw", "nhwc", or "flat" for one row per image.
        low: What a black pixel is before the normalization.
        high: What a white pixel is before the normalization.
        mean: Mean of each channel, in units of the range; none for no normalization.
        std: Standard deviation of each channel, in units of the range.

    Raises:
        InputError: If there is no such layout, the range is empty, or mean and std do not fit each other.
    """

    layout: str = "nchw"
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise InputError(f"the layout must be nchw, nhwc or flat, not {self.layout!r}")
        if not self.low < self.high:
            raise InputError(f"the range must have low < high, not {self.low:g} to {self.high:g}")
        if len(self.mean) != len(self.std) or any(value <= 0 for value in self.std):
            raise InputError("mean and std must have one number per channel each, with every std above 0")

    def __call__(self, images: Images) -> Tensor:
        values: Tensor = images
        if (self.low, self.high) != (0.0, 1.0):
            values = self.low + (self.high - self.low) * values
        if self.mean:
            mean, std = (self._channels(numbers, images) for numbers in (self.mean, self.std))
            values = (values - mean) / std
        if self.layout == "nhwc":
            return values.movedim(1, -1)
        return values.flatten(1) if self.layout == "flat" else values

    def _channels(self, numbers: tuple[float, ...], images: Images) -> Tensor:
        if len(numbers) != images.shape[1]:
            raise InputError(f"mean and std have {len(numbers)} numbers, the images {images.shape[1]} channels")
        shape = (-1,) + (1,) * (images.ndim - 2)
        return torch.tensor(numbers, dtype=images.dtype, device=images.device).reshape(shape)


@dataclass(frozen=True)
class Quantized:
    r"""How a file quantizes its input: :math:`q = \mathrm{round}(v / s) + z`, clamped to the type's range.

    Arguments:
        type: "int8", "uint8", "int16" or "uint16".
        scale: The scale s.
        zero_point: The zero point z.
    """

    type: str
    scale: float
    zero_point: int

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest value that is not clipped."""
        low, high = INTEGERS[self.type]
        return (low - self.zero_point) * self.scale, (high - self.zero_point) * self.scale
