"""Attacks made of attacks: they have the same call, and merge image by image."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn

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
    untold,
)
from quantattack.attacks.class_pair import nth_rival
from quantattack.attacks.merging import Member, merged
from quantattack.attacks.success import Criterion, hits, misclassified
from quantattack.attacks.threat import toward
from quantattack.errors import InputError, check_count, unknown
from quantattack.gradients import logits_in_parts
from quantattack.record.description import tagged
from quantattack.types import Model


@tagged("Restarts")
@dataclass(frozen=True)
class Restarts:
    """Run an attack several times from other starts; each run attacks only what the earlier ones left.

    Arguments:
        attack: The attack to repeat.
        restarts: How often.

    Raises:
        InputError: If there is less than one restart.
    """

    attack: Attack
    restarts: int
    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_count("restarts", self.restarts)

    @property
    def traits(self) -> Traits:
        return traits_around(self.attack)

    def passes(self, classes: int) -> int:
        return self.restarts * (passes(self.attack, classes) + 1)

    def to_the_end(self) -> Attack:
        return replace(self, attack=to_the_end(self.attack))

    def trace(self, model: Model, batch: Batch) -> Trace:
        first = batch.rng.restart * self.restarts
        runs = (Member(self.attack, batch.rng.restarted(first + run)) for run in range(self.restarts))
        return merged(runs, success_of(self.attack), model, batch)


@tagged("Strongest")
@dataclass(frozen=True)
class Ensemble:
    """Run several attacks, each on what the earlier ones left, and return for each image what fooled the model.

    Arguments:
        attacks: The attacks by name, in the order in which they are run.
        onward: Names of those that start from the closest image, by the margin, that the earlier ones returned; the
            others begin anew, and so does an attack that takes no start.

    Raises:
        InputError: If there is none, or `onward` names one that is not there.
    """

    attacks: Mapping[str, Attack]
    onward: tuple[str, ...] = ()
    __call__ = attacked_images

    def __post_init__(self) -> None:
        if not isinstance(self.attacks, Mapping) or not self.attacks:
            raise InputError("Ensemble needs a mapping from names to attacks, with at least one")
        for name in self.onward:
            if name not in self.attacks:
                raise unknown("member", name, self.attacks)

    @property
    def traits(self) -> Traits:
        return traits_around(*self.attacks.values())

    def passes(self, classes: int) -> int:
        return sum(passes(attack, classes) + 1 for attack in self.attacks.values())

    def to_the_end(self) -> Attack:
        return replace(self, attacks={name: to_the_end(attack) for name, attack in self.attacks.items()})

    def trace(self, model: Model, batch: Batch) -> Trace:
        members = (Member(attack, batch.rng, name in self.onward) for name, attack in self.attacks.items())
        return merged(members, success_of(next(iter(self.attacks.values()))), model, batch)


@tagged("AgainstRival")
@dataclass(frozen=True)
class AgainstRival:
    """Attack each image toward one wrong class: the one that is rank-th behind at the clean image.

    The attack receives these targets as its labels, so it climbs `targeted(loss)` or `targeted_dlr` and is solved by
    `hits`; what it returns is a success if the model predicts any wrong class.

    Arguments:
        attack: A targeted attack.
        rank: 1 for the nearest rival; a rank beyond the last rival stands for the last.
        solved: What counts as success, on the true labels.

    Raises:
        InputError: If the rank is less than 1, or the attack is solved by `misclassified`.
    """

    attack: Attack
    rank: int = 1
    solved: Criterion = misclassified
    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_count("rank", self.rank)
        if success_of(self.attack, hits) is misclassified:
            raise InputError("AgainstRival hands its attack targets: give it loss=targeted(...) and solved=hits")

    @property
    def traits(self) -> Traits:
        return replace(traits_around(self.attack), solved=self.solved)

    def passes(self, classes: int) -> int:
        return passes(self.attack, classes) + 1

    def to_the_end(self) -> Attack:
        return replace(self, attack=to_the_end(self.attack))

    def trace(self, model: Model, batch: Batch) -> Trace:
        targets = nth_rival(logits_in_parts(model, batch.images, batch.at_once), batch.labels, self.rank)
        return search(self.attack, model, replace(batch, labels=targets))


@tagged("Transfer")
@dataclass(frozen=True)
class Transfer:
    """Search on another model and hand over the attacked images: the black-box attack from a twin.

    Where the attack can, it walks all its steps: an image that only just fools the source seldom fools another model.

    Arguments:
        attack: The attack to run on the source.
        source: The model that is searched; nothing of the judged model is asked.
    """

    attack: Attack
    source: Model
    __call__ = attacked_images

    @property
    def traits(self) -> Traits:
        """The source is shown all images at once, so it is handed no more of them."""
        return replace(traits_around(self.attack), refills=False)

    def passes(self, classes: int) -> int:
        """Return the passes through the source."""
        return passes(to_the_end(self.attack), classes)

    def to_the_end(self) -> Attack:
        return replace(self, attack=to_the_end(self.attack))

    def trace(self, model: Model, batch: Batch) -> Trace:  # noqa: ARG002
        return untold(search(to_the_end(self.attack), self.source, replace(batch, at_once=None)).images)


@tagged("InFloat64")
@dataclass(frozen=True)
class InFloat64:
    """Search through a double-precision copy of the model; the judge is the model as given.

    Cross entropy in float64 keeps its direction up to a margin of 36 and some gradient up to 745, so the difference
    to the same attack without this wrapper is what float32 arithmetic hides.

    Arguments:
        attack: The attack to run on the copy.

    Raises:
        InputError: If the model is no `torch.nn.Module`, which alone can be copied and cast.
    """

    attack: Attack
    __call__ = attacked_images

    @property
    def traits(self) -> Traits:
        return traits_around(self.attack)

    def passes(self, classes: int) -> int:
        return passes(self.attack, classes)

    def to_the_end(self) -> Attack:
        return replace(self, attack=to_the_end(self.attack))

    def trace(self, model: Model, batch: Batch) -> Trace:
        if not isinstance(model, nn.Module):
            raise InputError("InFloat64 copies the model, so it needs a torch.nn.Module; got a plain callable")
        twin = copy.deepcopy(model).double()
        start = None if batch.start is None else batch.start.double()
        exact = search(self.attack, twin, replace(batch, images=batch.images.double(), start=start))
        return replace(exact, images=toward(exact.images, batch.images))
