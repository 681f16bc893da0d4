"""ParticleSets: an attack whose images interact in random sets, redrawn every few steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images, traits_around
from quantattack.attacks.success import confirmed
from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.rng import SETS, Rng
from quantattack.types import Images, Indices, Mask, Model


@tagged("Rounds")
@dataclass(frozen=True)
class ParticleSets:
    """Run an ascent in rounds of a few steps; before each round, split the data set at random into interacting sets.

    The seed and the images' indices draw the sets, so they do not depend on the batch size: evaluation passes this
    attack the whole data set in one batch, and it holds one iterate of every image in memory.  An image is returned at
    the first iterate that fools the model, but stays in the sets.

    Source: Zheng, Chen and Ren, 2019, https://arxiv.org/abs/1808.05537, as released.

    Arguments:
        attack: The ascent, with the total number of steps; usually with `Blob()` or `Dgf()` among its transforms.
        particles: Images per set; the last set may be smaller.
        steps: Steps per round.
        broken: "update" to keep moving the images that fool the model, as released; "freeze" to fix them.

    Raises:
        InputError: If particles or steps is below 1, or `broken` is neither "update" nor "freeze".
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
        """It must receive the whole data set in one batch."""
        return replace(traits_around(self.attack), needs_all=True)

    def passes(self, classes: int) -> int:
        walks = -(-self.attack.steps // self.steps)
        return sum(self._walk(walk * self.steps).passes(classes) for walk in range(walks))

    def to_the_end(self) -> Attack:
        return replace(self, attack=replace(self.attack, last_iterate=True))

    def trace(self, model: Model, batch: Batch) -> Trace:
        """Run the rounds one after the other; the batch is the whole data set."""
        x = self._begin(batch)
        images, fooled_at = x.clone(), torch.full((len(batch),), self.attack.steps, device=x.device)
        for first_step in range(0, self.attack.steps, self.steps):
            walk = self._walk(first_step)
            for members in self._sets(batch.rng, first_step):
                broken = fooled_at[members] < self.attack.steps
                particles = replace(batch.keep(members), start=x[members])
                x[members], iterates, steps = self._round(walk, model, particles, broken)
                new = steps >= 0
                images[members[new]], fooled_at[members[new]] = iterates[new], steps[new] + first_step
        use_last = (fooled_at == self.attack.steps) | self.attack.last_iterate
        images[use_last] = x[use_last]
        images = self.attack.threat.snap(images, batch.images, batch.radius)
        return Trace(images, fooled_at, torch.zeros_like(fooled_at))

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
        """Yield the sets of this round: indices of the images, shuffled by their random numbers."""
        keys = rng.uniform(first_step, SETS, (), torch.float64)
        order = rng.index.argsort(stable=True)  # equal draws keep the order of the data set, not of the call
        yield from torch.split(order[keys[order].argsort(stable=True)], self.particles)

    def _round(self, walk: Ascent, model: Model, particles: Batch, broken: Mask) -> tuple[Images, Images, Indices]:
        """Run one round on one set; return the last iterates, the first fooling ones, and their indices or -1."""
        assert particles.start is not None
        iterates, steps = particles.start.clone(), torch.full_like(particles.labels, -1, dtype=torch.int64)
        points, stay = walk.walk(model, particles), None
        while True:
            try:
                step = points.send(stay)
            except StopIteration as end:
                return end.value, iterates, steps
            solved = confirmed(self.attack.solved, step.logits, model, step.x, particles.labels, particles.at_once)
            new = solved & ~broken
            iterates[new], steps[new], broken = step.x[new], step.index, broken | new
            stay = ~broken if self.broken == "freeze" else None


@tagged("Later")
@dataclass(frozen=True)
class Later:
    """A step size schedule shifted so that its step 0 is step `first` of the original.

    Arguments:
        step_size: The original schedule, a function of the step's index.
        first: Index in the original schedule of the first step.
    """

    step_size: Callable[[int], float]
    first: int

    def __call__(self, index: int) -> float:
        return self.step_size(index + self.first)
