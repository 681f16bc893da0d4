"""The one loop: walk uphill on a loss, inside a threat."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Real

import torch

from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images, check_parts, check_threat
from quantattack.attacks.class_pair import ClassPair, check_pair
from quantattack.attacks.directions import Direction, NoisyDirection, steepest
from quantattack.attacks.losses import Loss, cross_entropy
from quantattack.attacks.norms import per_image
from quantattack.attacks.scaling.base import (
    Rescale,
    Temperature,
    fit_in_batches,
    fitting_passes,
    select_rows,
    unit,
)
from quantattack.attacks.success import Criterion, misclassified
from quantattack.attacks.threat import Threat
from quantattack.attacks.transforms import Transform, is_coupled
from quantattack.errors import InputError, check_count
from quantattack.gradients import gradient_in_parts
from quantattack.record.description import tagged
from quantattack.rng import ROUNDING, Rng
from quantattack.types import Images, Logits, Mask, Model, PerImage


@dataclass(frozen=True, eq=False)
class Step:
    """One point of a walk.

    Arguments:
        index: Number of the step; 0 is the start point.
        x: The point at which the model was evaluated.
        logits: Its logits.
        grad: The loss's gradient there.
    """

    index: int
    x: Images
    logits: Logits
    grad: Images


@dataclass(frozen=True, eq=False)
class _State:
    """Everything that there is for each image of a walk, in one place: an image that leaves takes it all along."""

    x: Images
    batch: Batch
    radius: PerImage
    rescale: Rescale
    previous: tuple[Images, ...]

    def keep(self, mask: Mask) -> "_State":
        previous = tuple(grad[mask] for grad in self.previous)
        return _State(self.x[mask], self.batch.keep(mask), self.radius[mask], select_rows(self.rescale, mask), previous)


@tagged("Ascent")
@dataclass(frozen=True, kw_only=True)
class Ascent:
    r"""Projected gradient ascent, of which every gradient attack here is a composition.

    .. math:: x \leftarrow \Pi\big(x + \eta_t\, d(T(\nabla_x \ell(\beta\, a(x), y)))\big)

    with a loss, a temperature, transforms T, a direction d and the exact projection onto ball and pixel range
    (Madry et al., 2018, https://arxiv.org/abs/1706.06083).  An image that an iterate fooled leaves the batch with that
    iterate, unless `last_iterate` is set.

    Arguments:
        threat: Where it may walk.
        step_size: Length of a step in pixels under the threat's norm, or a function of the step's number.
        steps: Number of steps, each one forward and one backward pass.
        loss: What to climb, one number an image.
        temperature: What the logits are multiplied by; looks at the start point.
        pair: The two classes that are left to climb on, in the temperature's place; looks at the start point.
        transforms: What changes the gradient before the direction, in order.
        direction: What turns the gradient into a unit step.
        solved: What counts as success.
        random_start: Whether to start at a random point of the threat, or at the clean image.
        last_iterate: Whether only the last point counts and every image walks all steps, as published attacks do.

    Raises:
        InputError: If there is less than one step, a step size is not positive, or both temperature and pair are given.
    """

    threat: Threat
    step_size: int | float | Callable[[int], float]
    steps: int
    loss: Loss = cross_entropy
    temperature: Temperature = unit
    transforms: tuple[Transform, ...] = ()
    direction: Direction | NoisyDirection = steepest
    solved: Criterion = misclassified
    random_start: bool = True
    last_iterate: bool = False
    pair: ClassPair | None = field(default=None, metadata={"recorded_as": "temperature"})
    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_threat(self.threat)
        check_count("steps", self.steps)
        check_pair(self.pair, self.temperature)
        check_parts(loss=self.loss, temperature=self.temperature, direction=self.direction, solved=self.solved)
        size = self.step_size
        if not callable(size) and not (isinstance(size, Real) and 0 < size < float("inf")):
            raise InputError(f"step_size must be a positive number, not {size!r}")

    @property
    def traits(self) -> Traits:
        """It may be handed more images than the model is shown at once, but for images that move each other."""
        return Traits(refills=not self._coupled, solved=self.solved)

    def passes(self, classes: int) -> int:
        return 2 * self.steps + fitting_passes(self.pair or self.temperature, classes)

    def to_the_end(self) -> Attack:
        return replace(self, last_iterate=True)

    def trace(self, model: Model, batch: Batch) -> Trace:
        """Run the walk to its end; images that are solved leave it."""
        images, left = batch.images.clone(), torch.arange(len(batch), device=batch.images.device)
        fooled = torch.full_like(left, self.steps)
        walk = self.walk(model, batch)
        stay: Mask | None = None
        while True:  # `left` numbers the images that are still in the walk
            try:
                step = walk.send(stay)
            except StopIteration as end:
                unsettled = (fooled[left] == self.steps) | self.last_iterate
                images[left[unsettled]] = end.value[unsettled]
                return Trace(images, fooled, torch.zeros_like(fooled))
            solved = self.solved(step.logits, batch.labels[left])
            first = solved & (fooled[left] == self.steps)
            fooled[left[first]] = step.index
            images[left[first]] = step.x[first]
            if not self._nobody_leaves:
                left, stay = left[~solved], ~solved

    @property
    def _coupled(self) -> bool:
        return any(is_coupled(transform) for transform in self.transforms)

    @property
    def _nobody_leaves(self) -> bool:
        """Whether all images stay: only the last point counts, or the images move each other."""
        return self.last_iterate or self._coupled

    def walk(self, model: Model, batch: Batch) -> Generator[Step, Mask | None, Images]:
        """Yield each point of the walk; the last point, which nobody evaluated, is the generator's value.

        A mask sent back says which images go on: the others leave, or stand still where images move each other.  A
        plain `for` drops none.
        """
        if not len(batch):
            return batch.images
        state = self._begin(model, batch)
        for index in range(self.steps):
            logits, raw = gradient_in_parts(model, state.x, partial(self._climbed, state), batch.at_once)
            stay = yield Step(index, state.x, logits, raw)
            if stay is not None and not self._nobody_leaves:
                state, raw, stay = state.keep(stay), raw[stay], None
                if not len(raw):
                    return state.x
            moved = self._advance(state, raw, index)
            state = moved if stay is None else replace(moved, x=torch.where(per_image(stay, raw), moved.x, state.x))
        return state.x

    def _climbed(self, state: _State, logits: Logits, rows: slice) -> PerImage:
        labels = state.batch.labels[rows]
        return self.loss(select_rows(state.rescale, rows)(logits, labels), labels)

    def _begin(self, model: Model, batch: Batch) -> _State:
        x, radius = batch.images, self.threat.radii(batch.images, batch.radius)
        if batch.start is not None:
            x = self.threat.project(batch.start.to(x), x, radius)
        elif self.random_start:
            x = self.threat.sample(x, batch.rng, radius)
        rescale = fit_in_batches(self.pair or self.temperature, model, x, batch.labels, batch.at_once)
        return _State(x, batch, radius, rescale, tuple(torch.zeros_like(x) for _ in self.transforms))

    def _advance(self, state: _State, raw: Images, index: int) -> _State:
        """Take one step along the transformed gradient, and come back into the threat."""
        grad, previous = raw, list(state.previous)
        for i, transform in enumerate(self.transforms):
            grad = previous[i] = transform(grad, state.x, previous[i])
        length = self.step_size(index) if callable(self.step_size) else self.step_size
        # an image with a radius of its own takes its steps in proportion
        size = per_image((state.radius * (length / self.threat.radius)).to(raw), raw)
        room = self.threat.room(state.x, grad) / size if self.threat.norm.needs_room else None
        moved = state.x + size * self._turned(grad, room, state.batch.rng, index)
        x = self.threat.project(moved, state.batch.images, state.radius)
        return replace(state, x=x, previous=tuple(previous))

    def _turned(self, grad: Images, room: Images | None, rng: Rng, index: int) -> Images:
        if not isinstance(self.direction, NoisyDirection):
            return self.direction(grad, self.threat.norm, room)
        noise = rng.uniform(index, ROUNDING, grad.shape[1:], grad.dtype)
        return self.direction(grad, self.threat.norm, room, noise)
