"""The closed form of Hessian Norm Scaling."""

from dataclasses import dataclass

import torch

from quantattack.attacks.scaling.base import Rescale, logit_range, safe_margin
from quantattack.errors import InputError, is_number
from quantattack.record.description import tagged
from quantattack.types import Images, Labels, Logits, Model

GAP = 2.3993572805  # the root of z tanh(z / 2) = 2


@tagged("Gap")
@dataclass(frozen=True)
class Gap:
    r"""The closed form of Hessian Norm Scaling when one rival dominates, recomputed at every step.

    .. math:: \beta = c / (a_{(1)} - a_{(2)})

    For two classes :math:`\|H\|_F = \beta^2 p (1 - p) \|J_1 - J_2\|^2` is largest where
    :math:`z \tanh(z / 2) = 2` with :math:`z = \beta (a_1 - a_2)`, independently of the Jacobian, which is therefore
    not computed.  The margin is bounded below by a thousandth of the logit range :math:`a_{(1)} - a_{(k)}`.

    Arguments:
        c: Value that the scaled margin takes.
    """

    c: int | float = GAP

    def __post_init__(self) -> None:
        if not (is_number(self.c) and self.c > 0):
            raise InputError(f"c must be a positive number, not {self.c!r}")

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG002
        return self.scale

    def scale(self, logits: Logits, labels: Labels) -> Logits:  # noqa: ARG002
        with torch.no_grad():
            fixed = logits.detach()
            beta = (self.c / safe_margin(fixed)).where(logit_range(fixed) > 0, 1.0)
        return logits * beta[:, None]


@tagged("Mifpe")
@dataclass(frozen=True)
class Mifpe:
    r"""Divide the logits by their margin at every step: :math:`\beta = T / (a_{(1)} - a_{(2)})`, on cross entropy.

    `Gap` is the same scaling with the T that maximizes the norm of the Hessian.

    Source: Yu and Xu, CVPR 2023, "Efficient Loss Function by Minimizing the Detrimental Effect of Floating-Point Errors
    on Gradient-Based Attacks".

    Arguments:
        t: Value T that the scaled margin takes; 1 in the paper's analysis, 10 as released.
    """

    t: int | float = 1.0

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale:
        return Gap(self.t)(model, images, labels)
