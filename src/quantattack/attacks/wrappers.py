"""Attacks made of attacks: they have the same call, and merge image by image."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import nn

from quantattack.attacks.base import Attack, Trace, first_images, trace
from quantattack.attacks.rivals import nth_rival
from quantattack.attacks.success import Criterion, hits, misclassified, nearness
from quantattack.attacks.threat import toward
from quantattack.errors import InputError, check_count, unknown
from quantattack.record.description import tagged
from quantattack.rng import Rng
from quantattack.types import Images, Indices, Labels, Logits, Model, PerImage


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

    def __post_init__(self) -> None:
        check_count("restarts", self.restarts)

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        return self.trace(model, clean, labels, start, rng, radius).images

    def trace(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Trace:
        rng = rng or first_images(clean)
        runs = ((self.attack, rng.restarted(rng.restart * self.restarts + run), False) for run in range(self.restarts))
        return _merged(runs, _criterion(self.attack), model, clean, labels, start, radius)


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

    def __post_init__(self) -> None:
        if not isinstance(self.attacks, Mapping) or not self.attacks:
            raise InputError("Ensemble needs a mapping from names to attacks, with at least one")
        for name in self.onward:
            if name not in self.attacks:
                raise unknown("member", name, self.attacks)

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        return self.trace(model, clean, labels, start, rng, radius).images

    def trace(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Trace:
        first = next(iter(self.attacks.values()))
        runs = ((attack, rng or first_images(clean), name in self.onward) for name, attack in self.attacks.items())
        return _merged(runs, _criterion(first), model, clean, labels, start, radius)


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

    def __post_init__(self) -> None:
        check_count("rank", self.rank)
        if _criterion(self.attack, hits) is misclassified:
            raise InputError("AgainstRival hands its attack targets: give it loss=targeted(...) and solved=hits")

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        return self.trace(model, clean, labels, start, rng, radius).images

    def trace(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Trace:
        with torch.no_grad():
            targets = nth_rival(model(clean), labels, self.rank)
        return trace(self.attack, model, clean, targets, start, rng, radius)


@dataclass(frozen=True)
class Transfer:
    """Search on another model and hand over what was found: the black-box attack from a twin.

    Where the attack can, it walks all its steps: an image that only just fools the source seldom fools another model.

    Arguments:
        attack: The attack to run on the source.
        source: The model that is searched; nothing of the judged model is asked.
    """

    attack: Attack
    source: Model
    refills: ClassVar[bool] = False  # the source is shown all images at once

    def __call__(
        self,
        model: Model,  # noqa: ARG002
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        return _to_the_end(self.attack)(self.source, clean, labels, start, rng, radius)


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

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        return self.trace(model, clean, labels, start, rng, radius).images

    def trace(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Trace:
        if not isinstance(model, nn.Module):
            raise InputError("InFloat64 copies the model, so it needs a torch.nn.Module; got a plain callable")
        twin = copy.deepcopy(model).double()
        begin = None if start is None else start.double()
        found = trace(self.attack, twin, clean.double(), labels, begin, rng or first_images(clean), radius)
        return replace(found, images=toward(found.images, clean))


def _to_the_end(attack: Any) -> Attack:
    """Return an attack whose walks, found through its wrappers, go on after the model is fooled."""
    if hasattr(attack, "last_iterate"):
        attack = replace(attack, last_iterate=True)
    elif hasattr(attack, "attacks"):
        attack = replace(attack, attacks={name: _to_the_end(part) for name, part in attack.attacks.items()})
    elif hasattr(attack, "attack"):
        attack = replace(attack, attack=_to_the_end(attack.attack))
    walking: Attack = attack
    return walking


def _criterion(attack: Any, default: Criterion = misclassified) -> Criterion:
    """Return what counts as success for an attack, found through its wrappers."""
    if hasattr(attack, "solved"):
        criterion: Criterion = attack.solved
        return criterion
    return _criterion(attack.attack, default) if hasattr(attack, "attack") else default


def _merged(
    runs: Iterable[tuple[Attack, Rng, bool]],
    solved: Criterion,
    model: Model,
    clean: Images,
    labels: Labels,
    start: Images | None,
    radius: PerImage | None,
) -> Trace:
    """Run attacks one after the other on what is left, and keep for each image the first success, else the last try."""
    everyone = torch.arange(len(clean), device=clean.device)
    merged, left = Trace(clean.clone(), torch.full_like(everyone, -1), torch.zeros_like(everyone)), everyone
    closest = _Closest.begin(clean, solved)
    for attack, rng, goes_on in runs:
        if not len(left):
            break
        begin, radii = (None if part is None else part[left] for part in (start, radius))
        begin = closest.images[left] if goes_on and closest.seen else begin
        found = trace(attack, model, clean[left], labels[left], begin, _picked(rng, left), radii)
        _keep(merged, found, rng, left)
        with torch.no_grad():
            logits = model(found.images)
        closest.see(found.images, logits, labels[left], left)
        left = left[~solved(logits, labels[left])]
    return merged


def _keep(merged: Trace, found: Trace, rng: Rng, left: Indices) -> None:
    restart = found.restart if found.restart.any() else torch.full_like(left, rng.restart)
    for whole, part in zip(_columns(merged), (found.images, found.step, restart), strict=True):
        whole[left] = part


@dataclass
class _Closest:
    """For each image what came closest to success, of what the attacks returned so far.

    Arguments:
        images: These images.
        nearness: How close each is.
        solved: What counts as success.
        seen: Whether any attack has returned anything.
    """

    images: Images
    nearness: PerImage
    solved: Criterion
    seen: bool = False

    @classmethod
    def begin(cls, clean: Images, solved: Criterion) -> "_Closest":
        nothing = torch.full((len(clean),), -torch.inf, dtype=clean.dtype, device=clean.device)
        return cls(clean.clone(), nothing, solved)

    def see(self, images: Images, logits: Logits, labels: Labels, left: Indices) -> None:
        near = nearness(self.solved, logits, labels).to(self.nearness)
        closer = near > self.nearness[left]
        self.images[left[closer]], self.nearness[left[closer]] = images[closer], near[closer]
        self.seen = True


def _picked(rng: Rng, left: torch.Tensor) -> Rng:
    return replace(rng, index=rng.index.to(left.device)[left])


def _columns(found: Trace) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return found.images, found.step, found.restart
