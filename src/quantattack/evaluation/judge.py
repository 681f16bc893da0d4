"""The judge: what an attack returns is measured on the final images, with the model as given."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from quantattack.attacks.base import Attack, Batch, Trace, needs_all, refills, search
from quantattack.attacks.losses import margin
from quantattack.errors import InputError
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.checks import check_classes, check_logits
from quantattack.evaluation.fast_search import InBfloat16
from quantattack.evaluation.models import CountedModel, Passes
from quantattack.evaluation.task import Task
from quantattack.record.outcome import Outcome
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Logits, Mask, PerImage

SLACK = 1e-6  # of the radius: rounding in an attack that is not ours is no breach
ROOM = 4  # batches that are handed over at once to an attack that refills its batch


@dataclass(frozen=True, eq=False)
class Clean:
    """What the model says of the clean images.

    Arguments:
        position: Where the images are in the task's source, with shape (n,).
        label: Their true classes, with shape (n,).
        prediction: The predicted classes, with shape (n,).
        margin: True logit minus the largest other, with shape (n,).
        random: Whether two passes of the same images differed.
    """

    position: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    margin: np.ndarray
    random: bool

    @property
    def right(self) -> np.ndarray:
        return np.asarray(self.prediction == self.label)


@dataclass(frozen=True)
class Cost:
    """What a batch took: rows forward and backward through the model, and the wall time in seconds."""

    forwards: int
    backwards: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Attacked:
    """What an attack did to some images.

    Arguments:
        positions: Where the images are in the task's source.
        outcomes: One for each image.
        cost: What all of them took.
        images: The attacked images, where they are to be kept; None otherwise.
    """

    positions: Sequence[int]
    outcomes: list[Outcome]
    cost: Cost
    images: Images | None = None


Watch: TypeAlias = Callable[[int], None]  # told how many rows went forward so far


def predict(
    task: Task,
    name: str,  # noqa: ARG001
    positions: Sequence[int],
    sizer: BatchSizer,
    watch: Watch | None = None,  # noqa: ARG001
) -> Iterator[Clean]:
    """Ask the model for the classes of clean images; of the first batch twice, to see whether the model is random.

    Arguments:
        task: The task.
        name: Not looked at: clean images are the same for every attack.
        positions: Where the images are in the task's source.
        sizer: Decides how many are shown at once.
        watch: Not told anything.
    """
    return sizer.parts(positions, lambda at: _predicted(task, at))


def _predicted(task: Task, positions: Sequence[int]) -> Clean:
    images, labels = task.batch(positions)
    logits, margins = judged(task.model, images, labels)
    random = positions[0] == 0 and not torch.equal(logits, judged(task.model, images, labels)[0])
    label, prediction, gap = (column.cpu().numpy() for column in (labels, logits.argmax(1), margins))
    return Clean(np.asarray(positions), label, prediction, gap, random)


def joined(parts: Sequence[Clean]) -> Clean:
    """Put the parts of a data set together, in the order of their positions."""
    position, label, prediction, gap = (
        np.concatenate(columns)
        for columns in zip(*((part.position, part.label, part.prediction, part.margin) for part in parts), strict=True)
    )
    order = position.argsort(kind="stable")
    return Clean(position[order], label[order], prediction[order], gap[order], any(part.random for part in parts))


def judged(model: CountedModel, images: Images, labels: Labels) -> tuple[Logits, PerImage]:
    """Return the model's logits and margins.

    Raises:
        InputError: If they are no finite logits, or a label has none.
    """
    with torch.no_grad():
        logits = model(images)
    check_logits(logits, len(images))
    check_classes(labels, logits.shape[1])
    return logits, -margin(logits.double(), labels)


def already_wrong(task: Task, clean: Clean, at: int) -> Outcome:
    """Return the outcome of an image that was wrong from the start: nothing was done to it."""
    label, prediction = int(clean.label[at]), int(clean.prediction[at])
    image, gap = int(task.index[at]), float(clean.margin[at])
    return Outcome(image, label, prediction, prediction, gap, 0.0, 0, 0, 0.0, 0.0, 0.0, inside=True)


def batches_per_call(attack: Attack, count: int) -> int:
    """Return how many batches an attack is handed at once: what it fools makes room for what waits, or it needs all.

    Arguments:
        attack: The attack.
        count: How many images the task has.
    """
    if needs_all(attack):
        return count
    return ROOM if refills(attack) else 1


def attack(
    task: Task, name: str, positions: Sequence[int], sizer: BatchSizer, watch: Watch | None = None
) -> Iterator[Attacked]:
    """Attack images that the model gets right and judge what comes back, as many at once as is best.

    Arguments:
        task: The task.
        name: Name of the attack.
        positions: Where the images are in the task's source.
        sizer: Decides how many rows the model is shown at once, and learns from what each call took.
        watch: Told how many rows went forward so far in a call.
    """
    batches = batches_per_call(task.attacks[name], len(task))
    for result in sizer.parts(positions, lambda at: _attacked(task, name, at, sizer.size, watch), batches):
        if len(result.outcomes) >= sizer.size:
            sizer.note(sizer.size, result.cost.forwards + result.cost.backwards, result.cost.seconds)
        yield result


def _attacked(task: Task, name: str, positions: Sequence[int], at_once: int, watch: Watch | None) -> Attacked:
    images, labels = task.batch(positions)
    passes, begun = Passes(watch), time.perf_counter()
    model = task.model.showing(at_once, passes)
    batch = Batch(images, labels, Rng(task.seed, task.index[list(positions)].to(images.device)), at_once=at_once)
    result = _searched(task, model, task.attacks[name], batch)
    cost = Cost(*passes.snapshot(), time.perf_counter() - begun)
    final = _checked(name, result.images, images).to(images.dtype)  # the judge measures what it shows the model
    outcomes = _outcomes(task, model, batch, replace(result, images=final), cost)
    return Attacked(positions, outcomes, cost, final.cpu() if task.keep_images or task.return_images else None)


def _searched(task: Task, model: CountedModel, attack: Attack, batch: Batch) -> Trace:
    """Search the faster relatives first, where there are any, and then what they leave with the model as given.

    After bfloat16 everything that the model does not confirm is searched again.  After a float32 relative only what
    that one takes for fooled and the model does not: of the rest a float32 search has been made.
    """
    faster = () if needs_all(attack) else task.faster
    models = [*(CountedModel(relative, model.passes, model.width) for relative in faster), model]
    result = search(attack, models[0], batch)
    for last, following in pairwise(models):
        again = ~_fooled(model, result.images, batch.labels)
        if not _is_low(last):
            again &= _fooled(last, result.images, batch.labels)
        if bool(again.any()):
            result = _patched(result, again, search(attack, following, batch.keep(again)))
    return result


def _is_low(model: CountedModel) -> bool:
    return any(isinstance(module, InBfloat16) for module in model.modules())


def _fooled(model: CountedModel, images: Images, labels: Labels) -> Mask:
    with torch.no_grad():
        fooled: Mask = model(images).argmax(1) != labels
    return fooled


def _patched(result: Trace, again: Mask, other: Trace) -> Trace:
    pairs = ((result.images, other.images), (result.step, other.step), (result.restart, other.restart))
    columns = [column.clone() for column, _ in pairs]
    for column, (_, new) in zip(columns, pairs, strict=True):
        column[again] = new
    return Trace(*columns)


def _outcomes(task: Task, model: CountedModel, batch: Batch, result: Trace, cost: Cost) -> list[Outcome]:
    labels, count = batch.labels, len(batch.labels)
    logits, margins = judged(model, result.images, labels)
    prediction = logits.argmax(1)
    step = torch.where(prediction != labels, result.step.to(labels.device), -1)
    size = task.threat.norm.size(result.images.double() - batch.images.double())
    inside = task.threat.contains(result.images, batch.images, SLACK)
    columns = (batch.rng.index, labels, prediction, margins, size, step, result.restart, inside)
    spent = cost.forwards / count, cost.backwards / count, cost.seconds / count
    return [
        # it was right before: its clean prediction is its label
        Outcome(image, label, label, guess, gap, reach, at if at >= 0 else None, restart, *spent, inside=bool(within))
        for image, label, guess, gap, reach, at, restart, within in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


def _checked(name: str, final: Any, images: Images) -> Images:
    if not isinstance(final, Tensor) or final.shape != images.shape:
        got = tuple(final.shape) if isinstance(final, Tensor) else type(final).__name__
        raise InputError(f"the attack {name!r} returned {got} in place of images of shape {tuple(images.shape)}")
    if not bool(torch.isfinite(final).all()):
        raise InputError(f"the attack {name!r} returned NaN or infinite pixels; mend the attack")
    return final.detach().to(images.device)
