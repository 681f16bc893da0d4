"""The threat model: the set of admissible images, onto which attacks project and in which results are checked."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from quantattack.attacks.grid import Grid
from quantattack.attacks.norms import Linf, Norm, norm_named, per_image
from quantattack.attacks.pixel_radii import PixelRadii, number_and_each, rounded_each
from quantattack.errors import InputError, is_number
from quantattack.record.description import tagged
from quantattack.rng import Rng
from quantattack.types import Images, Mask, PerImage

_AT_ONCE = 1 << 16  # pixels per chunk of a projection on a CPU
_MOST_LEVELS = 1 << 16  # 16-bit images


@tagged("Threat")
@dataclass(frozen=True, init=False)
class Threat:
    r"""The images within a radius of the clean one and inside the pixel range.

    .. math:: \{x' : \|x' - x\| \le \epsilon,\ \mathrm{low} \le x' \le \mathrm{high}\}

    Arguments:
        norm: `Linf()`, `L2()` or `L1()`, or its name: "linf", "l2" or "l1".
        radius: Largest norm of the perturbation, in units of the pixel range (8/255 for 8 of 255 gray levels).  Under
            Linf also a tensor or nested sequence that broadcasts to an image: each pixel's own radius.  Then `radius`
            is the largest of them, and steps, starts and the judge's test scale with each pixel's own.
        low: Lower end of the pixel range.
        high: Upper end of the pixel range.
        levels: Number of values that a pixel can have, 256 for 8-bit images: low + i (high - low) / (levels - 1).
            Attacks then search, and the judge measures, images of these values alone, and a radius under Linf is
            rounded down to whole levels; a pixel with less than one stays.  None for any real number.
        each: The radii of the pixels, at a radius as large as their largest; to be left out, as `radius` brings them.

    Raises:
        InputError: If there is no such norm, the radius is not a positive number, or larger than the range under Linf,
            or the levels are not a whole number from 2 to 65536, or the radius is below one level, or pixels have
            radii of their own under another norm than Linf.
    """

    norm: Norm
    radius: int | float
    low: int | float
    high: int | float
    levels: int | None = field(default=None, metadata={"recorded_as": "levels"})  # recorded only where there are any
    each: PixelRadii | None = field(default=None, metadata={"recorded_as": "each"})  # likewise

    def __init__(
        self,
        norm: Norm | str,
        radius: int | float | Any,
        low: int | float = 0.0,
        high: int | float = 1.0,
        levels: int | None = None,
        each: PixelRadii | None = None,
    ) -> None:
        radius, each = number_and_each(radius, each)
        given = {
            "norm": norm_named(norm) if isinstance(norm, str) else norm,
            "radius": radius,
            "low": low,
            "high": high,
            "levels": levels,
            "each": each,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)  # fields of a frozen dataclass cannot be assigned
        self._check()

    def __repr__(self) -> str:
        radius = self.radius if self.each is None else self.each
        about = f"norm={self.norm!r}, radius={radius!r}, low={self.low!r}, high={self.high!r}, levels={self.levels!r}"
        return f"Threat({about})"

    def _check(self) -> None:
        if isinstance(self.norm, type) or not isinstance(self.norm, Norm):
            raise InputError(f"the norm must be Linf(), L2() or L1(), not {self.norm!r}")
        if self.each is not None and not isinstance(self.norm, Linf):
            raise InputError(f"radii per channel or pixel are for Linf; give one number under {self.norm!r}")
        if not is_number(self.radius) or self.radius <= 0:
            raise InputError(f"the radius must be a positive number, not {self.radius!r}; 8/255 is usual for images")
        if not (is_number(self.low) and is_number(self.high) and self.low < self.high):
            raise InputError(f"the pixel range must have low < high, not {self.low} to {self.high}")
        if isinstance(self.norm, Linf) and self.radius > self.high - self.low:
            raise InputError(f"the radius {self.radius:g} is over the pixel range {self.low:g} to {self.high:g}")
        if self.levels is not None:
            check_levels(self.levels)
            if self.radius_in_levels < 1:
                raise InputError(
                    f"the radius {self.radius:g} is below one of {self.levels} levels ({self.grid.step:.4g}), "
                    "so no pixel can change; take a larger radius, or no levels"
                )

    @property
    def grid(self) -> Grid:
        """The values that a pixel can have.

        Raises:
            InputError: If the threat has no levels.
        """
        if self.levels is None:
            raise InputError("the threat has no levels, so there is no grid; make it with levels=256")
        return Grid(self.low, self.high, self.levels)

    @property
    def radius_in_levels(self) -> float:
        """The radius in units of one level; under Linf a whole number, rounded down."""
        one = torch.tensor([self.radius], dtype=torch.float64)
        return float((self.grid.whole(one) if isinstance(self.norm, Linf) else one) / self.grid.step)

    def radii(self, clean: Images, radius: PerImage | None = None) -> PerImage:
        """Return per-image radii with shape (n,), by default the threat's; float64 avoids rounding them up.

        On a grid they are rounded down to whole levels under Linf.  Where each pixel has its own radius, they are the
        largest of an image, and `limits` are rounded.
        """
        own = torch.full((len(clean),), self.radius, dtype=torch.float64, device=clean.device)
        own = own if radius is None else radius.to(own)
        whole = self.levels is not None and self.each is None and isinstance(self.norm, Linf)
        return self.grid.whole(own) if whole else own

    def spread(self, amount: PerImage, like: Images) -> Tensor:
        """Return an amount per image for each pixel, in proportion to the pixels' own radii if they have any.

        Arguments:
            amount: What the pixel with the largest radius gets, with shape (n,).
            like: Images with shape (n, ...), to which the result broadcasts.

        Raises:
            InputError: If the pixels' radii do not fit the images.
        """
        if self.each is None:
            return per_image(amount, like)
        self.each.check(like.shape[1:])
        return per_image(amount / self.each.most, like) * self.each.values.to(amount)

    def limits(self, radii: PerImage, like: Images) -> Tensor:
        """Return how far each pixel may move, of images with given largest radii; without own ones, the radii."""
        if self.each is None:
            return radii
        limits = self.spread(radii, like)
        return limits if self.levels is None else self.grid.whole(limits)

    def project(self, images: Images, clean: Images, radius: PerImage | None = None) -> Images:
        """Project images onto the threat; rounding is toward the clean images, so that none ends up outside."""
        return _in_chunks(self._projected, images, clean, self.radii(clean, radius))

    def _projected(self, images: Images, clean: Images, radii: PerImage) -> Images:
        x = clean.double()
        delta = images.double() - x
        delta = self.norm.project(delta, self.limits(radii, x), self.low - x, self.high - x)
        moved = x + delta
        over = (moved - x).abs() > delta.abs()  # the sum was rounded away from the clean image
        return toward(torch.where(over, torch.nextafter(moved, x), moved), clean)

    def snap(self, images: Images, clean: Images, radius: PerImage | None = None) -> Images:
        """Return the nearest images on the grid inside the threat; without levels, the images as they are.

        An attack moves its iterates in real numbers, shows the model the snapped ones, and returns those.

        Arguments:
            images: Images with shape (n, ...).
            clean: Clean images with the same shape, on the grid.
            radius: Per-image radii with shape (n,); None for the threat's radius.

        Raises:
            InputError: If a clean image is not on the grid.
        """
        if self.levels is None:
            return images
        return _in_chunks(self._snapped, images, clean, self.radii(clean, radius))

    def _snapped(self, images: Images, clean: Images, radii: PerImage) -> Images:
        return self.grid.snap(images, clean, self.norm, self.limits(radii, clean))

    def distance(self, images: Images, clean: Images) -> PerImage:
        """Return each perturbation's norm in float64, with shape (n,); of the rounded images if there are levels."""
        if self.levels is not None:
            return self.grid.distance(images, clean, self.norm)
        return self.norm.size(images.double() - clean.double())

    def sample(self, clean: Images, rng: Rng, radius: PerImage | None = None) -> Images:
        """Return random images inside the threat: clean plus a sample of the norm's ball, projected."""
        limits = self.limits(self.radii(clean, radius), clean)
        return self.project(clean + self.norm.sample(clean, limits, rng), clean, radius)

    def room(self, images: Images, grad: Images) -> Images:
        """Return how far each pixel can move along its gradient before it leaves the pixel range."""
        return torch.where(grad > 0, self.high - images, images - self.low)

    def contains(self, images: Images, clean: Images, slack: int | float = 0.0) -> Mask:
        """Return whether each image is inside the threat, with a slack relative to the radius.

        With a nonzero slack, rounding of the pixels to the images' dtype is tolerated too.  An image that is not on
        the grid of a threat with levels is outside, and no slack is needed there.
        """
        if self.each is not None:
            return self._holds_each(images, clean, slack)
        if self.levels is not None:
            return self.grid.contains(images, clean, self.norm, float(self.radii(clean[:1])[0]))
        size = self.norm.size(images.double() - clean.double())
        flat = images.flatten(1)
        in_range = (flat.amin(1) >= self.low) & (flat.amax(1) <= self.high)
        most = self.radius * (1 + slack)
        return in_range & (size <= (most + self._rounding(images) if slack else most))

    def _holds_each(self, images: Images, clean: Images, slack: int | float) -> Mask:
        """Return whether every pixel of each image is within its own radius."""
        limits = self.limits(self.radii(clean), clean)
        if self.levels is not None:
            return self.grid.contains_each(images, clean, limits)
        rounding = torch.finfo(images.dtype).eps / 2 * max(abs(self.low), abs(self.high)) if slack else 0.0
        near = (images.double() - clean.double()).abs() <= limits * (1 + slack) + rounding
        return (near & (images >= self.low) & (images <= self.high)).flatten(1).all(1)

    def _rounding(self, images: Images) -> PerImage:
        """Return the norm of a perturbation by half a unit in the last place in every pixel."""
        pixel = torch.finfo(images.dtype).eps / 2 * max(abs(self.low), abs(self.high))
        return self.norm.size(torch.full_like(images, pixel, dtype=torch.float64))

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a radius larger than the distance between any two images of this shape in the pixel range.

        Raises:
            InputError: If no two images in the range are as far apart as the radius, or the pixels' own radii do not
                fit the shape.
        """
        if self.each is not None:
            self.each.check(shape)
        widest = float(self.norm.size(torch.full((1, *shape), self.high - self.low, dtype=torch.float64)))
        if self.radius > widest * (1 + 1e-9):
            raise InputError(
                f"the radius {self.radius:g} is over the range: no two images are more than {widest:g} apart"
            )


def threats_in(setting: object) -> Iterator[Threat]:
    """Yield every `Threat` among an attack's settings, those of nested attacks included."""
    if isinstance(setting, Threat):
        yield setting
        return
    nested: Iterable[object] = ()
    if is_dataclass(setting) and not isinstance(setting, type):
        nested = [getattr(setting, field.name) for field in fields(setting)]
    elif isinstance(setting, Mapping):
        nested = setting.values()
    elif isinstance(setting, tuple | list):
        nested = setting
    for value in nested:
        yield from threats_in(value)


def _in_chunks(
    change: Callable[[Images, Images, PerImage], Images], images: Images, clean: Images, radii: PerImage
) -> Images:
    """Change images in chunks, so that the float64 copies fit in a CPU's caches; on a GPU all at once."""
    rows = max(1, _AT_ONCE // max(1, math.prod(clean.shape[1:])))
    if clean.is_cuda or len(clean) <= rows:
        return change(images, clean, radii)
    batches = zip(*(torch.split(column, rows) for column in (images, clean, radii)), strict=True)
    return torch.cat([change(*batch) for batch in batches])


def check_levels(levels: object) -> None:
    """Raise InputError unless the argument is a whole number of levels from 2 to 65536."""
    whole = isinstance(levels, Integral) and not isinstance(levels, bool)
    if not whole or not 2 <= int(levels) <= _MOST_LEVELS:  # type: ignore[call-overload]
        raise InputError(f"the levels must be a whole number from 2 to {_MOST_LEVELS}, 256 for bytes, not {levels!r}")


def rounded_radius(threat: Threat) -> str | None:
    """Return in one line what a radius that is no multiple of a level comes to; None where nothing is rounded."""
    if threat.levels is None or not isinstance(threat.norm, Linf):
        return None
    if threat.each is not None:
        return rounded_each(threat.each, threat.grid)
    count, step = round(threat.radius_in_levels), threat.grid.step
    if abs(threat.radius / step - count) < 1e-3:  # 0.0314 is meant as 8/255
        return None
    return f"radius {threat.radius:g} is {count} levels of {threat.levels - 1}: {count * step:.4g}"


def toward(images: Tensor, clean: Images) -> Images:
    """Cast images to the dtype of the clean ones, rounding toward them, so that no perturbation grows."""
    if images.dtype == clean.dtype:
        return images
    exact = images.double()
    rounded = images.to(clean.dtype)
    x = clean.double()
    over = (rounded.double() - x).abs() > (exact - x).abs()
    return torch.where(over, torch.nextafter(rounded, clean), rounded)
