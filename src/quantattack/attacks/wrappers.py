"""Wrappers: attacks that run other attacks (restarts, ensembles, targets, transfer, double precision)."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from quantattack.attacks.around import Around
from quantattack.attacks.base import (
    Attack,
    Batch,
    Trace,
    Traits,
    attacked_images,
    passes,
    success_of,
    to_the_end,
    traits_around,
    without_steps,
)
from quantattack.attacks.class_pair import nth_rival
from quantattack.attacks.merging import Member, merged, search_apart
from quantattack.attacks.success import Criterion, hits, misclassified
from quantattack.attacks.threat import toward
from quantattack.errors import InputError, check_count, unknown
from quantattack.gradients import climbed_logits
from quantattack.record.description import tagged
from quantattack.types import Labels, Model


@tagged("Restarts")
@dataclass(frozen=True)
class Restarts(Around):
    """Run an attack several times with new random numbers; each run attacks only the images not yet fooled.

    Arguments:
        attack: The attack to repeat.
        restarts: Number of runs.

    Raises:
        InputError: If restarts is below 1.
    """

    restarts: int

    def __post_init__(self) -> None:
        check_count("restarts", self.restarts)

    def passes(self, classes: int) -> int:
        return self.restarts * (passes(self.attack, classes) + 1)

    def trace(self, model: Model, batch: Batch) -> Trace:
        first = batch.rng.restart * self.restarts
        runs = (Member(self.attack, batch.rng.restarted(first + run)) for run in range(self.restarts))
        return merged(runs, success_of(self.attack), model, batch)


@tagged("Strongest")
@dataclass(frozen=True)
class Ensemble:
    """Run several attacks, each on the images not yet fooled; return each image's first success, else its last try.

    Arguments:
        attacks: The attacks by name, in the order in which they run.
        onward: Names of the attacks that start from the best image so far: of those that the earlier attacks
            returned, the one with the largest margin loss.  All others start as they do alone, and so does an attack
            that accepts no start.
        controls: Names of the attacks that are left out here, and run only where each attack is evaluated alone: they
            are there to be compared with.

    Raises:
        InputError: If there are no attacks, all are controls, or `onward` or `controls` names an unknown one.
    """

    attacks: Mapping[str, Attack]
    onward: tuple[str, ...] = ()
    controls: tuple[str, ...] | None = field(default=None, metadata={"recorded_as": "controls"})
    __call__ = attacked_images

    def __post_init__(self) -> None:
        if not isinstance(self.attacks, Mapping) or not self.attacks:
            raise InputError("Ensemble needs a mapping from names to attacks, with at least one")
        for name in (*self.onward, *(self.controls or ())):
            if name not in self.attacks:
                raise unknown("member", name, self.attacks)
        if not self.members:
            raise InputError("every attack of this ensemble is a control; give one that it runs")

    @property
    def members(self) -> Mapping[str, Attack]:
        """The attacks that it runs: all but the controls."""
        return {name: attack for name, attack in self.attacks.items() if name not in (self.controls or ())}

    @property
    def traits(self) -> Traits:
        return traits_around(*self.members.values())

    def passes(self, classes: int) -> int:
        return sum(passes(attack, classes) + 1 for attack in self.members.values())

    def to_the_end(self) -> Attack:
        return replace(self, attacks={name: to_the_end(attack) for name, attack in self.attacks.items()})

    def trace(self, model: Model, batch: Batch) -> Trace:
        members = (Member(attack, batch.rng, name in self.onward) for name, attack in self.members.items())
        return merged(members, success_of(next(iter(self.members.values()))), model, batch)


@tagged("AgainstRival")
@dataclass(frozen=True)
class AgainstRival(Around):
    """Run a targeted attack toward one wrong class: the one with the rank-th largest logit at the clean image.

    The attack receives the targets as its labels, so its loss must be `targeted(loss)` or `targeted_dlr` and its
    success criterion `hits`.  Any wrong prediction on the returned images counts as a success.

    Arguments:
        attack: A targeted attack.
        rank: 1 for the wrong class with the largest logit; clipped to the number of wrong classes.
        solved: Success criterion on the true labels.

    Raises:
        InputError: If the rank is below 1, or the attack's success criterion is `misclassified`.
    """

    rank: int = 1
    solved: Criterion = misclassified

    def __post_init__(self) -> None:
        check_count("rank", self.rank)
        if success_of(self.attack, hits) is misclassified:
            raise InputError("AgainstRival hands its attack targets: give it loss=targeted(...) and solved=hits")

    @property
    def traits(self) -> Traits:
        return replace(traits_around(self.attack), solved=self.solved)

    def passes(self, classes: int) -> int:
        return passes(self.attack, classes) + 1

    def trace(self, model: Model, batch: Batch) -> Trace:
        targets = nth_rival(climbed_logits(model, batch.images, batch.at_once), batch.labels, self.rank)
        return search_apart(self.attack, model, replace(batch, labels=targets))


@tagged("Toward")
@dataclass(frozen=True)
class Toward(Around):
    """Run a targeted attack toward a class for each image; only that class counts as a success.

    `evaluate` wraps its attacks in it where it is given targets.

    Arguments:
        attack: A targeted attack, such as `pgd(threat, loss=targeted(log_odds))`.
        targets: The wanted class of each image, by the image's index in its data set.

    Raises:
        InputError: If the attack climbs away from its labels.
    """

    targets: Mapping[int, int]

    def __post_init__(self) -> None:
        if success_of(self.attack, hits) is misclassified:
            raise InputError("this attack climbs away from its labels: give it loss=targeted(...) and solved=hits")

    def trace(self, model: Model, batch: Batch) -> Trace:
        return search_apart(self.attack, model, replace(batch, labels=self.wanted(batch)))

    def wanted(self, batch: Batch) -> Labels:
        """Return the wanted classes of a batch, with shape (n,)."""
        classes = [self.targets[int(index)] for index in batch.rng.index]
        return torch.tensor(classes, dtype=torch.long, device=batch.images.device)


@tagged("Transfer")
@dataclass(frozen=True)
class Transfer(Around):
    """Transfer attack: run an attack on a source model and return its images for the evaluated model.

    Early stopping is disabled, because an image that barely fools the source rarely fools another model.

    Arguments:
        attack: The attack to run on the source.
        source: The model that is attacked; the evaluated model is never called.
    """

    source: Model

    @property
    def traits(self) -> Traits:
        """No refilling: the source receives the whole batch in one call."""
        return replace(traits_around(self.attack), refills=False)

    def passes(self, classes: int) -> int:
        """Return the passes through the source."""
        return passes(to_the_end(self.attack), classes)

    def trace(self, model: Model, batch: Batch) -> Trace:  # noqa: ARG002
        return without_steps(search_apart(to_the_end(self.attack), self.source, replace(batch, at_once=None)).images)


@tagged("InFloat64")
@dataclass(frozen=True)
class InFloat64(Around):
    """Run an attack on a float64 copy of the model; success is judged on the model as given.

    In float64 the gradient of cross entropy keeps its direction up to a margin of 36 and is nonzero up to 745, so the
    difference from the same attack without this wrapper measures the gradient masking by float32 rounding.

    Arguments:
        attack: The attack to run on the copy.

    Raises:
        InputError: If the model is not a `torch.nn.Module`, which is needed to copy and cast it.
    """

    def trace(self, model: Model, batch: Batch) -> Trace:
        if not isinstance(model, nn.Module):
            raise InputError("InFloat64 copies the model, so it needs a torch.nn.Module; got a plain callable")
        twin = copy.deepcopy(model).double()
        start = None if batch.start is None else batch.start.double()
        exact = search_apart(self.attack, twin, replace(batch, images=batch.images.double(), start=start))
        return replace(exact, images=toward(exact.images, batch.images))
