"""Where a margin climbs stairs: attacks that run only on images around which no slope tells where to go."""

from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.attacks.arguments import check_linf
from quantattack.attacks.around import Around
from quantattack.attacks.base import Batch, Trace, passes, success_of, without_steps
from quantattack.attacks.closeness import search_some
from quantattack.attacks.starts import handed
from quantattack.attacks.success import nearness
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, check_count, is_number
from quantattack.gradients import logits_in_parts
from quantattack.record.description import tagged
from quantattack.rng import PLACES
from quantattack.types import Images, Model, PerImage

_FINE = 128  # a step of the test is the radius over this
_ROUNDED = 16  # units in the last place of the largest logit that its margins may be off


@tagged("OnStairs")
@dataclass(frozen=True)
class OnStairs(Around):
    r"""Run an attack on the images around which the margin climbs stairs and not slopes.

    .. math:: \frac{1}{D} \sum_d
       \frac{|m(x) - 2 m(x + h s_d) + m(x + 2 h s_d)|}{|m(x + h s_d) - m(x)| + |m(x + 2 h s_d) - m(x + h s_d)|}
       > \mathrm{share}

    where :math:`m` is the margin of the label, :math:`s_d` random signs, and :math:`h` a 128th of the radius.  A line
    has 0 and a jump between two flat pieces 1.  Directions in which the margin does not change count as 0: whole
    plateaus are `HillClimbing`'s.  Activations of 4 or 8 bits have many small stairs, across which a straight-through
    derivative tells the trend but not the next step.  On a grid such steps are none: no image is attacked.

    Directions in which it changes by no more than rounding does count as 0 too.

    The images asked here may lie outside the threat by a 64th of the radius; none of them is returned.

    Source: our own test.

    Arguments:
        attack: The attack.
        threat: Set of admissible images, under Linf.
        share: Share of the curvature, above 0 and below 1.
        directions: Number of directions D.

    Raises:
        InputError: If the norm is not Linf, the share is not above 0 and below 1, or there is no direction.
    """

    threat: Threat
    share: int | float = 0.4
    directions: int = 8

    def __post_init__(self) -> None:
        check_linf(self.threat, "the test for stairs")
        check_count("directions", self.directions)
        if not (is_number(self.share) and 0 < self.share < 1):
            raise InputError(f"a share of the curvature is above 0 and below 1, not {self.share!r}")

    def passes(self, classes: int) -> int:
        return passes(self.attack, classes) + 2 * self.directions + 1

    def trace(self, model: Model, batch: Batch) -> Trace:
        at = handed(self.threat, batch)
        if self.threat.levels is not None:
            return without_steps(at)
        return search_some(self.attack, model, batch, self.bends(model, batch, at) > self.share, at)

    def bends(self, model: Model, batch: Batch, at: Images) -> PerImage:
        """Return how bent the margin is around some images: 0 on slopes and plateaus, up to 1 on stairs."""
        radius = self.threat.radii(batch.images, batch.radius) / _FINE
        middle, noise = self._margins(model, batch, at)
        bent, step = torch.zeros_like(middle), self.threat.spread(radius, at).to(at)
        for direction in range(self.directions):
            signs = step * batch.rng.signs(direction, PLACES, at.shape[1:], at.dtype)
            first, second = (self._margins(model, batch, self._within(at + far * signs))[0] for far in (1, 2))
            moved = (first - middle).abs() + (second - first).abs()
            bent += torch.where(moved > noise, (middle - 2 * first + second).abs() / moved, 0)
        return bent / self.directions

    def _within(self, images: Tensor) -> Images:
        return images.clamp(self.threat.low, self.threat.high)

    def _margins(self, model: Model, batch: Batch, images: Images) -> tuple[PerImage, PerImage]:
        """Return margins in float64, and how much of a change rounding of the logits may make."""
        logits = logits_in_parts(model, images, batch.at_once)
        noise = _ROUNDED * torch.finfo(logits.dtype).eps * logits.abs().amax(1).double()
        return nearness(success_of(self.attack), logits.double(), batch.labels), noise
