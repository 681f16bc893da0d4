"""Wider threats first: a search that begins far outside and is squeezed into the threat, as AutoAttack's under L1."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from quantattack.attacks.arguments import check_threat
from quantattack.attacks.around import Around
from quantattack.attacks.base import Attack, Batch, Trace, Traits, passes, search, success_of, to_the_end, traits_around
from quantattack.attacks.closeness import search_some
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, is_number
from quantattack.gradients import logits_in_parts
from quantattack.record.description import tagged
from quantattack.types import Model


@tagged("Squeezed")
@dataclass(frozen=True)
class Squeezed(Around):
    r"""Run an attack at several times the radius first, then from there in the threat, and then one that finishes.

    .. math:: x_{k+1} = \mathrm{attack}(\Pi_{c_{k+1} \epsilon}(x_k); c_{k+1} \epsilon)

    for factors :math:`c_1 > c_2 > \dots > 1`.  Under L1 a search that keeps to the ball seldom leaves the few pixels
    that it began with; in a wider one it is free to choose others.

    Source: Croce and Hein, 2021, https://arxiv.org/abs/2103.01208; what finishes is our own.

    Arguments:
        attack: An attack that accepts a start and radii per image.
        threat: Its threat.
        finish: An attack that begins where it ended.
        factors: The radii before the threat's own, as multiples of it, each above 1 and below the one before;
            empty for none.

    Raises:
        InputError: If the factors are not numbers above 1 that fall.
    """

    threat: Threat
    finish: Attack
    factors: tuple[int | float, ...] = (3, 2)

    def __post_init__(self) -> None:
        check_threat(self.threat)
        ends = (*self.factors, 1)
        falling = all(is_number(one) for one in ends) and all(a > b for a, b in pairwise(ends))
        if not falling:
            raise InputError(f"the factors of the radius are numbers above 1 that fall, not {self.factors!r}")

    @property
    def traits(self) -> Traits:
        return traits_around(self.attack, self.finish)

    def passes(self, classes: int) -> int:
        return (len(self.factors) + 1) * passes(self.attack, classes) + passes(self.finish, classes) + 1

    def to_the_end(self) -> Attack:
        return replace(self, attack=to_the_end(self.attack), finish=to_the_end(self.finish))

    def trace(self, model: Model, batch: Batch) -> Trace:
        for widened in self._widened(batch):
            found = search(self.attack, model, replace(widened, start=batch.start))
            batch = replace(batch, start=found.images)
        logits = logits_in_parts(model, found.images, batch.at_once)
        left = ~success_of(self.attack)(logits, batch.labels)
        last = search_some(self.finish, model, batch, left, found.images)
        return replace(last, step=found.step.where(~left, last.step), restart=found.restart.where(~left, last.restart))

    def _widened(self, batch: Batch) -> Iterator[Batch]:
        """Return the batch at each of the radii, the threat's own at last."""
        own = self.threat.radii(batch.images, batch.radius)
        for factor in self.factors:
            yield replace(batch, radius=factor * own)
        yield batch
