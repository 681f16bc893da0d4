"""The grid of pixel values that images of a few bits can have, and the nearest image on it inside a ball."""

from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.attacks.norms import L1, L2, Norm
from quantattack.errors import InputError
from quantattack.types import Images, Mask, PerImage

BYTE = 256  # levels of an 8-bit image
_NEAR = 1e-6  # fraction of the pixel range by which a pixel may be off its level, for rounding
_WHOLE = 1e-6  # levels by which a radius may fall short of a whole number of them, for rounding
_OVER = 1e-9  # fraction by which a perturbation may exceed the ball, for rounding; sizes are sums of whole numbers
_POWERS = {L1: 1, L2: 2}  # the norm to this power is a sum over pixels


@dataclass(frozen=True)
class Grid:
    r"""The pixel values :math:`\mathrm{low} + i\,(\mathrm{high} - \mathrm{low}) / (\mathrm{levels} - 1)`.

    Arguments:
        low: The first value.
        high: The last value.
        levels: How many values there are; 256 for 8-bit images.
    """

    low: int | float
    high: int | float
    levels: int

    def __call__(self, images: Images) -> Images:
        """Round every pixel to the nearest value, with derivative 1: a model of the result is attacked on the grid."""
        rounded = self.values(self.positions(images).round(), images.dtype).detach()
        # the difference is exactly zero, so that the values stay exact
        return rounded + (images - images.detach()) if images.requires_grad else rounded

    @property
    def step(self) -> float:
        """The distance between two neighboring values."""
        return (self.high - self.low) / (self.levels - 1)

    def positions(self, images: Images) -> Tensor:
        """Return each pixel's position between the values, in float64: i at the i-th one, from 0."""
        return (images.detach().double() - self.low) * (self.levels - 1) / (self.high - self.low)

    def values(self, index: Tensor, dtype: torch.dtype) -> Images:
        """Return the pixels with given indices, in float32 for any dtype, as readers of 8-bit images compute them."""
        return (index.float() * (self.high - self.low) / (self.levels - 1) + self.low).to(dtype)

    def holds(self, images: Images) -> Mask:
        """Return whether all pixels of each image are values of the grid, up to 1e-6 of the pixel range."""
        at = self.positions(images)
        index = at.round()
        off = (at - index).abs() > _NEAR * (self.levels - 1)
        return ~(off | (index < 0) | (index >= self.levels)).flatten(1).any(1)

    def indices(self, images: Images) -> Tensor:
        """Return the index of each pixel's value, in float64.

        Raises:
            InputError: If a pixel is not on the grid.
        """
        at = self.positions(images)
        index = at.round()
        if images.numel() and not float((at - index).abs_().amax()) <= _NEAR * (self.levels - 1):
            raise self.off("a clean image")
        return index

    def off(self, which: str) -> InputError:
        """Return the error for clean images that are not on the grid.

        Arguments:
            which: The images, in words.
        """
        return InputError(
            f"{which} is not on the grid of {self.levels} levels in [{self.low:g}, {self.high:g}]; "
            "round the images, or leave the levels out of the threat (--no-pixels)"
        )

    def whole(self, radius: Tensor) -> Tensor:
        """Return radii rounded down to whole numbers of levels."""
        return (radius / self.step + _WHOLE).floor() * (self.high - self.low) / (self.levels - 1)

    def distance(self, images: Images, clean: Images, norm: Norm) -> PerImage:
        """Return the norm of each perturbation, of the images rounded to the grid; exact, from whole numbers."""
        delta = self.positions(images).round() - self.indices(clean)
        return norm.size(delta) * (self.high - self.low) / (self.levels - 1)

    def contains(self, images: Images, clean: Images, norm: Norm, radius: float) -> Mask:
        """Return whether each image is on the grid and within the radius of its clean image."""
        return self.holds(images) & (self.distance(images, clean, norm) <= radius * (1 + _OVER))

    def contains_each(self, images: Images, clean: Images, limits: Tensor) -> Mask:
        """Return whether each image is on the grid and each of its pixels within its own limit.

        Arguments:
            images: Images with shape (n, ...).
            clean: Clean images on the grid, with the same shape.
            limits: How far the pixels may move, of a shape that broadcasts to the images'.
        """
        moved = (self.positions(images).round() - self.indices(clean)).abs() * (self.high - self.low)
        return self.holds(images) & (moved / (self.levels - 1) <= limits * (1 + _OVER)).flatten(1).all(1)

    def snap(self, images: Images, clean: Images, norm: Norm, radius: Tensor) -> Images:
        """Return the nearest image on the grid that is within the radius of the clean one.

        Every pixel is rounded.  Under L2 and L1 this may leave the ball: then the fewest pixels are put one level
        nearer to the clean image, those that shorten the perturbation most, and of these the ones nearest to the
        middle between two levels.  That always suffices, since rounding all pixels toward the clean image shortens it.

        Arguments:
            images: Images with shape (n, ...).
            clean: Clean images on the grid, with the same shape.
            norm: The ball's norm.
            radius: Its radii with shape (n,), in units of the pixel range; under Linf also of each pixel.

        Raises:
            InputError: If a clean image is not on the grid.
        """
        first = self.indices(clean)
        most = radius.to(first) / self.step
        delta = norm.project(self.positions(images) - first, most, -first, self.levels - 1 - first)
        moved = (first + delta).round() - first
        power = _POWERS.get(type(norm))
        if power is not None:
            excess = moved.abs().pow(power).flatten(1).sum(1) - most.pow(power) * (1 + _OVER)
            over = excess > 0
            if bool(over.any()):
                moved[over] = _shortened(moved[over], delta[over], excess[over], power)
        return self.values(first + moved, clean.dtype)


def _shortened(moved: Tensor, delta: Tensor, excess: PerImage, power: int) -> Tensor:
    """Put the fewest pixels one level nearer to zero, of those that rounding put farther, until no excess is left.

    Arguments:
        moved: Rounded perturbations in levels, with shape (n, ...).
        delta: The perturbations before rounding.
        excess: By how much the sum of the rounded ones to the power is too large, with shape (n,).
        power: The power, 1 or 2.
    """
    size, before = moved.abs().flatten(1), delta.abs().flatten(1)
    saved = torch.where(size > before, size.pow(power) - (size - 1).pow(power), 0)
    # savings are whole numbers, so that the farther of two equal ones goes first
    order = (saved + (size - before)).masked_fill(saved == 0, 0).sort(dim=1, descending=True, stable=True).indices
    ordered = saved.gather(1, order)
    flipped = (ordered.cumsum(1) - ordered < excess[:, None]) & (ordered > 0)
    flip = torch.zeros_like(size).scatter(1, order, flipped.to(size))
    return moved - moved.sign() * flip.reshape(moved.shape)
