"""The judge: what an attack returns is measured on the final images, with the model as given."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantattack.attacks.base import Attack, Batch, Trace, needs_all, refills, search
from quantattack.attacks.losses import margin
from quantattack.errors import InputError
from quantattack.evaluation.checks import check_classes, check_logits
from quantattack.evaluation.fast_search import InBfloat16
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.task import Task
from quantattack.record.outcome import Outcome
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Logits, Mask

SLACK = 1e-6  # of the radius: rounding in an attack that is not ours is no breach
ROOM = 4  # batches that are handed over at once to an attack that refills its batch


@dataclass(frozen=True, eq=False)
class Clean:
    """What the model says of the clean images, by position."""

    label: np.ndarray
    prediction: np.ndarray
    margin: np.ndarray
    random: bool

    @property
    def right(self) -> np.ndarray:
        return np.asarray(self.prediction == self.label)


@dataclass(frozen=True, eq=False)
class Attacked:
    """What an attack did to some images.

    Arguments:
        outcomes: One for each image.
        images: The attacked images, where they are to be kept; None otherwise.
    """

    outcomes: list[Outcome]
    images: Images | None = None


def predict(job: Task, positions: Sequence[int], twice: bool = False) -> Clean:
    """Ask the model for the classes of clean images; twice, to see whether it is random."""
    images, labels = job.batch(positions)
    logits, gaps = judged(job, images, labels)
    random = twice and not torch.equal(logits, judged(job, images, labels)[0])
    label, prediction, gap = (part.cpu().numpy() for part in (labels, logits.argmax(1), gaps))
    return Clean(label, prediction, gap, random)


def joined(parts: Sequence[Clean]) -> Clean:
    """Put the parts of a data set together."""
    label, prediction, gap = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("label", "prediction", "margin")
    )
    return Clean(label, prediction, gap, any(part.random for part in parts))


def judged(job: Task, images: Images, labels: Labels) -> tuple[Logits, Tensor]:
    """Return the model's logits and margins.

    Raises:
        InputError: If they are no finite logits, or a label has none.
    """
    with torch.no_grad():
        logits = job.host(images)
    check_logits(logits, len(images))
    check_classes(labels, logits.shape[1])
    return logits, -margin(logits.double(), labels)


def lost(job: Task, clean: Clean, at: int) -> Outcome:
    """Return the outcome of an image that was wrong from the start: nothing was done to it."""
    label, prediction = int(clean.label[at]), int(clean.prediction[at])
    image, gap = int(job.index[at]), float(clean.margin[at])
    return Outcome(image, label, prediction, prediction, gap, 0.0, 0, 0, 0.0, 0.0, 0.0, inside=True)


def together(job: Task, name: str) -> int:
    """Return how many batches an attack is handed at once: what it fools makes room for what waits, or it needs all."""
    if needs_all(job.attacks[name]):
        return len(job.source)
    return ROOM if refills(job.attacks[name]) else 1


def attack(job: Task, name: str, positions: Sequence[int]) -> Attacked:
    """Attack the images at some positions, which the model gets right, and judge what comes back.

    Arguments:
        job: The job.
        name: Name of the attack.
        positions: Where the images are in the job's source.
    """
    images, labels = job.batch(positions)
    pace = job.paced(name)
    for host in (*job.searched, job.host):
        host.width = pace.size
    passes, begun = job.host.passes.snapshot(), time.perf_counter()
    at = job.index[list(positions)].to(images.device)
    batch = Batch(images, labels, Rng(job.seed, at), at_once=pace.size)
    found = _searched(job, job.attacks[name], batch)
    seconds = time.perf_counter() - begun
    spent = [now - was for now, was in zip(job.host.passes.snapshot(), passes, strict=True)]
    if len(positions) >= pace.size:
        pace.note(pace.size, sum(spent), seconds)
    cost = [part / len(positions) for part in (*spent, seconds)]
    final = _checked(name, found.images, images).to(images.dtype)  # the judge measures what it shows the model
    outcomes = _outcomes(job, positions, (images, labels, final), found, cost)
    return Attacked(outcomes, final.cpu() if job.keep_images else None)


def _searched(job: Task, attack: Attack, batch: Batch) -> Trace:
    """Search the faster relatives first, where there are any, and then what they leave with the model as given.

    After bfloat16 everything that the model does not confirm is searched again.  After a float32 relative only what
    that one takes for fooled and the model does not: of the rest a float32 search has been made.
    """
    hosts = [*job.searched, job.host] if not needs_all(attack) else [job.host]
    found = search(attack, hosts[0], batch)
    for last, host in pairwise(hosts):
        again = ~_fooled(job.host, found.images, batch.labels)
        if not _low(last):
            again &= _fooled(last, found.images, batch.labels)
        if bool(again.any()):
            found = _patched(found, again, search(attack, host, batch.keep(again)))
    return found


def _low(host: CountedModel) -> bool:
    return any(isinstance(part, InBfloat16) for part in host.modules())


def _fooled(host: CountedModel, images: Images, labels: Labels) -> Mask:
    with torch.no_grad():
        fooled: Mask = host(images).argmax(1) != labels
    return fooled


def _patched(found: Trace, again: Mask, other: Trace) -> Trace:
    pairs = ((found.images, other.images), (found.step, other.step), (found.restart, other.restart))
    whole = [part.clone() for part, _ in pairs]
    for part, (_, new) in zip(whole, pairs, strict=True):
        part[again] = new
    return Trace(*whole)


def _outcomes(
    job: Task,
    positions: Sequence[int],
    shown: tuple[Images, Labels, Images],
    found: Trace,
    cost: Sequence[float],
) -> list[Outcome]:
    images, labels, final = shown
    inside = job.threat.contains(final, images, SLACK)
    logits, gaps = judged(job, final, labels)
    fooled = (logits.argmax(1) != labels).tolist()
    sizes = job.threat.norm.size(final.double() - images.double())
    columns = (part.tolist() for part in (labels, logits.argmax(1), gaps, sizes, found.step, found.restart, inside))
    return [
        Outcome(
            image=int(job.index[at]),
            label=label,
            clean_prediction=label,  # it was right before
            prediction=prediction,
            margin=gap,
            size=size,
            step=step if hit and step >= 0 else None,
            restart=restart,
            forwards=cost[0],
            backwards=cost[1],
            seconds=cost[2],
            inside=bool(within),
        )
        for at, hit, (label, prediction, gap, size, step, restart, within) in zip(
            positions, fooled, zip(*columns, strict=True), strict=True
        )
    ]


def _checked(name: str, final: Any, images: Images) -> Images:
    if not isinstance(final, Tensor) or final.shape != images.shape:
        got = tuple(final.shape) if isinstance(final, Tensor) else type(final).__name__
        raise InputError(f"the attack {name!r} returned {got} in place of images of shape {tuple(images.shape)}")
    if not bool(torch.isfinite(final).all()):
        raise InputError(f"the attack {name!r} returned NaN or infinite pixels; mend the attack")
    return final.detach().to(images.device)
