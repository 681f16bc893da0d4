"""The temperature interface: a positive per-image factor on the logits, treated as a constant in the gradient.

The factor is an inverse temperature, beta.  It changes no prediction.  A `Temperature` is called once, at an attack's
start point, and returns a `Rescale`, which is called on the logits of every iterate.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from quantattack.gradients import parts_of
from quantattack.record.description import tagged
from quantattack.types import Images, Labels, Logits, Mask, Model, PerImage

Rescale: TypeAlias = Callable[[Logits, Labels], Logits]  # without per-image state, or a `RowRescale`
Temperature: TypeAlias = Callable[[Model, Images, Labels], Rescale]


@runtime_checkable
class RowRescale(Protocol):
    """A rescaling with per-image state, which `keep` restricts to a subset of the images."""

    def __call__(self, logits: Logits, labels: Labels) -> Logits: ...

    def keep(self, rows: Mask | slice) -> "RowRescale":
        """Return the rescaling for the selected images."""


@runtime_checkable
class FittedTemperature(Protocol):
    """A temperature that evaluates the model at the start point; one without `passes` does not."""

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale: ...

    def passes(self, classes: int) -> int:
        """Return the number of forward plus backward passes per image."""


_CLOSEST = 1e-3  # lower bound of a margin, as a share of the logit range: bounds beta on near ties


@tagged("unit")
def unit(model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG001
    """The temperature 1: leave the logits as they are."""
    return _same


def _same(logits: Logits, labels: Labels) -> Logits:  # noqa: ARG001
    return logits


def fitting_passes(temperature: Temperature, classes: int) -> int:
    """Return the number of forward plus backward passes per image that a temperature spends at the start point."""
    return temperature.passes(classes) if isinstance(temperature, FittedTemperature) else 0


def fit_in_batches(
    temperature: Temperature, model: Model, images: Images, labels: Labels, at_once: int | None = None
) -> Rescale:
    """Call a temperature on chunks of at most `at_once` images, and concatenate the rescalings."""
    rescales = [temperature(model, images[rows], labels[rows]) for rows in parts_of(len(images), at_once)]
    first = rescales[0]
    if len(rescales) == 1 or not isinstance(first, RowRescale):
        return first
    assert is_dataclass(first)
    assert not isinstance(first, type)
    tensors = [field.name for field in fields(first) if isinstance(getattr(first, field.name), Tensor)]
    return replace(first, **{name: torch.cat([getattr(rescale, name) for rescale in rescales]) for name in tensors})


def select_rows(rescale: Rescale, rows: Mask | slice) -> Rescale:
    """Return a rescaling for the selected rows of the images that it was fitted on."""
    keep = getattr(rescale, "keep", None)  # at every step: a check against the protocol takes longer
    return rescale if keep is None else keep(rows)


@dataclass(frozen=True, eq=False)
class Scaled:
    """Multiply the logits by one factor per image.

    Arguments:
        beta: Inverse temperatures with shape (n,).
    """

    beta: PerImage

    def __call__(self, logits: Logits, labels: Labels) -> Logits:  # noqa: ARG002
        return logits * self.beta.to(logits)[:, None]

    def keep(self, rows: Mask | slice) -> "Scaled":
        return Scaled(self.beta[rows])


def confidence(rho: int | float, classes: int) -> float:
    r"""Return :math:`-\ln(\rho / ((1 - \rho)(k - 1)))`, the logit range where :math:`1 - p_{(1)} = \rho`."""
    return math.log1p(-rho) + math.log(classes - 1) - math.log(rho)


def safe_margin(logits: Logits) -> PerImage:
    """Return the largest logit minus the second, at least a thousandth of the logit range; 1 where all are equal.

    Logits nearer than a thousand of the smallest normal numbers count as equal: what is divided by less overflows.
    """
    largest = logits.topk(2, dim=1).values
    span = logit_range(logits)
    gap = torch.maximum(largest[:, 0] - largest[:, 1], _CLOSEST * span)
    return gap.where(gap > 1000 * torch.finfo(gap.dtype).tiny, 1.0)


def logit_range(logits: Logits) -> PerImage:
    """Return the largest logit minus the smallest."""
    return logits.amax(1) - logits.amin(1)
