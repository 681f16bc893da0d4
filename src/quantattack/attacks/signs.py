"""Networks whose activations are signs: an attack climbs a smoother derivative in the place of the sign's own."""

import copy
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from quantattack.attacks.around import Around
from quantattack.attacks.base import (
    Batch,
    Trace,
    search,
)
from quantattack.errors import InputError, is_number
from quantattack.nn.convert import Swapped, projections
from quantattack.nn.layers import Projection
from quantattack.nn.quantizers import Sign, Values
from quantattack.record.description import tagged
from quantattack.types import Model


@tagged("SmoothSigns")
@dataclass(frozen=True)
class SmoothSigns(Around):
    r"""Run an attack on the model with the derivative of a tanh in the place of that of its signs.

    .. math:: \frac{\partial}{\partial v} \operatorname{sign}(v) := \frac{\partial}{\partial v} \tanh(s v)

    The straight-through derivative of training is 1 up to an activation's bound and 0 beyond, however near the sign is
    to its change; this one is largest there and vanishes nowhere.  The values, and so every verdict, are those of the
    model.  A model without `Sign` activations is attacked as it is.

    Source: backward pass differentiable approximation, Athalye, Carlini and Wagner, 2018,
    https://arxiv.org/abs/1802.00420.

    Arguments:
        attack: The attack.
        slope: The factor s.

    Raises:
        InputError: If the slope is not a positive number.
    """

    slope: int | float = 2

    def __post_init__(self) -> None:
        if not (is_number(self.slope) and self.slope > 0):
            raise InputError(f"slope must be a positive number, not {self.slope!r}")

    def trace(self, model: Model, batch: Batch) -> Trace:
        return search(self.attack, with_smooth_signs(model, self.slope), batch)


def with_smooth_signs(model: Model, slope: int | float = 2) -> Model:
    """Return a copy of a model whose `Sign` activations have the derivative of a tanh; a model without any, itself.

    Arguments:
        model: Maps images in [0, 1] to logits.
        slope: Slope of the tanh at 0.
    """
    if not isinstance(model, nn.Module) or not any(_signs(model)):
        return model
    smooth = copy.deepcopy(model)
    for projection in _signs(smooth):
        projection.quantizer = Swapped(projection.quantizer, partial(_tanh, slope))
    return smooth


def _signs(model: nn.Module) -> list[Projection]:
    return [module for _, module in projections(model) if isinstance(module.quantizer, Sign)]


def _tanh(slope: int | float, x: Values) -> Values:
    return torch.tanh(slope * x)
