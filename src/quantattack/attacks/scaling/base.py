"""What a temperature is: a positive number that each image's logits are multiplied by, constant in the derivative.

No prediction depends on it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TypeAlias

import torch
from torch import Tensor

from quantattack.gradients import parts_of
from quantattack.types import Images, Labels, Logits, Mask, Model, PerImage

Rescale: TypeAlias = Callable[[Logits, Labels], Logits]


Temperature: TypeAlias = Callable[[Model, Images, Labels], Rescale]


_CLOSEST = 1e-3  # a margin counts as at least this share of the range: bounds beta on near ties


def unit(model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG001
    """Leave the logits as they are."""
    return _same


def _same(logits: Logits, labels: Labels) -> Logits:  # noqa: ARG001
    return logits


def fit_in_batches(temperature: Temperature, model: Model, images: Images, labels: Labels) -> Rescale:
    """Let a temperature look at images, no more of them at once than the model asks for."""
    found = [temperature(model, images[rows], labels[rows]) for rows in parts_of(model, len(images))]
    first = found[0]
    if len(found) == 1 or not hasattr(first, "keep"):
        return first
    names = [field.name for field in fields(first) if isinstance(getattr(first, field.name), Tensor)]  # type: ignore[arg-type]
    return replace(first, **{name: torch.cat([getattr(part, name) for part in found]) for name in names})  # type: ignore[type-var]


def select_rows(rescale: Rescale, rows: slice) -> Rescale:
    """Return a rescaling for some rows of the images that it was made for."""
    kept: Rescale = rescale.keep(rows) if hasattr(rescale, "keep") else rescale
    return kept


@dataclass(frozen=True, eq=False)
class Scaled:
    """Logits times one number an image.

    Arguments:
        beta: Inverse temperatures with shape (n,).
    """

    beta: PerImage

    def __call__(self, logits: Logits, labels: Labels) -> Logits:  # noqa: ARG002
        return logits * self.beta.to(logits)[:, None]

    def keep(self, mask: Mask | slice) -> "Scaled":
        return Scaled(self.beta[mask])


def confidence(rho: int | float, classes: int) -> float:
    r"""Return :math:`-\ln(\rho / ((1 - \rho)(k - 1)))`: the spread of logits at which :math:`1 - p_1` is rho."""
    return math.log1p(-rho) + math.log(classes - 1) - math.log(rho)


def safe_margin(logits: Logits) -> PerImage:
    """Return the margin between the two largest logits, at least a thousandth of the range; 1 where all are equal."""
    largest = logits.topk(2, dim=1).values
    span = logit_range(logits)
    gap = torch.maximum(largest[:, 0] - largest[:, 1], _CLOSEST * span)
    return gap.where(span > 0, 1.0)


def logit_range(logits: Logits) -> PerImage:
    """Return the largest logit minus the smallest."""
    return logits.amax(1) - logits.amin(1)
