"""The judge: runs an attack on a batch and measures the returned images with the unmodified model."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import torch

from quantattack.attacks.base import (
    Attack,
    Batch,
    Trace,
    adopt,
    check_returned,
    is_single,
    needs_all,
    passes,
    refills,
)
from quantattack.attacks.losses import margin
from quantattack.attacks.wrappers import Toward
from quantattack.errors import InputError, guarded
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.checks import check_classes, check_logits
from quantattack.evaluation.company import TOGETHER, depends_on_company
from quantattack.evaluation.models import CountedModel, Passes
from quantattack.evaluation.pixels import check_clean, grid_of, judged_images, lost_by_rounding
from quantattack.evaluation.searching import searched
from quantattack.evaluation.task import Task
from quantattack.record.bounds import Bound
from quantattack.record.outcome import Outcome
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Logits, PerImage

SLACK = 1e-6  # fraction of the radius that other libraries' attacks may exceed it by, for rounding
ROOM = 4  # most batches per call of an attack that refills its batch: waiting images replace solved ones


@dataclass(frozen=True, eq=False)
class Clean:
    """The model's predictions on n clean images.

    Arguments:
        position: Positions of the images in the task, with shape (n,).
        label: Their true classes, with shape (n,).
        prediction: The predicted classes, with shape (n,).
        margin: True logit minus the largest other, with shape (n,).
        random: Whether two forward passes of the same images differed.
        dependent: Whether an image's logits depended on the other images of its batch.
        seconds: Wall time of a forward pass, per image.
    """

    position: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    margin: np.ndarray
    random: bool
    dependent: bool = False
    seconds: float = 0.0

    @property
    def right(self) -> np.ndarray:
        """Which images are classified correctly, with shape (n,)."""
        return np.asarray(self.prediction == self.label)


@dataclass(frozen=True)
class Cost:
    """The cost of one attack call: rows forward and backward through the model, and wall time in seconds."""

    forwards: int
    backwards: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Attacked:
    """The result of one attack call.

    Arguments:
        positions: Positions of the images in the task.
        outcomes: One outcome per image.
        cost: Cost of the whole call.
        images: The attacked images if the task keeps or returns them, else None.
        lost: Indices in the data set of the broken images that fool the model no longer when rounded to 8 bits; only
            where the threat has no levels.
        bounds: What the attack proved of the images.
    """

    positions: Sequence[int]
    outcomes: list[Outcome]
    cost: Cost
    images: Images | None = None
    lost: tuple[int, ...] = ()
    bounds: tuple[Bound, ...] = ()


Watch: TypeAlias = Callable[[int, int], None]  # called with a call's images, and its passes over rows so far


def predict(
    task: Task,
    name: str,  # noqa: ARG001
    positions: Sequence[int],
    sizer: BatchSizer,
    watch: Watch | None = None,  # noqa: ARG001
) -> Iterator[Clean]:
    """Predict the clean images batch by batch; the first batch runs twice, to detect a random model.

    Arguments:
        task: The task.
        name: Unused; present so that `predict` and `attack` have the same signature.
        positions: Positions of the images to predict.
        sizer: Chooses the batch size.
        watch: Unused, like `name`.
    """
    return sizer.parts(positions, lambda chunk: _predicted(task, chunk))


def _predicted(task: Task, positions: Sequence[int]) -> Clean:
    where = _named(task, positions)
    with guarded("the data set", where):
        images, labels = task.batch(positions)
    check_clean(task.threat, images, task.index[list(positions)].tolist())
    with guarded("the model", where):
        logits, margins = judged(task.model, images, labels)
        is_first, begun = positions[0] == 0, time.perf_counter()
        random = is_first and not torch.equal(logits, judged(task.model, images, labels)[0])
        seconds = (time.perf_counter() - begun) / len(positions) if is_first else 0.0  # once all is warm
        pixels = task.threat.low, task.threat.high
        dependent = is_first and not random and depends_on_company(task.model, _first_images(task), *pixels)
    label, prediction, gap = (column.cpu().numpy() for column in (labels, logits.argmax(1), margins))
    return Clean(np.asarray(positions), label, prediction, gap, random, dependent, seconds)


def _first_images(task: Task) -> Images:
    return task.batch(range(min(TOGETHER, len(task))))[0]


def joined(batches: Sequence[Clean]) -> Clean:
    """Concatenate the predictions of several batches, sorted by position."""
    position, label, prediction, gap = (
        np.concatenate(columns)
        for columns in zip(*((b.position, b.label, b.prediction, b.margin) for b in batches), strict=True)
    )
    order = position.argsort(kind="stable")
    found = any(batch.random for batch in batches), any(batch.dependent for batch in batches)
    seconds = max(batch.seconds for batch in batches)
    return Clean(position[order], label[order], prediction[order], gap[order], *found, seconds)


def judged(model: CountedModel, images: Images, labels: Labels) -> tuple[Logits, PerImage]:
    r"""Return the model's logits with shape (n, k) and margins :math:`z_y - \max_{j \ne y} z_j` with shape (n,).

    Raises:
        InputError: If the logits are not finite, or a label is not one of the k classes.
    """
    with torch.no_grad():
        logits = model(images)
    check_logits(logits, len(images))
    check_classes(labels, logits.shape[1])
    return logits, -margin(logits.double(), labels)


def already_wrong(task: Task, clean: Clean, at: int) -> Outcome:
    """Return the outcome of an image that the clean model misclassifies: no perturbation, no cost.

    Arguments:
        task: The task.
        clean: The model's predictions on all images of the task.
        at: Position of the image.
    """
    label, prediction = int(clean.label[at]), int(clean.prediction[at])
    image, gap = int(task.index[at]), float(clean.margin[at])
    return Outcome(image, label, prediction, prediction, gap, 0.0, 0, 0, 0.0, 0.0, 0.0, inside=True)


def batches_per_call(attack: Attack, count: int, sizer: BatchSizer) -> int:
    """Return how many batches of images an attack gets in its next call, which an interruption loses.

    An attack that needs all images gets them all.  One that refills its batch replaces the images that it has solved
    with waiting ones, and gets as many as cost no more than one batch whose images all resist, at most `ROOM` batches.
    Any other attack gets one batch.

    Arguments:
        attack: The attack.
        count: Number of images of the task, an upper bound of the number of batches.
        sizer: Knows what the calls so far have cost.
    """
    if needs_all(attack):
        return count
    return min(ROOM, sizer.room) if refills(attack) else 1


def sizer_of(attack: Attack, usual: BatchSizer) -> BatchSizer:
    """Return what sizes an attack's batches: one image at a time for one that may take long over each."""
    return BatchSizer(1, fixed=True) if is_single(attack) else usual


