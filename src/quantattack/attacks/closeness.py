"""Budgets by closeness: attacks that run on the images that earlier ones nearly broke, and a probe that tells which."""

from dataclasses import dataclass, replace

from quantattack.attacks.around import Around
from quantattack.attacks.base import (
    Attack,
    Batch,
    Trace,
    Traits,
    attacked_images,
    passes,
    search,
    success_of,
    to_the_end,
    traits_around,
    without_steps,
)
from quantattack.attacks.merging import Member, merged
from quantattack.attacks.success import nearness
from quantattack.errors import InputError, is_number
from quantattack.gradients import logits_in_parts
from quantattack.record.description import tagged
from quantattack.types import Images, Mask, Model


def search_some(attack: Attack, model: Model, batch: Batch, chosen: Mask, others: Images) -> Trace:
    """Run an attack on some images of a batch, and return given images for the others.

    Arguments:
        attack: The attack.
        model: Maps images in [0, 1] to logits.
        batch: The images.
        chosen: Which of them are attacked, with shape (n,).
        others: What is returned of those that are not, with the shape of the images.
    """
    trace, rows = without_steps(others.clone()), chosen.nonzero()[:, 0]
    if not len(rows):
        return trace
    found = search(attack, model, batch.keep(rows))
    trace.images[rows], trace.step[rows], trace.restart[rows] = found.images, found.step, found.restart
    if found.reached is None or batch.reached is None:
        return trace
    return replace(trace, reached=batch.reached.put(rows, found.reached))


@tagged("WhileClose")
@dataclass(frozen=True)
class WhileClose(Around):
    r"""Run an attack on the images whose margin earlier attacks of the suite brought below a share of the clean one.

    .. math:: \min_i m(x_i) < \mathrm{share} \cdot m(x)

    where :math:`m` is the margin of the label and :math:`x_i` are the images that the earlier attacks returned.  Of the
    others the closest image is returned as it is.  Alone, with no attack before it, it runs on every image.

    Arguments:
        attack: The attack.
        share: Share of the clean margin, above 0 and at most 1.

    Raises:
        InputError: If the share is not above 0 and at most 1.
    """

    share: int | float

    def __post_init__(self) -> None:
        if not (is_number(self.share) and 0 < self.share <= 1):
            raise InputError(f"a share of the clean margin is above 0 and at most 1, not {self.share!r}")

    def passes(self, classes: int) -> int:
        return passes(self.attack, classes) + 1

    def trace(self, model: Model, batch: Batch) -> Trace:
        if batch.reached is None:
            return search(self.attack, model, batch)
        return search_some(self.attack, model, batch, self.is_close(model, batch), batch.reached.images)

    def is_close(self, model: Model, batch: Batch) -> Mask:
        """Return which images earlier attacks brought close, or all but broke: with shape (n,)."""
        assert batch.reached is not None
        solved = success_of(self.attack)
        clean = nearness(solved, logits_in_parts(model, batch.images, batch.at_once), batch.labels)
        close: Mask = batch.reached.nearness > self.share * clean
        return close


@tagged("Probe")
@dataclass(frozen=True)
class Probe:
    """Run a short attack where nothing is known of an image yet, and then one whose budget follows from closeness.

    Inside a suite the earlier attacks tell how close an image is, and the probe is not run.  An evaluation runs it
    after the attacks beside it, and only on the images that all of these left.

    Arguments:
        attack: The attack, such as a `WhileClose`.
        probe: The short attack.
    """

    attack: Attack
    probe: Attack
    __call__ = attacked_images

    @property
    def traits(self) -> Traits:
        return replace(traits_around(self.attack, self.probe), turn=1)

    def passes(self, classes: int) -> int:
        return passes(self.attack, classes) + passes(self.probe, classes) + 1

    def to_the_end(self) -> Attack:
        return replace(self, attack=to_the_end(self.attack))

    def trace(self, model: Model, batch: Batch) -> Trace:
        if batch.reached is not None:
            return search(self.attack, model, batch)
        members = (Member(attack, batch.rng) for attack in (self.probe, self.attack))
        return merged(members, success_of(self.attack), model, batch)
