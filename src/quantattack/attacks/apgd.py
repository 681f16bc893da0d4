"""Auto-PGD (APGD): projected gradient ascent with momentum and an adaptive step size; its start points."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from quantattack.attacks.arguments import check_threat
from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images
from quantattack.attacks.class_pair import ClassPair, check_pair, fitted
from quantattack.attacks.losses import Loss, cross_entropy
from quantattack.attacks.norms import L1, Norm, per_image
from quantattack.attacks.projection import Projection
from quantattack.attacks.scaling.base import (
    Rescale,
    Temperature,
    fitting_passes,
    select_rows,
    unit,
)
from quantattack.attacks.starts import Start, farthest
from quantattack.attacks.success import Criterion, check_criterion, confirmed, misclassified
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, check_count
from quantattack.gradients import climbed_logits, gradient_in_parts
from quantattack.record.description import tagged
from quantattack.types import Images, Logits, Mask, Model, PerImage


@tagged("Apgd")
@dataclass(frozen=True, kw_only=True)
class Apgd:
    r"""Projected gradient ascent with momentum, whose step is halved where the loss stops rising.

    .. math:: z = \Pi(x_t + \eta\, d(\nabla \ell)), \quad
       x_{t+1} = \Pi\big(x_t + \alpha (z - x_t) + (1 - \alpha)(x_t - x_{t-1})\big)

    At checkpoints an image halves its step and restarts from its best point if its loss rose in at most three quarters
    of the steps since the last checkpoint, or if its best loss has not improved since then and the step was not halved
    there.  Under L1 the step is spread over the pixels with the largest gradients; how many follows the sparsity of
    the best point (Croce and Hein, 2021, https://arxiv.org/abs/2103.01208).  An image is dropped from the batch once
    an iterate fools the model.

    Source: Croce and Hein, 2020, https://arxiv.org/abs/2003.01690.

    Arguments:
        threat: Set of admissible images.
        steps: Number of steps.
        loss: Per-image loss to maximize.
        temperature: Factor that multiplies the logits before the loss; fitted once, at the start point.
        progress: Loss of the unscaled logits by which iterates are compared; None for `loss` itself.  A temperature
            that changes at every step, such as `Gap`, needs one, because its losses are not comparable across steps.
        step_size: A step size schedule, as a function of the step's index; it replaces the adaptive step size and its
            returns to the best point.  None for the adaptive step size.
        momentum: Weight α of the new step; 1 - α weights the previous move.
        solved: Success criterion.
        start: Maps threat, clean images, random numbers and radii to start points; None for `farthest`.
        pair: Restricts the loss to the true class and one rival, chosen at the start point; excludes a temperature.
        along: Norm whose steepest direction is followed, with the schedule's step sizes in that norm, before the
            projection onto the threat; None for the threat's.  Under L1, steps along L2 move many pixels by a little.

    Raises:
        InputError: If steps is below 1, both temperature and pair are given, or `along` without `step_size`.
    """

    threat: Threat
    steps: int = 100
    loss: Loss = cross_entropy
    temperature: Temperature = unit
    progress: Loss | None = None
    step_size: Callable[[int], float] | None = None
    momentum: int | float = 0.75
    solved: Criterion = misclassified
    start: Start | None = None
    pair: ClassPair | None = field(default=None, metadata={"recorded_as": "temperature"})
    along: Norm | None = field(default=None, metadata={"recorded_as": "along"})
    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_threat(self.threat)
        check_count("steps", self.steps)
        check_pair(self.pair, self.temperature)
        check_criterion(self.loss, self.solved)
        if not isinstance(self.along, Norm | None):
            raise InputError(f"`along` is a norm, such as L2(), not {self.along!r}")
        if self.along is not None and self.step_size is None:
            raise InputError(
                "`along` needs a schedule of step sizes: give `step_size`, such as LinearDecay(1.0, steps)"
            )

    @property
    def traits(self) -> Traits:
        return Traits(refills=True, solved=self.solved)

    def passes(self, classes: int) -> int:
        return 2 * self.steps + 1 + fitting_passes(self.pair or self.temperature, classes)

    def to_the_end(self) -> Attack:
        """Return the attack itself: its result is the best iterate, so it has no variant without early stopping."""
        return self

    def trace(self, model: Model, batch: Batch) -> Trace:
        """Run the ascent; return the iterate that fools the model, else the one with the highest loss."""
        images, active = batch.images.clone(), torch.arange(len(batch), device=batch.images.device)
        fooled_at = torch.full_like(active, self.steps)
        walk = self._begin(model, batch) if len(batch) else None
        checks = checkpoints(self.steps, isinstance(self.threat.norm, L1)) if self.step_size is None else {}
        for index in range(self.steps + 1):
            if walk is None or not len(active):
                break
            solved, walk = self._look(model, walk, index)
            images[active], fooled_at[active[solved]] = walk.best, index
            active, walk = active[~solved], walk.keep(~solved)
            if index in checks:
                walk = self._check(walk, checks[index])
            if index < self.steps:
                walk = self._move(walk, index)
        images = self.threat.snap(images, batch.images, batch.radius)  # the best iterate, as it was shown
        return Trace(images, fooled_at, torch.zeros_like(fooled_at))

    def _begin(self, model: Model, batch: Batch) -> "_Walk":
        clean, radius = batch.images, self.threat.radii(batch.images, batch.radius)
        if batch.start is not None:
            x = self.threat.project(batch.start.to(clean), clean, radius)
        else:
            x = (self.start or farthest)(self.threat, clean, batch.rng, radius)
        shown = self.threat.snap(x, clean, radius)
        rescale = fitted(self.pair or self.temperature, model, shown, batch)
        size = (1.0 if isinstance(self.threat.norm, L1) else 2.0) * radius
        return _Walk.begin(
            x, replace(batch, reached=None), radius, rescale, size, Projection.onto(self.threat, clean, radius)
        )

    def _look(self, model: Model, walk: "_Walk", index: int) -> tuple[Mask, "_Walk"]:
        """Evaluate the iterate; record it as the best where its loss is highest so far or it fools the model."""
        values: list[Tensor] = []

        def objective(logits: Logits, rows: slice) -> PerImage:
            labels = walk.batch.labels[rows]
            value = self.loss(select_rows(walk.rescale, rows)(logits, labels), labels)
            values.append(value.detach() if self.progress is None else self.progress(logits.detach(), labels))
            return value

        shown = self.threat.snap(walk.x, walk.batch.images, walk.radius)
        logits, grad = self._climbed(model, walk, shown, objective, index)
        solved, value = self._is_solved(model, walk, shown, logits), torch.cat(values).double()
        better = solved | (value > walk.best_loss)
        wide = per_image(better, walk.x)
        return solved, replace(
            walk,
            grad=grad,
            best=torch.where(wide, walk.x, walk.best),
            best_grad=torch.where(wide, grad, walk.best_grad),
            best_loss=torch.where(better, value, walk.best_loss),
            rises=walk.rises + (value > walk.loss),
            loss=value,
        )

    def _climbed(
        self, model: Model, walk: "_Walk", shown: Images, objective: Callable[[Logits, slice], PerImage], index: int
    ) -> tuple[Logits, Images]:
        if index < self.steps:
            return gradient_in_parts(model, shown, objective, walk.batch.at_once)
        logits = climbed_logits(model, shown, walk.batch.at_once)  # no step follows: no gradient is needed
        objective(logits, slice(None))
        return logits, walk.grad

    def _is_solved(self, model: Model, walk: "_Walk", shown: Images, logits: Logits) -> Mask:
        return confirmed(self.solved, logits, model, shown, walk.batch.labels, walk.batch.at_once)

    def _check(self, walk: "_Walk", span: int) -> "_Walk":
        """At a checkpoint, halve the step and return to the best point where the loss stopped rising."""
        if isinstance(self.threat.norm, L1):
            return self._check_sparse(walk)
        stuck = ~walk.halved & (walk.checked_loss >= walk.best_loss)
        halve = (walk.rises <= 0.75 * span) | stuck
        size = torch.where(halve, walk.size / 2, walk.size)
        return self._back_to_best(replace(walk, size=size, halved=halve, checked_loss=walk.best_loss), halve)

    def _check_sparse(self, walk: "_Walk") -> "_Walk":
        """At an L1 checkpoint, shrink the step while the sparsity is stable; else reset it, from the best point."""
        changed = (walk.best != walk.batch.images).flatten(1).double().mean(1)
        settled = changed >= 0.95 * 1.5 * walk.share  # the number of changed pixels fell by at most 5 %
        size = torch.where(settled, walk.size / 1.5, walk.radius).clamp_min(0)
        size = torch.maximum(size, walk.radius / 10)
        return self._back_to_best(replace(walk, size=size, share=changed / 1.5), ~settled)

    def _back_to_best(self, walk: "_Walk", back: Mask) -> "_Walk":
        """Move the images in the mask to their best points, and count rises anew for all."""
        wide = per_image(back, walk.x)
        return replace(
            walk,
            x=torch.where(wide, walk.best, walk.x),
            grad=torch.where(wide, walk.best_grad, walk.grad),
            rises=torch.zeros_like(walk.rises),
        )

    def _move(self, walk: "_Walk", index: int) -> "_Walk":
        size = walk.size if self.step_size is None else walk.radius * (self.step_size(index) / self.threat.radius)
        size = self.threat.spread(size.to(walk.x), walk.x)
        if isinstance(self.threat.norm, L1) and self.step_size is None:
            step = sparse_step(walk.grad, walk.share)
            return replace(walk, x=walk.inside(walk.x + size * step), last=walk.x)
        norm = self.along or self.threat.norm
        room = self.threat.room(walk.x, walk.grad) / size if norm.needs_room else None
        toward = walk.inside(walk.x + size * norm.steepest(walk.grad, room))
        weight = self.momentum if index else 1.0
        moved = walk.x + weight * (toward - walk.x) + (1 - weight) * (walk.x - walk.last)
        return replace(walk, x=walk.inside(moved), last=walk.x)


@dataclass(frozen=True, eq=False)
class _Walk:
    """All per-image state of the ascent, so that `keep` drops an image from every tensor at once.

    `loss` is the progress loss at x, `rises` counts the steps since the last checkpoint that raised it, `checked_loss`
    is `best_loss` at that checkpoint, `halved` whether it halved the step, `share` the share of pixels of an L1 step.
    """

    x: Images
    last: Images
    batch: Batch
    radius: PerImage
    rescale: Rescale
    inside: Projection
    grad: Images
    best: Images
    best_grad: Images
    best_loss: PerImage
    checked_loss: PerImage
    loss: PerImage
    rises: PerImage
    size: PerImage
    halved: Mask
    share: PerImage

    @classmethod
    def begin(
        cls, x: Images, batch: Batch, radius: PerImage, rescale: Rescale, size: PerImage, inside: Projection
    ) -> "_Walk":
        """Return the state at the start point, before the first evaluation."""
        blank, least = torch.zeros_like(x), torch.full_like(radius, -torch.inf)
        return cls(
            x=x,
            last=x,
            batch=batch,
            radius=radius,
            rescale=rescale,
            inside=inside,
            grad=blank,
            best=x,
            best_grad=blank,
            best_loss=least,
            checked_loss=least,
            loss=least,
            rises=torch.zeros_like(radius),
            size=size,
            halved=torch.zeros_like(radius, dtype=torch.bool),
            share=torch.full_like(radius, 0.2),
        )

    def keep(self, mask: Mask) -> "_Walk":
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: column[mask] for name, column in columns.items() if isinstance(column, Tensor)}
        batch, rescale, inside = self.batch.keep(mask), select_rows(self.rescale, mask), self.inside.keep(mask)
        return replace(self, batch=batch, rescale=rescale, inside=inside, **kept)


def checkpoints(steps: int, sparse: bool = False) -> dict[int, int]:
    """Map the index of each checkpoint of the step control to the number of steps since the one before."""
    span = max(int(0.04 * steps), 1) if sparse else max(int(0.22 * steps), 1)
    least, shrink = (span, 0) if sparse else (max(int(0.06 * steps), 1), max(int(0.03 * steps), 1))
    spans, at = {}, span
    while at <= steps:
        spans[at] = span
        span = max(span - shrink, least)
        at += span
    return spans


def sparse_step(grad: Images, share: PerImage) -> Images:
    """Return a step of L1 norm one, spread evenly over the given share of pixels: those with the largest gradients."""
    flat = grad.flatten(1)
    count = (share * flat.shape[1]).long().clamp(1, flat.shape[1])
    order = flat.abs().sort(dim=1, descending=True).values
    least = order.gather(1, (count - 1)[:, None])
    signs = torch.where((flat.abs() >= least) & (flat != 0), flat.sign(), 0)
    return (signs / signs.abs().sum(1, keepdim=True).clamp_min(1)).reshape(grad.shape)
