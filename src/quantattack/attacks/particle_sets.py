"""ParticleSets: short walks in particle sets that are mixed anew between them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Trace, first_images
from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.rng import SETS, Rng
from quantattack.types import Images, Indices, Labels, Mask, Model, PerImage


@tagged("Rounds")
@dataclass(frozen=True)
class ParticleSets:
    """Walk the whole data set in short walks, each in sets of particles that the seed and the images' indices draw.

    The sets never depend on the batch size: the engine hands this attack all images at once, and it holds an iterate of
    each in memory.  An image that was fooled keeps the iterate that fooled it first, and stays among the particles.

    Source: Zheng, Chen and Ren, 2019, https://arxiv.org/abs/1808.05537, as released.

    Arguments:
        attack: The walk, with all its steps; usually with `Blob()` or `Dgf()` among its transforms.
        particles: Images in a set; the last one may be smaller.
        steps: Steps of a short walk, after which the sets are mixed.
        broken: Whether fooled images go on being updated, as released, or stand still.

    Raises:
        InputError: If a number is less than one, or `broken` is neither.
    """

    attack: Ascent
    particles: int = 200
    steps: int = 10
    broken: Literal["update", "freeze"] = "update"
    whole: ClassVar[bool] = True  # the engine hands over the data set, not a batch

    def __post_init__(self) -> None:
        if min(self.particles, self.steps) < 1:
            raise InputError("ParticleSets needs at least one particle a set and one step a walk")
        if self.broken not in ("update", "freeze"):
            raise InputError(f"broken must be 'update' or 'freeze', not {self.broken!r}")

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
        x = self._begin(clean, start, rng, radius)
        images, fooled = x.clone(), torch.full((len(clean),), self.attack.steps, device=clean.device)
        for round_ in range(0, self.attack.steps, self.steps):
            walk = self._walk(round_)
            for members in self._sets(rng, round_):
                radii = None if radius is None else radius[members]
                seen = fooled[members]
                given = clean[members], labels[members], x[members], _picked(rng, members), radii
                last, first, found = self._short(walk, model, given, seen < self.attack.steps)
                x[members] = last
                new = found >= 0
                images[members[new]], fooled[members[new]] = first[new], found[new] + round_
        settled = torch.full_like(fooled, self.attack.last_iterate) | (fooled == self.attack.steps)
        images[settled.bool()] = x[settled.bool()]
        return Trace(images, fooled, torch.zeros_like(fooled))

    def _begin(self, clean: Images, start: Images | None, rng: Rng, radius: PerImage | None) -> Images:
        threat = self.attack.threat
        if start is not None:
            return threat.project(start.to(clean), clean, radius)
        return threat.sample(clean, rng, radius) if self.attack.random_start else clean.clone()

    def _walk(self, round_: int) -> Ascent:
        steps = min(self.steps, self.attack.steps - round_)
        size = self.attack.step_size
        return replace(self.attack, steps=steps, step_size=Later(size, round_) if callable(size) else size)

    def _sets(self, rng: Rng, round_: int) -> Iterator[Indices]:
        """Split the images, in an order that their indices and the seed draw for this round."""
        keys = rng.uniform(round_, SETS, (), torch.float64)
        order = rng.index.argsort(stable=True)  # equal draws keep the order of the data set, not of the call
        yield from torch.split(order[keys[order].argsort(stable=True)], self.particles)

    def _short(
        self,
        walk: Ascent,
        model: Model,
        given: tuple[Images, Labels, Images, Rng, PerImage | None],
        broken: Mask,
    ) -> tuple[Images, Images, Indices]:
        """Return where a short walk ends, and for each image newly fooled the iterate and its number, else -1."""
        clean, labels, x, rng, radii = given
        first, found = x.clone(), torch.full((len(x),), -1, device=x.device)
        points, stay = walk.walk(model, clean, labels, x, rng, radii), None
        while True:
            try:
                step = points.send(stay)
            except StopIteration as end:
                return end.value, first, found
            new = self.attack.solved(step.logits, labels) & ~broken
            first[new], found[new], broken = step.x[new], step.index, broken | new
            stay = ~broken if self.broken == "freeze" else None


@dataclass(frozen=True)
class Later:
    """A step size seen from a later step on.

    Arguments:
        step_size: A function of the step's number.
        first: The number of the first step.
    """

    step_size: Callable[[int], float]
    first: int

    def __call__(self, index: int) -> float:
        return self.step_size(index + self.first)


def _picked(rng: Rng, members: Indices) -> Rng:
    return replace(rng, index=rng.index[members])
