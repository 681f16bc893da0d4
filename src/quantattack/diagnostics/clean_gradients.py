"""What the gradients on clean images are like: cross entropy's, the exact one, and float64's."""

import copy
import math
from dataclasses import dataclass, fields

import torch
from torch import nn

from quantattack.attacks.losses import log_odds, margin
from quantattack.diagnostics.case import Case
from quantattack.errors import CallFailed
from quantattack.evaluation.checks import are_probabilities
from quantattack.evaluation.gradient_health import ALIGNED, compare_gradients, raw_gradient
from quantattack.types import Images, Mask, PerImage

_ROUNDING = 1e-6  # of float32, at 1


@dataclass(frozen=True)
class Limits:
    """The margins at which cross entropy's gradient fails in a floating-point type, for two classes.

    Arguments:
        rounded: The error signal's entry of the true class rounds to 0: the direction is wrong from here on.
        flushed: The other class's entry is subnormal; where subnormal numbers are flushed, the gradient is 0.
        zero: The gradient is 0 everywhere.
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
    """The gradients of each of n clean images, and its margin.

    Arguments:
        margin: True logit minus the largest other, with shape (n,).
        path: Whether the logits depend on the images through autograd at all.
        probabilities: Whether the outputs are probabilities, so that margins are theirs and not the logits'.
        silent: Where the exact gradient, that of the log-odds, is zero.
        zero: Where cross entropy's gradient is zero although the exact one is not.
        underflowed: Where cross entropy's largest entry is below the smallest normal number, and not zero.
        nan: Where some entry of either is NaN or infinite.
        cosine: Cosine between the two, NaN where one of them is zero.
        agreement: Share of the pixels at which their signs agree.
        exact: The exact gradient, with shape (n, ...).
    """

    margin: PerImage
    path: bool
    probabilities: bool
    silent: Mask
    zero: Mask
    underflowed: Mask
    nan: Mask
    cosine: PerImage
    agreement: PerImage
    exact: Images

    @property
    def wrong(self) -> Mask:
        """Where cross entropy's gradient is not zero and points elsewhere: a cosine under 0.99."""
        return self.cosine < ALIGNED

    @property
    def flat(self) -> Mask:
        """Where no gradient arrives since the outputs are probabilities that are 1 and 0 to rounding."""
        return self.silent & (self.margin >= 1 - _ROUNDING if self.probabilities else self.silent.new_zeros(()))


def clean_gradients(case: Case) -> CleanGradients:
    """Return the gradients on a case's images: 3 forward and 2 backward passes per image."""
    batches = [_of_batch(batch) for batch in case.batches()]
    columns = {field.name: [vars(batch)[field.name] for batch in batches] for field in fields(CleanGradients)}
    path, probabilities = (all(columns.pop(name)) for name in ("path", "probabilities"))
    return CleanGradients(
        path=path, probabilities=probabilities, **{name: torch.cat(column) for name, column in columns.items()}
    )


def _of_batch(case: Case) -> CleanGradients:
    compared, outputs = compare_gradients(case.host, case.images, case.labels), case.climbed()
    return CleanGradients(
        margin=-margin(outputs.double(), case.labels),
        path=compared.path,
        probabilities=are_probabilities(outputs),
        silent=compared.silent,
        zero=compared.zero,
        underflowed=compared.underflowed,
        nan=compared.nan,
        cosine=compared.cosine,
        agreement=compared.agreement,
        exact=compared.exact,
    )


def in_float64(case: Case) -> Images | None:
    """Return the exact gradients through a double-precision copy; None where the model cannot be copied."""
    if not isinstance(case.host.model, nn.Module):
        return None
    try:
        twin = copy.deepcopy(case.host).double()
        batches = [_double(twin, batch) for batch in case.batches()]
    except (CallFailed, RuntimeError, TypeError, NotImplementedError):  # an operation has no double precision
        return None
    known = [grad for grad in batches if grad is not None]
    return torch.cat(known) if len(known) == len(batches) else None


def _double(twin: nn.Module, case: Case) -> Images | None:
    return raw_gradient(twin, case.images.double(), lambda logits: log_odds(logits, case.labels))
