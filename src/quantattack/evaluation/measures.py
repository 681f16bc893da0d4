"""What is measured of a model's gradient and outputs on a few images of a task, for its flags."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from quantattack.errors import guarded
from quantattack.evaluation.checks import like_probabilities
from quantattack.evaluation.gradient_health import Health, cause_of, compare_gradients, health_of
from quantattack.evaluation.pixels import grid_of
from quantattack.evaluation.slopes import IMAGES, Slopes, joined, misleading, slopes
from quantattack.evaluation.task import Task
from quantattack.rng import Rng

_AWAY = 16  # of the images whose gradient points elsewhere, on which it is asked why


def health_at(task: Task, positions: Sequence[int]) -> Health:
    """Return how often cross entropy's gradient fails at some positions of a task, and why."""
    parts = task.limits.sizer().parts(positions, lambda chunk: compare_gradients(task.model, *task.batch(chunk)))
    comparisons = list(parts)
    health = health_of(comparisons)
    wrong = [bool(each) for part in comparisons for each in part.wrong & ~part.nan]
    away = [position for position, is_wrong in zip(positions, wrong, strict=True) if is_wrong]
    return replace(health, cause=cause_of(task.model, *task.batch(away[:_AWAY]))) if away else health


def slopes_at(task: Task, positions: Sequence[int]) -> Slopes | None:
    """Return `slopes` of the images at some positions of a task."""
    images, labels = task.batch(positions)
    rng = Rng(task.seed, task.index[list(positions)].to(images.device))
    return slopes(task.model.showing(None, grid=grid_of(task.threat)), images, labels, task.threat, rng)


def misleading_at(task: Task, positions: Sequence[int]) -> dict[str, str]:
    """Return the flag of a gradient that does not go with the outputs, from the first of some positions of a task."""
    first = positions[:IMAGES]
    with guarded("the model", f"the first {len(first)} images that it has right, moved a little"):
        told = misleading(joined(task.limits.sizer().parts(first, partial(slopes_at, task))))
    return {"misleading_gradient": told} if told else {}


def probable_at(task: Task, positions: Sequence[int]) -> dict[str, str]:
    """Return the flag of a model that seems to return probabilities; a deployed one's are known from its file."""
    if task.model.twinned or not positions:
        return {}
    with torch.no_grad():
        parts = task.limits.sizer().parts(positions[:IMAGES], lambda chunk: task.model(task.batch(chunk)[0]))
        told = like_probabilities(torch.cat(list(parts)))
    return {"probabilities": told} if told else {}
