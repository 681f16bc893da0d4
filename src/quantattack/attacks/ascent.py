"""Projected gradient ascent on a loss inside a threat: the loop that the PGD-like attacks share."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Real

import torch

from quantattack.attacks.arguments import check_parts, check_threat
from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images
from quantattack.attacks.class_pair import ClassPair, check_pair, fitted
from quantattack.attacks.directions import Direction, NoisyDirection, steepest
from quantattack.attacks.losses import Loss, cross_entropy
from quantattack.attacks.norms import per_image
from quantattack.attacks.projection import Projection
from quantattack.attacks.scaling.base import (
    Rescale,
    Temperature,
    fitting_passes,
    select_rows,
    unit,
)
from quantattack.attacks.success import Criterion, check_criterion, confirmed, misclassified
from quantattack.attacks.threat import Threat
from quantattack.attacks.transforms import Transform, is_coupled
from quantattack.errors import InputError, check_count
from quantattack.gradients import gradient_in_parts
from quantattack.record.description import tagged
from quantattack.rng import ROUNDING, Rng
from quantattack.types import Images, Logits, Mask, Model, PerImage


@dataclass(frozen=True, eq=False)
class Step:
    """One iterate.

    Arguments:
        index: Number of the iterate; 0 is the start point.
        x: The images at this iterate, with shape (n, ...); on the grid if the threat has levels.
        logits: The model's logits at x, with shape (n, k).
        grad: Gradient of each image's loss at x, with the shape of x.
    """

    index: int
    x: Images
    logits: Logits
    grad: Images


@dataclass(frozen=True, eq=False)
class _State:
    """All per-image state of the loop, so that `keep` drops an image from every tensor at once."""

    x: Images
    batch: Batch
    radius: PerImage
    rescale: Rescale
    inside: Projection
    previous: tuple[Images, ...]

    def keep(self, mask: Mask) -> "_State":
        previous = tuple(grad[mask] for grad in self.previous)
        rescale, inside = select_rows(self.rescale, mask), self.inside.keep(mask)
        return _State(self.x[mask], self.batch.keep(mask), self.radius[mask], rescale, inside, previous)


@tagged("Ascent")
@dataclass(frozen=True, kw_only=True)
class Ascent:
    r"""Projected gradient ascent, assembled from a loss, a temperature, gradient transforms and a direction.

    .. math:: x \leftarrow \Pi\big(x + \eta_t\, d(T(\nabla_x \ell(\beta\, a(x), y)))\big)

    where :math:`a` are the logits, :math:`\beta` the temperature's factor, T the composed transforms, d the direction
    and :math:`\Pi` the exact projection onto the intersection of ball and pixel range.  Each
    image is returned at the first iterate that fools the model and is then dropped from the batch; it stays in the
    batch if a transform couples the images.  With `last_iterate` no image is dropped, and the last iterate is returned.

    Source: Madry et al., 2018, https://arxiv.org/abs/1706.06083.

    Arguments:
        threat: Set of admissible images.
        step_size: Size of a step under the threat's norm, in pixel units, or a function of the step's index.
        steps: Number of steps, each one forward and one backward pass.
        loss: Per-image loss to maximize.
        temperature: Factor that multiplies the logits before the loss; fitted once, at the start point.
        pair: Restricts the loss to the true class and one rival, chosen at the start point; excludes a temperature.
        transforms: Functions applied to the gradient, in order, before the direction.
        direction: Function that maps the transformed gradient to a step of unit size.
        solved: Success criterion.
        random_start: Whether to start at a random point of the threat instead of at the clean image.
        last_iterate: Whether to run all steps on every image and return the last iterate, as published attacks do.

    Raises:
        InputError: If steps is below 1, a step size is not positive, or both temperature and pair are given.
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
        check_criterion(self.loss, self.solved)
        size = self.step_size
        if not callable(size) and not (isinstance(size, Real) and 0 < size < float("inf")):
            raise InputError(f"step_size must be a positive number, not {size!r}")

    @property
    def traits(self) -> Traits:
        """Refilling needs images that do not interact."""
        return Traits(refills=not self._coupled, solved=self.solved)

    def passes(self, classes: int) -> int:
        return 2 * self.steps + fitting_passes(self.pair or self.temperature, classes)

    def to_the_end(self) -> Attack:
        return replace(self, last_iterate=True)

    def trace(self, model: Model, batch: Batch) -> Trace:
        """Run the loop; return each image's first iterate that fools the model, else the last one."""
        images, active = batch.images.clone(), torch.arange(len(batch), device=batch.images.device)
        fooled_at = torch.full_like(active, self.steps)
        walk = self.walk(model, batch)
        stay: Mask | None = None
        while True:  # `active` are the indices of the images that are still in the loop
            try:
                step = walk.send(stay)
            except StopIteration as end:
                use_last = (fooled_at[active] == self.steps) | self.last_iterate
                images[active[use_last]] = end.value[use_last]
                images = self.threat.snap(images, batch.images, batch.radius)
                return Trace(images, fooled_at, torch.zeros_like(fooled_at))
            solved = confirmed(self.solved, step.logits, model, step.x, batch.labels[active], batch.at_once)
            first = solved & (fooled_at[active] == self.steps)
            fooled_at[active[first]] = step.index
            images[active[first]] = step.x[first]
            if not self._keeps_all:
                active, stay = active[~solved], ~solved

    @property
    def _coupled(self) -> bool:
        return any(is_coupled(transform) for transform in self.transforms)

    @property
    def _keeps_all(self) -> bool:
        """Whether fooled images stay in the batch: only the last iterate counts, or the images interact."""
        return self.last_iterate or self._coupled

    def walk(self, model: Model, batch: Batch) -> Generator[Step, Mask | None, Images]:
        """Yield each evaluated iterate; the generator's return value is the last iterate, which is not evaluated.

        If the threat has levels, the iterates move in real numbers and the model is shown, and the caller handed, the
        nearest images on the grid: steps shorter than a level add up.  The return value is not rounded.

        The caller may `send` a mask of the images that continue.  The others are dropped from later iterates; if
        `last_iterate` is set or the images interact, they stay in the batch but no longer move.  Without a mask, as in
        a `for` loop, every image continues.
        """
        if not len(batch):
            return batch.images
        state = self._begin(model, batch)
        for index in range(self.steps):
            shown = self.threat.snap(state.x, state.batch.images, state.radius)
            logits, raw = gradient_in_parts(model, shown, partial(self._scaled_loss, state), batch.at_once)
            stay = yield Step(index, shown, logits, raw)
            if stay is not None and not self._keeps_all:
                state, raw, stay = state.keep(stay), raw[stay], None
                if not len(raw):
                    return state.x
            moved = self._advance(state, raw, index)
            state = moved if stay is None else replace(moved, x=torch.where(per_image(stay, raw), moved.x, state.x))
        return state.x

    def _scaled_loss(self, state: _State, logits: Logits, rows: slice) -> PerImage:
        labels = state.batch.labels[rows]
        return self.loss(select_rows(state.rescale, rows)(logits, labels), labels)

    def _begin(self, model: Model, batch: Batch) -> _State:
        x, radius = batch.images, self.threat.radii(batch.images, batch.radius)
        if batch.start is not None:
            x = self.threat.project(batch.start.to(x), x, radius)
        elif self.random_start:
            x = self.threat.sample(x, batch.rng, radius)
        shown = self.threat.snap(x, batch.images, radius)
        rescale = fitted(self.pair or self.temperature, model, shown, batch)
        inside = Projection.onto(self.threat, batch.images, radius)
        return _State(x, batch, radius, rescale, inside, tuple(torch.zeros_like(x) for _ in self.transforms))

    def _advance(self, state: _State, raw: Images, index: int) -> _State:
        """Take one step along the transformed gradient and project it onto the threat."""
        grad, previous = raw, list(state.previous)
        for i, transform in enumerate(self.transforms):
            grad = previous[i] = transform(grad, state.x, previous[i])
        length = self.step_size(index) if callable(self.step_size) else self.step_size
        # the step scales with the image's own radius, and the pixel's
        size = self.threat.spread((state.radius * (length / self.threat.radius)).to(raw), raw)
        room = self.threat.room(state.x, grad) / size if self.threat.norm.needs_room else None
        moved = state.x + size * self._step_direction(grad, room, state.batch.rng, index)
        return replace(state, x=state.inside(moved), previous=tuple(previous))

    def _step_direction(self, grad: Images, room: Images | None, rng: Rng, index: int) -> Images:
        if not isinstance(self.direction, NoisyDirection):
            return self.direction(grad, self.threat.norm, room)
        noise = rng.uniform(index, ROUNDING, grad.shape[1:], grad.dtype)
        return self.direction(grad, self.threat.norm, room, noise)
