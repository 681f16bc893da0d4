"""What a temperature is: a positive number that each image's logits are multiplied by, constant in the derivative.

No prediction depends on it.
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

Rescale: TypeAlias = Callable[[Logits, Labels], Logits]  # the same for every image, or a `RowRescale`
Temperature: TypeAlias = Callable[[Model, Images, Labels], Rescale]


@runtime_checkable
class RowRescale(Protocol):
    """A rescaling with a state for each image, which it can keep of some of them."""

    def __call__(self, logits: Logits, labels: Labels) -> Logits: ...

    def keep(self, rows: Mask | slice) -> "RowRescale":
        """Return the rescaling of some of the images."""


@runtime_checkable
class FittedTemperature(Protocol):
    """A temperature that asks the model something when it looks at the start point; any other one asks nothing."""

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale: ...

    def passes(self, classes: int) -> int:
        """Return the forward and backward passes that it spends on an image."""


_CLOSEST = 1e-3  # a margin counts as at least this share of the range: bounds beta on near ties


@tagged("unit")
def unit(model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG001
    """Leave the logits as they are."""
    return _same


def _same(logits: Logits, labels: Labels) -> Logits:  # noqa: ARG001
    return logits


def fitting_passes(temperature: Temperature, classes: int) -> int:
    """Return the forward and backward passes that a temperature spends on an image when it looks at the start point."""
    return temperature.passes(classes) if isinstance(temperature, FittedTemperature) else 0


def fit_in_batches(
    temperature: Temperature, model: Model, images: Images, labels: Labels, at_once: int | None = None
) -> Rescale:
    """Let a temperature look at images, no more than `at_once` of them at once."""
    rescales = [temperature(model, images[rows], labels[rows]) for rows in parts_of(len(images), at_once)]
    first = rescales[0]
    if len(rescales) == 1 or not isinstance(first, RowRescale):
        return first
    assert is_dataclass(first)
    assert not isinstance(first, type)
    tensors = [field.name for field in fields(first) if isinstance(getattr(first, field.name), Tensor)]
    return replace(first, **{name: torch.cat([getattr(rescale, name) for rescale in rescales]) for name in tensors})


def select_rows(rescale: Rescale, rows: Mask | slice) -> Rescale:
    """Return a rescaling for some of the images that it was made for."""
    return rescale.keep(rows) if isinstance(rescale, RowRescale) else rescale


@dataclass(frozen=True, eq=False)
class Scaled:
    """Logits times one number an image.

    Arguments:
        beta: Inverse temperatures with shape (n,).
    """

    beta: PerImage

    def __call__(self, logits: Logits, labels: Labels) -> Logits:  # noqa: ARG002
        return logits * self.beta.to(logits)[:, None]

    def keep(self, rows: Mask | slice) -> "Scaled":
        return Scaled(self.beta[rows])


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