def attack(
    task: Task, name: str, positions: Sequence[int], sizer: BatchSizer, watch: Watch | None = None
) -> Iterator[Attacked]:
    """Attack images call by call and yield each call's judged outcomes.

    Arguments:
        task: The task.
        name: Name of the attack.
        positions: Positions of the images to attack.
        sizer: Chooses the batch size; `attack` reports the cost of each full call to it.
        watch: Called with the images of the call and its passes so far; None to report no progress.
    """
    searching = task.attacks[name]
    sizer = sizer_of(searching, sizer)
    most, batches = max(1, passes(searching, classes=0)), partial(batches_per_call, searching, len(task), sizer)
    for result in sizer.parts(positions, lambda chunk: _attacked(task, name, chunk, sizer.size, watch), batches):
        spent, images = result.cost.forwards + result.cost.backwards, len(result.outcomes)
        if images >= sizer.size:
            sizer.note(sizer.size, spent, result.cost.seconds)
        if not needs_all(searching):
            sizer.expect(result.cost.seconds / images)
            sizer.spend(spent / images / most)
        yield result


def _named(task: Task, positions: Sequence[int]) -> str:
    """Return the range of images at some positions, by their indices in the data set."""
    index = task.index[list(positions)]
    first, last = int(index.min()), int(index.max())
    return f"image {first}" if first == last else f"images {first} to {last}"


def _attacked(task: Task, name: str, positions: Sequence[int], at_once: int, watch: Watch | None) -> Attacked:
    where = _named(task, positions)
    with guarded("the data set", where):
        images, labels = task.batch(positions)
    passes = Passes(None if watch is None else partial(watch, len(positions)))
    begun = time.perf_counter()
    model = task.model.showing(at_once, passes, grid_of(task.threat))
    batch = Batch(images, labels, Rng(task.seed, task.index[list(positions)].to(images.device)), at_once=at_once)
    with guarded(f"the attack {name!r}", where):
        attack = adopt(task.attacks[name], name)
        result = searched(task, model, attack, batch)
        cost = Cost(*passes.snapshot(), time.perf_counter() - begun)
        final = _checked(name, result.images, images).to(images.dtype)  # measure the pixels that the model gets
        final = judged_images(task.threat, final, images, SLACK)
        outcomes = _outcomes(task, attack, model, batch, replace(result, images=final), cost)
        kept = final.cpu() if task.keep_images or task.return_images else None
        lost = _lost(task, attack, model, batch, final, outcomes)
        return Attacked(positions, outcomes, cost, kept, lost, result.bounds)


def _lost(
    task: Task, attack: Attack, model: CountedModel, batch: Batch, final: Images, outcomes: Sequence[Outcome]
) -> tuple[int, ...]:
    """Return the indices of the images that count as broken and would not when rounded; none toward a class."""
    if isinstance(attack, Toward):
        return ()
    broken = torch.tensor([each.inside and each.prediction != each.label for each in outcomes]).to(final.device)
    lost = lost_by_rounding(task.threat, model, final, batch.images, batch.labels, broken)
    return tuple(batch.rng.index[lost].tolist())


def _outcomes(
    task: Task, attack: Attack, model: CountedModel, batch: Batch, result: Trace, cost: Cost
) -> list[Outcome]:
    labels, count = batch.labels, len(batch.labels)
    logits, margins = judged(model, result.images, labels)
    prediction = logits.argmax(1)
    wanted = attack.wanted(batch) if isinstance(attack, Toward) else None
    solved = prediction != labels if wanted is None else prediction == wanted
    step = torch.where(solved, result.step.to(labels.device), -1)
    size = task.threat.distance(result.images, batch.images)
    inside = task.threat.contains(result.images, batch.images, SLACK)
    columns = (batch.rng.index, labels, prediction, margins, size, step, result.restart, inside)
    spent = cost.forwards / count, cost.backwards / count, cost.seconds / count
    return [
        # only correctly classified images keep their outcome: the clean prediction is the label
        Outcome(image, label, label, pred, gap, norm, first if first >= 0 else None, restart, *spent, inside=bool(ok))
        for image, label, pred, gap, norm, first, restart, ok in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


def _checked(name: str, final: Images, images: Images) -> Images:
    """Return an attack's images on the device of the clean ones; raise `InputError` if they are not usable images."""
    check_returned(final, images, name)
    if not bool(torch.isfinite(final).all()):
        raise InputError(f"the attack {name!r} returned NaN or infinite pixels; fix the attack")
    return final.detach().to(images.device).clone()  # an attack may use what it returned again
