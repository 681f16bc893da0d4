"""The temperature that bounds the confidence of every correct prediction; it needs no Jacobian."""

from dataclasses import dataclass

import torch

from quantattack.attacks.scaling.base import Rescale, confidence
from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.types import Images, Labels, Logits, Model


@tagged("MaxConfidence")
@dataclass(frozen=True)
class MaxConfidence:
    r"""Scale the logits at every step so that the error signal :math:`1 - p_y` is at least rho (Proposition 1).

    .. math:: \beta = -\ln\frac{\rho}{(1 - \rho)(k - 1)} \Big/ (a_{(1)} - a_{(k)})

    for images that are classified correctly; 1 for the others, and where all logits are equal.  Then
    :math:`1 - p_{(1)} \ge \rho`, with equality where all rivals tie.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (Proposition 1; table 13).

    Arguments:
        rho: Smallest error signal :math:`1 - p_y`, between 0 and :math:`1 - 1/k`.

    Raises:
        InputError: If rho is not between 0 and 1, or too large for the model's number of classes.
    """

    rho: float = 1e-9

    def __post_init__(self) -> None:
        if not 0 < self.rho < 1:
            raise InputError(f"rho must lie between 0 and 1, not {self.rho!r}")

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG002
        return self.scale

    def scale(self, logits: Logits, labels: Labels) -> Logits:
        target_range = confidence(self.rho, logits.shape[1])
        if target_range <= 0:
            bound = 1 - 1 / logits.shape[1]
            raise InputError(f"rho must be under {bound:.3g} with {logits.shape[1]} classes, not {self.rho!r}")
        with torch.no_grad():
            fixed = logits.detach()
            span = fixed.amax(1) - fixed.amin(1)
            scaled = (fixed.argmax(1) == labels) & (span > 0)
            beta = (target_range / span.where(scaled, 1.0)).where(scaled, 1.0)
        return logits * beta[:, None]
