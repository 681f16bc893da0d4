"""The judge: runs an attack on a batch and measures the returned images with the unmodified model."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

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
from quantattack.attacks.wrappers import Toward
from quantattack.errors import InputError, guarded
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.clean import Watch, judged, where_of
from quantattack.evaluation.models import CountedModel, Passes
from quantattack.evaluation.pixels import grid_of, judged_images, lost_by_rounding
from quantattack.evaluation.rereads import digests
from quantattack.evaluation.searching import searched
from quantattack.evaluation.steadiness import HANDFUL, repeats
from quantattack.evaluation.task import Task
from quantattack.record.bounds import Bound
from quantattack.record.outcome import Outcome
from quantattack.rng import Rng
from quantattack.types import Images

SLACK = 1e-6  # fraction of the radius that other libraries' attacks may exceed it by, for rounding
ROOM = 4  # most batches per call of an attack that refills its batch: waiting images replace solved ones


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
        random: Whether two forward passes of the same attacked images differed; asked in the first call of a cell.
        read: A digest of each clean image and label as they were read, with shape (n,); None where there is none.
    """

    positions: Sequence[int]
    outcomes: list[Outcome]
    cost: Cost
    images: Images | None = None
    lost: tuple[int, ...] = ()
    bounds: tuple[Bound, ...] = ()
    random: bool = False
    read: np.ndarray | None = None


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

    def call(chunk: Sequence[int]) -> Attacked:
        return _attacked(task, name, chunk, sizer.size, watch, twice=chunk[0] == positions[0])

    for result in sizer.parts(positions, call, batches):
        spent, images = result.cost.forwards + result.cost.backwards, len(result.outcomes)
        if images >= sizer.size:
            sizer.note(sizer.size, spent, result.cost.seconds)
        if not needs_all(searching):
            sizer.took(images, spent, result.cost.seconds)
            sizer.spend(spent / images / most)
        yield result


def _attacked(
    task: Task, name: str, positions: Sequence[int], at_once: int, watch: Watch | None, twice: bool
) -> Attacked:
    where = where_of(task, positions)
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
        random = twice and not repeats(model, final[:HANDFUL])
        return Attacked(positions, outcomes, cost, kept, lost, result.bounds, random, digests(images, labels))


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
