"""Compares the floating-point gradient of cross entropy with the exact direction, that of the log-odds.

The two have the same direction in exact arithmetic.  In floating point, cross entropy's gradient underflows or loses
its direction where the softmax saturates; that of the log-odds does not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from quantattack.attacks.losses import cross_entropy, log_odds
from quantattack.gradients import NoGradient
from quantattack.types import Images, Labels, Logits, Mask, Model, PerImage

# Why two gradients of one direction differ: the softmax rounds, two backward passes of the same images differ, the
# backward pass is no linear map, or what it passes is next to nothing.
Cause: TypeAlias = Literal["rounding", "unsteady", "nonlinear", "tiny"]

_SCALE = 2**-10  # a power of two, by which a linear backward pass scales its gradient without rounding
_TINY = 1e-12  # of a gradient's largest entry, against a loss of the order of the logits
ALIGNED = 0.99  # smallest cosine at which two gradients count as having the same direction


@dataclass(frozen=True)
class Health:
    """How often cross entropy's gradient fails on clean, correctly classified images.

    Arguments:
        images: Number of images compared.
        zero: Fraction of them whose cross-entropy gradient is exactly zero although the log-odds gradient is not.
        wrong: Fraction of them whose two gradients are nonzero and have a cosine below 0.99.
        silent: Fraction of them whose log-odds gradient is zero: the model passes no gradient.
        nan: Fraction of them with a NaN or infinite entry in either gradient; such images count nowhere above.
        cause: Why the two of the wrong images differ.
    """

    images: int = 0
    zero: float = 0.0
    wrong: float = 0.0
    silent: float = 0.0
    nan: float = 0.0
    cause: Cause = "rounding"


@dataclass(frozen=True, eq=False)
class GradientComparison:
    """Cross entropy's gradient and the exact one, that of the log-odds, for n images.

    Arguments:
        path: Whether autograd has a path from the logits to the images; without one, both gradients are zero.
        nan: Images with a NaN or infinite entry in either, with shape (n,); such entries are set to zero below.
        common: Cross entropy's gradient, with shape (n, ...).
        exact: The log-odds' gradient, with shape (n, ...).
        cosine: The cosine between the two, NaN where one of them is zero, with shape (n,).
        agreement: Fraction of the pixels at which their signs agree, with shape (n,).
    """

    path: bool
    nan: Mask
    common: Images
    exact: Images
    cosine: PerImage
    agreement: PerImage

    @property
    def silent(self) -> Mask:
        """Images whose exact gradient is zero, with shape (n,); NaN entries are not."""
        return (_largest(self.exact) == 0) & ~self.nan

    @property
    def zero(self) -> Mask:
        """Images whose cross-entropy gradient is zero although the exact one is not, with shape (n,)."""
        return (_largest(self.common) == 0) & ~self.silent & ~self.nan

    @property
    def underflowed(self) -> Mask:
        """Images whose cross-entropy gradient is not zero but subnormal in its largest entry, with shape (n,)."""
        size = _largest(self.common)
        return (size > 0) & (size < torch.finfo(size.dtype).tiny)

    @property
    def wrong(self) -> Mask:
        """Images whose two gradients are nonzero and have a cosine below 0.99, with shape (n,)."""
        return self.cosine < ALIGNED


def health_of(comparisons: Iterable[GradientComparison]) -> Health:
    """Return how often cross entropy's gradient fails over several batches of clean, correctly classified images.

    Arguments:
        comparisons: One comparison per batch.
    """
    masks = [(batch.zero, batch.wrong & ~batch.nan, batch.silent, batch.nan) for batch in comparisons]
    if not masks:
        return Health()
    columns = [torch.cat(column).double() for column in zip(*masks, strict=True)]
    zero, wrong, silent, nan = (float(column.mean()) for column in columns)
    return Health(len(columns[0]), zero, wrong, silent, nan)


def cause_of(model: Model, images: Images, labels: Labels) -> Cause:
    """Return why cross entropy's gradient points elsewhere than the exact one on most of some images.

    The two losses hand a backward pass signals of one direction, but for rounding: where it is steady and linear, and
    what it passes not as small as float32's least numbers, only rounding is left.

    Arguments:
        model: Maps images to logits.
        images: Images with shape (n, ...) where the two differ.
        labels: True classes with shape (n,).
    """
    grads = [_scaled(model, images, labels, scale) for scale in (1.0, 1.0, _SCALE)]
    exact, again, scaled = (torch.zeros_like(images) if grad is None else torch.nan_to_num(grad) for grad in grads)
    if not _mostly(exact, again):
        return "unsteady"
    if not _mostly(exact, scaled):
        return "nonlinear"
    return "tiny" if float(_largest(exact).median()) < _TINY else "rounding"


def _scaled(model: Model, images: Images, labels: Labels, scale: float) -> Images | None:
    return raw_gradient(model, images, lambda logits: scale * log_odds(logits, labels))


def _mostly(first: Images, second: Images) -> bool:
    """Return whether two gradients of n images have the same direction on at least half of them."""
    return 2 * int((alignment(first, second)[0] >= ALIGNED).sum()) >= len(first)


def compare_gradients(model: Model, images: Images, labels: Labels) -> GradientComparison:
    """Compare cross entropy's gradient with the exact one, in 2 forward and 2 backward passes.

    Arguments:
        model: Maps images to logits.
        images: Images with shape (n, ...).
        labels: True classes with shape (n,).
    """
    common = raw_gradient(model, images, lambda logits: cross_entropy(logits, labels))
    exact = raw_gradient(model, images, lambda logits: log_odds(logits, labels))
    path = exact is not None
    common, exact = (torch.zeros_like(images) if grad is None else grad for grad in (common, exact))
    nan = ~(torch.isfinite(common) & torch.isfinite(exact)).flatten(1).all(1)
    common, exact = (torch.nan_to_num(grad, 0.0, 0.0, 0.0) for grad in (common, exact))
    return GradientComparison(path, nan, common, exact, *alignment(common, exact))


def raw_gradient(model: Model, images: Images, objective: Callable[[Logits], PerImage]) -> Images | None:
    """Return the per-image gradients from autograd, NaNs included; None if autograd has no path to the images.

    Arguments:
        model: Maps images to logits.
        images: Images with shape (n, ...).
        objective: Maps logits with shape (n, k) to one value per image, with shape (n,).
    """
    with torch.enable_grad():
        x = images.detach().requires_grad_()
        try:
            value = objective(model(x)).sum()
        except NoGradient:
            return None
        if not value.requires_grad:
            return None
        grad: Tensor | None = torch.autograd.grad(value, x, allow_unused=True)[0]
    return grad


def alignment(first: Images, second: Images) -> tuple[PerImage, PerImage]:
    """Return the per-image cosine of two gradients, NaN where one is zero, and the fraction of equal signs."""
    a, b = (_unit(grad.double().flatten(1)) for grad in (first, second))
    is_zero = (_largest(a) == 0) | (_largest(b) == 0)
    cosine = (a * b).sum(1).masked_fill(is_zero, torch.nan)
    return cosine, (first.sign() == second.sign()).flatten(1).double().mean(1)


def _unit(grad: Tensor) -> Tensor:
    """Return each row divided by its L2 norm; zero rows stay zero."""
    largest = _largest(grad)[:, None]  # scale first: the squares in the norm could underflow
    scaled: Tensor = grad / largest.where(largest > 0, largest.new_ones(()))
    length: Tensor = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return scaled / length.clamp_min(1.0)


def _largest(grad: Tensor) -> Tensor:
    return grad.flatten(1).abs().amax(1)
