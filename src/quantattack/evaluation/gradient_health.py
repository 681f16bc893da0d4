"""Whether cross entropy's gradient can be trusted: on clean images it is held against the exact one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.attacks.losses import cross_entropy, log_odds
from quantattack.gradients import NoGradient
from quantattack.types import Images, Labels, Logits, Mask, Model, PerImage

ALIGNED = 0.99  # cosine from which two gradients count as one direction


@dataclass(frozen=True)
class Health:
    """The float gradient of cross entropy on clean, correctly classified images, held against the exact direction.

    Arguments:
        images: How many images were looked at.
        zero: Share of them whose cross-entropy gradient is exactly zero although the log-odds gradient is not.
        wrong: Share of them whose cross-entropy gradient is not zero and points away: cosine under 0.99.
        silent: Share of them whose log-odds gradient is zero too: the model passes no gradient.
    """

    images: int = 0
    zero: float = 0.0
    wrong: float = 0.0
    silent: float = 0.0


@dataclass(frozen=True, eq=False)
class GradientComparison:
    """Cross entropy's gradient and the exact one, that of the log-odds, side by side for n images.

    Arguments:
        path: Whether the logits depend on the images through autograd at all; if not, both gradients are zero.
        nan: Where some entry of either is NaN or infinite, with shape (n,); such entries count as zero below.
        common: Cross entropy's gradient, with shape (n, ...).
        exact: The log-odds' gradient, with shape (n, ...).
        cosine: The cosine between the two, NaN where one of them is zero, with shape (n,).
        agreement: Share of the pixels at which their signs agree, with shape (n,).
    """

    path: bool
    nan: Mask
    common: Images
    exact: Images
    cosine: PerImage
    agreement: PerImage

    @property
    def silent(self) -> Mask:
        """The exact gradient is zero."""
        return _largest(self.exact) == 0

    @property
    def zero(self) -> Mask:
        """Cross entropy's gradient is zero although the exact one is not."""
        return (_largest(self.common) == 0) & ~self.silent

    @property
    def underflowed(self) -> Mask:
        """Cross entropy's largest entry is below the smallest normal number of its type, and not zero."""
        size = _largest(self.common)
        return (size > 0) & (size < torch.finfo(size.dtype).tiny)

    @property
    def wrong(self) -> Mask:
        """Cross entropy's gradient is not zero and points elsewhere: a cosine under 0.99."""
        return self.cosine < ALIGNED


def health_of(comparisons: Iterable[GradientComparison]) -> Health:
    """Return the shares over some batches of clean, correctly classified images.

    Arguments:
        comparisons: One for each batch.
    """
    masks = [(batch.zero, batch.wrong, batch.silent) for batch in comparisons]
    if not masks:
        return Health()
    zero, wrong, silent = (torch.cat(parts).double() for parts in zip(*masks, strict=True))
    return Health(len(zero), float(zero.mean()), float(wrong.mean()), float(silent.mean()))


def compare_gradients(model: Model, images: Images, labels: Labels) -> GradientComparison:
    """Compare cross entropy's gradient with the exact one: 2 forward and 2 backward passes.

    Arguments:
        model: Maps images to logits.
        images: Images with shape (n, ...).
        labels: Their classes with shape (n,).
    """
    common = raw_gradient(model, images, lambda logits: cross_entropy(logits, labels))
    exact = raw_gradient(model, images, lambda logits: log_odds(logits, labels))
    path = exact is not None
    common, exact = (torch.zeros_like(images) if grad is None else grad for grad in (common, exact))
    nan = ~(torch.isfinite(common) & torch.isfinite(exact)).flatten(1).all(1)
    common, exact = (torch.nan_to_num(grad, 0.0, 0.0, 0.0) for grad in (common, exact))
    return GradientComparison(path, nan, common, exact, *alignment(common, exact))


def raw_gradient(model: Model, images: Images, objective: Callable[[Logits], PerImage]) -> Images | None:
    """Return each image's gradient as autograd has it, NaN and all; None where there is no path to the images.

    Arguments:
        model: Maps images to logits.
        images: Images with shape (n, ...).
        objective: Maps logits with shape (n, k) to one number an image.
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
    """Return the cosine of two gradients of each image, NaN where one is zero, and the share of equal signs."""
    a, b = (_unit(grad.double().flatten(1)) for grad in (first, second))
    blank = (_largest(a) == 0) | (_largest(b) == 0)
    cosine = (a * b).sum(1).masked_fill(blank, torch.nan)
    return cosine, (first.sign() == second.sign()).flatten(1).double().mean(1)


def _unit(grad: Tensor) -> Tensor:
    largest = _largest(grad)[:, None]  # before the norm, whose square would underflow
    scaled: Tensor = grad / largest.where(largest > 0, largest.new_ones(()))
    length: Tensor = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return scaled / length.clamp_min(1.0)


def _largest(grad: Tensor) -> Tensor:
    return grad.flatten(1).abs().amax(1)
