"""Norms: size, steepest ascent step, projection onto the intersection of ball and pixel range, random sampling."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from quantattack.errors import unknown
from quantattack.record.description import tagged
from quantattack.rng import NOISE, START, Rng
from quantattack.types import Images, PerImage

_BISECTIONS = 40


@runtime_checkable
class Norm(Protocol):
    """A perturbation norm.

    If `needs_room`, the steepest step depends on the room: how far each pixel can move within the pixel range.
    """

    needs_room: ClassVar[bool]

    def size(self, delta: Images) -> PerImage: ...

    def steepest(self, grad: Images, room: Images | None = None) -> Images: ...

    def project(self, delta: Images, radius: PerImage, low: Images, high: Images) -> Images: ...

    def sample(self, like: Images, radius: PerImage, rng: Rng) -> Images: ...


@tagged("Linf")
@dataclass(frozen=True)
class Linf:
    r"""The maximum norm :math:`\max_i |\delta_i|`; its steepest step is the sign of the gradient.

    Radii are per image, or have a shape that broadcasts to (n, ...): then each pixel has its own.
    """

    needs_room: ClassVar[bool] = False

    def size(self, delta: Images) -> PerImage:
        return delta.flatten(1).abs().amax(1)

    def steepest(self, grad: Images, room: Images | None = None) -> Images:  # noqa: ARG002
        return grad.sign()

    def project(self, delta: Images, radius: Tensor, low: Images, high: Images) -> Images:
        radius = _per_pixel(radius, delta)
        return torch.clamp(delta, torch.maximum(low, -radius), torch.minimum(high, radius))

    def sample(self, like: Images, radius: Tensor, rng: Rng) -> Images:
        return (2 * rng.uniform(0, START, like.shape[1:], like.dtype) - 1) * _per_pixel(radius, like)


@tagged("L2")
@dataclass(frozen=True)
class L2:
    r"""The Euclidean norm :math:`\sqrt{\sum_i \delta_i^2}`; its steepest step is the normalized gradient."""

    needs_room: ClassVar[bool] = False

    def size(self, delta: Images) -> PerImage:
        size: Tensor = torch.linalg.vector_norm(delta.flatten(1), dim=1)
        return size

    def steepest(self, grad: Images, room: Images | None = None) -> Images:  # noqa: ARG002
        grad = at_most_one(grad)
        return grad / per_image(self.size(grad).clamp_min(torch.finfo(grad.dtype).tiny), grad)

    def project(self, delta: Images, radius: PerImage, low: Images, high: Images) -> Images:
        """Project by bisection on the scale s of clip(s δ, low, high), whose norm increases with s."""
        inside = delta.clamp(low, high)
        over = self.size(inside) > radius
        if bool(over.any()):
            inside[over] = self._shrunk(delta[over], radius[over], low[over], high[over])
        return inside

    def _shrunk(self, delta: Images, radius: PerImage, low: Images, high: Images) -> Images:
        scale = radius / self.size(delta) * (1 - 4 * torch.finfo(delta.dtype).eps)
        inside = (delta * per_image(scale, delta)).clamp(low, high)
        slack = self.size(inside) < radius * (1 - 1e-9)  # clipping reduced the norm: a larger scale still fits
        if bool(slack.any()):
            inside[slack] = self._bisected(delta[slack], scale[slack], radius[slack], low[slack], high[slack])
        return inside

    def _bisected(self, delta: Images, scale: PerImage, radius: PerImage, low: Images, high: Images) -> Images:
        flat, least, most = delta.flatten(1), low.flatten(1), high.flatten(1)
        below, above = scale[:, None], torch.ones_like(scale)[:, None]
        for _ in range(_BISECTIONS):
            middle = (below + above) / 2
            size = torch.linalg.vector_norm((flat * middle).clamp(least, most), dim=1, keepdim=True)
            fits = size <= radius[:, None]
            below, above = torch.where(fits, middle, below), torch.where(fits, above, middle)
        return (flat * below).clamp(least, most).reshape(delta.shape)

    def sample(self, like: Images, radius: PerImage, rng: Rng) -> Images:
        noise = self.steepest(rng.normal(0, START, like.shape[1:], like.dtype))
        length = _root(rng.uniform(0, NOISE, (), torch.float64), math.prod(like.shape[1:])) * radius
        return noise * per_image(length, like)


@tagged("L1")
@dataclass(frozen=True)
class L1:
    r"""The L1 norm :math:`\sum_i |\delta_i|`; its steepest step moves the pixels with the largest gradients.

    With unlimited room the whole step goes to the pixel with the largest gradient.  Otherwise pixels move to the end
    of the pixel range in the order of their gradients, until the step is used up.  Each overshoots the range by one
    step more than the next: clipping removes the excess, but it makes the projection shrink the pixels with the
    smallest gradients first.
    """

    needs_room: ClassVar[bool] = True

    def size(self, delta: Images) -> PerImage:
        return delta.flatten(1).abs().sum(1)

    def steepest(self, grad: Images, room: Images | None = None) -> Images:
        flat = at_most_one(grad).flatten(1)
        rank = torch.sort(flat.abs(), dim=1, descending=True, stable=True).indices
        space = torch.full_like(flat, torch.inf) if room is None else room.flatten(1).clamp_min(0)
        space = space.gather(1, rank)
        full = space.cumsum(1) <= 1
        rest = 1 - torch.where(full, space, 0).sum(1, keepdim=True)
        reached = full | torch.cat([torch.ones_like(full[:, :1]), full[:, :-1]], 1)
        after = reached.sum(1, keepdim=True) - reached.cumsum(1)
        amount = torch.where(reached, torch.where(full, space, rest) + after, 0)
        return (torch.zeros_like(flat).scatter(1, rank, amount) * flat.sign()).reshape(grad.shape)

    def project(self, delta: Images, radius: PerImage, low: Images, high: Images) -> Images:
        """Project exactly: clip(soft(δ, λ), low, high), soft-thresholded with the λ at which the norm is the radius.

        The norm is piecewise linear in λ with two kinks per pixel (Croce and Hein, 2021,
        https://arxiv.org/abs/2103.01208).
        """
        inside = delta.clamp(low, high)
        over = self.size(inside) > radius
        if bool(over.any()):
            inside[over] = self._shrunk(delta[over], radius[over], low[over], high[over])
        return inside

    def _shrunk(self, delta: Images, radius: PerImage, low: Images, high: Images) -> Images:
        size = delta.flatten(1).abs().double()
        cap = torch.where(delta > 0, high, -low).flatten(1).double()
        threshold = _threshold(size, cap, radius.double())
        kept = torch.minimum((size - threshold[:, None]).clamp_min(0), cap)
        return (kept.reshape(delta.shape) * delta.sign()).to(delta.dtype)

    def sample(self, like: Images, radius: PerImage, rng: Rng) -> Images:
        uniform = rng.uniform(0, START, like.shape[1:], torch.float64)
        weight = -torch.log1p(-uniform)  # normalized exponentials are uniform on the simplex
        weight = weight / per_image(weight.flatten(1).sum(1).clamp_min(1e-300), weight)
        length = _root(rng.uniform(0, NOISE, (), torch.float64), math.prod(like.shape[1:])) * radius.double()
        signs = rng.signs(1, START, like.shape[1:], torch.float64)
        return (weight * signs * per_image(length, weight)).to(like.dtype)


def _root(values: PerImage, degree: int) -> PerImage:
    """Return the root of each number; `pow` would round a number differently by its position in the batch."""
    return (values.log() / degree).exp()


def _threshold(size: Tensor, cap: Tensor, radius: Tensor) -> Tensor:
    """Return the λ at which the sum of min(max(size - λ, 0), cap) is the radius, with shape (n,)."""
    kinks = torch.cat([size, size - cap], 1)
    slope = torch.cat([torch.ones_like(size), -torch.ones_like(size)], 1)
    kinks, order = kinks.sort(1, descending=True)
    slope = slope.gather(1, order)
    count, weight = slope.cumsum(1), (slope * kinks).cumsum(1)
    last = ((weight - count * kinks <= radius[:, None]).sum(1) - 1).clamp_min(0)[:, None]
    count, kink = count.gather(1, last), kinks.gather(1, last)
    # Without a pixel that shrinks the sum is flat beyond the kink, which then is as good as what follows.
    threshold = torch.where(count > 0, (weight.gather(1, last) - radius[:, None]) / count.clamp_min(1), kink)
    return threshold[:, 0].clamp_min(0)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Reshape per-image values from (n,) to (n, 1, ...), so that they broadcast over the pixels of `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _per_pixel(radius: Tensor, like: Tensor) -> Tensor:
    """Return radii that broadcast over the pixels of `like`: those per image reshaped, others as they are."""
    return per_image(radius, like) if radius.ndim == 1 else radius


def at_most_one(grad: Images) -> Images:
    """Divide each image's gradient by its largest entry, so that squaring or summing it cannot underflow."""
    largest = grad.flatten(1).abs().amax(1)
    return grad / per_image(torch.where(largest > 0, largest, 1), grad)


NORMS: Mapping[str, Norm] = {"linf": Linf(), "l2": L2(), "l1": L1()}


def norm_named(name: str) -> Norm:
    """Return the norm with a name: linf, l2 or l1, in upper or lower case.

    Raises:
        InputError: If there is no such norm; it suggests the closest known name.
    """
    if name.lower() not in NORMS:
        raise unknown("norm", name, NORMS)
    return NORMS[name.lower()]
