"""ParticleSets: short walks in particle sets that are mixed anew between them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images, traits_around
from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.rng import SETS, Rng
from quantattack.types import Images, Indices, Mask, Model


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
    __call__ = attacked_images

    def __post_init__(self) -> None:
        if min(self.particles, self.steps) < 1:
            raise InputError("ParticleSets needs at least one particle a set and one step a walk")
        if self.broken not in ("update", "freeze"):
            raise InputError(f"broken must be 'update' or 'freeze', not {self.broken!r}")

    @property
    def traits(self) -> Traits:
        """It is handed the data set, not a batch of it."""
        return replace(traits_around(self.attack), needs_all=True)

    def passes(self, classes: int) -> int:
        walks = -(-self.attack.steps // self.steps)
        return sum(self._walk(walk * self.steps).passes(classes) for walk in range(walks))

    def to_the_end(self) -> Attack:
        return replace(self, attack=replace(self.attack, last_iterate=True))

    def trace(self, model: Model, batch: Batch) -> Trace:
        """Run the short walks one after the other; the batch is the whole data set."""
        x = self._begin(batch)
        images, fooled = x.clone(), torch.full((len(batch),), self.attack.steps, device=x.device)
        for first_step in range(0, self.attack.steps, self.steps):
            walk = self._walk(first_step)
            for members in self._sets(batch.rng, first_step):
                broken = fooled[members] < self.attack.steps
                particles = replace(batch.keep(members), start=x[members])
                x[members], iterates, steps = self._short(walk, model, particles, broken)
                new = steps >= 0
                images[members[new]], fooled[members[new]] = iterates[new], steps[new] + first_step
        settled = torch.full_like(fooled, self.attack.last_iterate) | (fooled == self.attack.steps)
        images[settled.bool()] = x[settled.bool()]
        return Trace(images, fooled, torch.zeros_like(fooled))

    def _begin(self, batch: Batch) -> Images:
        threat, clean = self.attack.threat, batch.images
        if batch.start is not None:
            return threat.project(batch.start.to(clean), clean, batch.radius)
        return threat.sample(clean, batch.rng, batch.radius) if self.attack.random_start else clean.clone()

    def _walk(self, first_step: int) -> Ascent:
        steps = min(self.steps, self.attack.steps - first_step)
        size = self.attack.step_size
        return replace(self.attack, steps=steps, step_size=Later(size, first_step) if callable(size) else size)

    def _sets(self, rng: Rng, first_step: int) -> Iterator[Indices]:
        """Split the images, in an order that their indices and the seed draw for this round."""
        keys = rng.uniform(first_step, SETS, (), torch.float64)
        order = rng.index.argsort(stable=True)  # equal draws keep the order of the data set, not of the call
        yield from torch.split(order[keys[order].argsort(stable=True)], self.particles)

    def _short(self, walk: Ascent, model: Model, particles: Batch, broken: Mask) -> tuple[Images, Images, Indices]:
        """Return where a short walk ends, and for each image newly fooled the iterate and its number, else -1."""
        assert particles.start is not None
        iterates, steps = particles.start.clone(), torch.full_like(particles.labels, -1, dtype=torch.int64)
        points, stay = walk.walk(model, particles), None
        while True:
            try:
                step = points.send(stay)
            except StopIteration as end:
                return end.value, iterates, steps
            new = self.attack.solved(step.logits, particles.labels) & ~broken
            iterates[new], steps[new], broken = step.x[new], step.index, broken | new
            stay = ~broken if self.broken == "freeze" else None


@tagged("Later")
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
