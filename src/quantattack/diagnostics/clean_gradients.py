"""The gradients on clean images, held against each other: cross entropy's, the exact one, and float64's."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from quantattack.attacks.losses import cross_entropy, log_odds, margin
from quantattack.diagnostics.case import Case
from quantattack.types import Images, Logits, Mask, Model, PerImage

ALIGNED = 0.99  # cosine from which two gradients count as one direction


@dataclass(frozen=True)
class Limits:
    """The margins at which cross entropy's gradient fails in a floating-point type, with one rival.

    Arguments:
        rounded: The true class's entry rounds to 0: the direction is wrong from here on.
        flushed: The rival's entry leaves the normal numbers; where those are flushed, the gradient is 0.
        zero: It is 0 everywhere.
    """

    rounded: float
    flushed: float
    zero: float


def limits(dtype: torch.dtype) -> Limits:
    r"""Return a type's limits: :math:`-\ln(\epsilon/2)`, :math:`-\ln t` and :math:`-\ln(t \epsilon / 2)`.

    With machine epsilon and the smallest normal number t: 16.6, 87.3 and 104 for float32.
    """
    info = torch.finfo(dtype)
    half, tiny = math.log(info.eps / 2), math.log(info.tiny)
    return Limits(-half, -tiny, -tiny - half)


@dataclass(frozen=True, eq=False)
class CleanGradients:
    """What the gradients of each image are like.

    Arguments:
        margin: True logit minus the largest other.
        path: Whether the logits depend on the image through autograd at all.
        silent: The exact gradient, that of the log-odds, is zero.
        zero: Cross entropy's is zero although the exact one is not.
        underflowed: Cross entropy's largest entry is below the smallest normal number, and not zero.
        nan: Some entry of either is NaN or infinite.
        cosine: Cosine between the two, NaN where one of them is zero.
        agreement: Share of the pixels at which their signs agree.
        exact: The exact gradient, with shape (n, ...).
    """

    margin: PerImage
    path: bool
    silent: Mask
    zero: Mask
    underflowed: Mask
    nan: Mask
    cosine: PerImage
    agreement: PerImage
    exact: Images

    @property
    def wrong(self) -> Mask:
        """Cross entropy's gradient is not zero and points elsewhere: a cosine under 0.99."""
        return self.cosine < ALIGNED


def compare_gradients(case: Case) -> CleanGradients:
    """Look at the gradients on clean images, 2 forward and 2 backward passes each."""
    parts = [_compared(part) for part in case.batches()]
    tensors = {field.name: [getattr(part, field.name) for part in parts] for field in fields(CleanGradients)}
    path = all(tensors.pop("path"))
    return CleanGradients(path=path, **{name: torch.cat(column) for name, column in tensors.items()})


def _compared(case: Case) -> CleanGradients:
    labels = case.labels
    common = raw_gradient(case.host, case.images, lambda logits: cross_entropy(logits, labels))
    exact = raw_gradient(case.host, case.images, lambda logits: log_odds(logits, labels))
    path = exact is not None
    common, exact = (torch.zeros_like(case.images) if grad is None else grad for grad in (common, exact))
    nan = ~(torch.isfinite(common) & torch.isfinite(exact)).flatten(1).all(1)
    common, exact = (torch.nan_to_num(grad, 0.0, 0.0, 0.0) for grad in (common, exact))
    size, silent = common.flatten(1).abs().amax(1), exact.flatten(1).abs().amax(1) == 0
    zero = (size == 0) & ~silent
    faint = (size > 0) & (size < torch.finfo(size.dtype).tiny)
    cosine, agreement = alignment(common, exact)
    gap = -margin(case.logits().double(), labels)
    return CleanGradients(gap, path, silent, zero, faint, nan, cosine, agreement, exact)


def raw_gradient(model: Model, images: Images, objective: Callable[[Logits], PerImage]) -> Images | None:
    """Return each image's gradient as autograd has it, NaN and all; None where there is no path to the images."""
    with torch.enable_grad():
        x = images.detach().requires_grad_()
        value = objective(model(x)).sum()
        if not value.requires_grad:
            return None
        (grad,) = torch.autograd.grad(value, x, allow_unused=True)
    found: Tensor | None = grad
    return found


def alignment(one: Images, other: Images) -> tuple[PerImage, PerImage]:
    """Return the cosine of two gradients of each image, NaN where one is zero, and the share of equal signs."""
    a, b = (_unit(grad.double().flatten(1)) for grad in (one, other))
    blank = (a.abs().amax(1) == 0) | (b.abs().amax(1) == 0)
    cosine = (a * b).sum(1).masked_fill(blank, torch.nan)
    return cosine, (one.sign() == other.sign()).flatten(1).double().mean(1)


def _unit(grad: Tensor) -> Tensor:
    largest = grad.abs().amax(1, keepdim=True)  # before the norm, whose square would underflow
    scaled: Tensor = grad / largest.where(largest > 0, largest.new_ones(()))
    length: Tensor = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return scaled / length.clamp_min(1.0)


def in_float64(case: Case) -> Images | None:
    """Return the exact gradients through a double-precision copy; None where the model cannot be copied."""
    if not isinstance(case.host.model, nn.Module):
        return None
    try:
        twin = copy.deepcopy(case.host).double()
        parts = [_double(twin, part) for part in case.batches()]
    except (RuntimeError, TypeError, NotImplementedError):  # an operation of the model has no double precision
        return None
    found = [part for part in parts if part is not None]
    return torch.cat(found) if len(found) == len(parts) else None


def _double(twin: nn.Module, case: Case) -> Images | None:
    return raw_gradient(twin, case.images.double(), lambda logits: log_odds(logits, case.labels))
