"""Networks whose activations are signs: an attack climbs a smoother derivative in the place of the sign's own."""

import copy
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from quantattack.attacks.base import (
    Attack,
    Batch,
    Trace,
    Traits,
    attacked_images,
    passes,
    search,
    to_the_end,
    traits_around,
)
from quantattack.errors import InputError, is_number
from quantattack.nn.convert import Swapped, projections
from quantattack.nn.layers import Projection
from quantattack.nn.quantizers import Sign, Values
from quantattack.record.description import tagged
from quantattack.types import Model


@tagged("SmoothSigns")
@dataclass(frozen=True)
class SmoothSigns:
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

    attack: Attack
    slope: int | float = 2
    __call__ = attacked_images

    def __post_init__(self) -> None:
        if not (is_number(self.slope) and self.slope > 0):
            raise InputError(f"slope must be a positive number, not {self.slope!r}")

    @property
    def traits(self) -> Traits:
        return traits_around(self.attack)

    def passes(self, classes: int) -> int:
        return passes(self.attack, classes)

    def to_the_end(self) -> Attack:
        return replace(self, attack=to_the_end(self.attack))

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
