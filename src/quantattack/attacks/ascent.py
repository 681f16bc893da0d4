"""The one loop: walk uphill on a loss, inside a threat."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real

import torch

from quantattack.attacks.base import Trace, check_parts, check_threat, first_images
from quantattack.attacks.directions import Direction, steepest
from quantattack.attacks.losses import Loss, cross_entropy
from quantattack.attacks.norms import spread
from quantattack.attacks.scaling.base import Rescale, Temperature, fit_in_batches, select_rows, unit
from quantattack.attacks.success import Criterion, misclassified
from quantattack.attacks.threat import Threat
from quantattack.attacks.transforms import Transform
from quantattack.errors import InputError, check_count
from quantattack.gradients import gradient_in_parts
from quantattack.rng import ROUNDING, Rng
from quantattack.types import Images, Labels, Logits, Mask, Model, PerImage


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
    clean: Images
    labels: Labels
    radius: PerImage
    rng: Rng
    rescale: Rescale
    previous: tuple[Images, ...]

    def keep(self, mask: Mask) -> "_State":
        rescale = self.rescale.keep(mask) if hasattr(self.rescale, "keep") else self.rescale
        previous = tuple(part[mask] for part in self.previous)
        kept = self.x[mask], self.clean[mask], self.labels[mask], self.radius[mask], self.rng.keep(mask)
        return _State(*kept, rescale, previous)


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
        transforms: What changes the gradient before the direction, in order.
        direction: What turns the gradient into a unit step.
        solved: What counts as success.
        random_start: Whether to start at a random point of the threat, or at the clean image.
        last_iterate: Whether only the last point counts and every image walks all steps, as published attacks do.

    Raises:
        InputError: If there is less than one step, or a step size is not positive.
    """

    threat: Threat
    step_size: int | float | Callable[[int], float]
    steps: int
    loss: Loss = cross_entropy
    temperature: Temperature = unit
    transforms: tuple[Transform, ...] = ()
    direction: Direction = steepest
    solved: Criterion = misclassified
    random_start: bool = True
    last_iterate: bool = False

    def __post_init__(self) -> None:
        check_threat(self.threat)
        check_count("steps", self.steps)
        check_parts(loss=self.loss, temperature=self.temperature, direction=self.direction, solved=self.solved)
        size = self.step_size
        if not callable(size) and not (isinstance(size, Real) and 0 < size < float("inf")):
            raise InputError(f"step_size must be a positive number, not {size!r}")

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
        """Run the walk to its end; images that are solved leave it."""
        images, left = clean.clone(), torch.arange(len(clean), device=clean.device)  # left: who is still in the walk
        fooled = torch.full_like(left, self.steps)
        walk = self.walk(model, clean, labels, start, rng, radius)
        stay: Mask | None = None
        while True:
            try:
                step = walk.send(stay)
            except StopIteration as end:
                unsettled = (fooled[left] == self.steps) | self.last_iterate
                images[left[unsettled]] = end.value[unsettled]
                return Trace(images, fooled, torch.zeros_like(fooled))
            solved = self.solved(step.logits, labels[left])
            first = solved & (fooled[left] == self.steps)
            fooled[left[first]] = step.index
            images[left[first]] = step.x[first]
            if not self._together:
                left, stay = left[~solved], ~solved

    @property
    def refills(self) -> bool:
        """Whether it may be handed more images than the model is shown at once: it cuts its gradients itself."""
        return not any(getattr(part, "coupled", False) for part in self.transforms)

    @property
    def _together(self) -> bool:
        """Whether nobody leaves: the last point counts, or the images move each other."""
        return self.last_iterate or any(getattr(part, "coupled", False) for part in self.transforms)

    def walk(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Generator[Step, Mask | None, Images]:
        """Yield each point of the walk; the last point, which nobody evaluated, is the generator's value.

        A mask sent back says which images go on: the others leave, or stand still where images move each other.  A
        plain `for` drops none.
        """
        if not len(clean):
            return clean
        state = self._begin(model, clean, labels, start, rng, radius)
        for index in range(self.steps):
            logits, raw = gradient_in_parts(model, state.x, partial(self._climbed, state))
            stay = yield Step(index, state.x, logits, raw)
            if stay is not None and not self._together:
                state, raw, stay = state.keep(stay), raw[stay], None
                if not len(raw):
                    return state.x
            moved = self._advance(state, raw, index)
            state = moved if stay is None else replace(moved, x=torch.where(spread(stay, raw), moved.x, state.x))
        return state.x

    def _climbed(self, state: _State, logits: Logits, rows: slice) -> PerImage:
        labels = state.labels[rows]
        return self.loss(select_rows(state.rescale, rows)(logits, labels), labels)

    def _begin(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None,
        rng: Rng | None,
        radius: PerImage | None,
    ) -> _State:
        x, radii, drawn = clean, self.threat.radii(clean, radius), rng or first_images(clean)
        if start is not None:
            x = self.threat.project(start.to(clean), clean, radii)
        elif self.random_start:
            x = self.threat.sample(clean, drawn, radii)
        rescale = fit_in_batches(self.temperature, model, x, labels)
        return _State(x, clean, labels, radii, drawn, rescale, tuple(torch.zeros_like(x) for _ in self.transforms))

    def _advance(self, state: _State, raw: Images, index: int) -> _State:
        grad, previous = raw, list(state.previous)
        for i, transform in enumerate(self.transforms):
            grad = previous[i] = transform(grad, state.x, previous[i])
        length = self.step_size(index) if callable(self.step_size) else self.step_size
        # an image with a radius of its own takes its steps in proportion
        size = spread((state.radius * (length / self.threat.radius)).to(raw), raw)
        room = self.threat.room(state.x, grad) / size if self.threat.norm.crowded else None
        moved = state.x + size * self._turned(grad, room, state.rng, index)
        return replace(state, x=self.threat.project(moved, state.clean, state.radius), previous=tuple(previous))

    def _turned(self, grad: Images, room: Images | None, rng: Rng, index: int) -> Images:
        if not getattr(self.direction, "noisy", False):
            return self.direction(grad, self.threat.norm, room)
        noise = rng.uniform(index, ROUNDING, grad.shape[1:], grad.dtype)
        return self.direction(grad, self.threat.norm, room, noise)
