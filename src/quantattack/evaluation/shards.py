"""Shards: consecutive images of one model and one attack, the pieces that workers take."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from quantattack.attacks.threat import Threat
from quantattack.data.sources import Source
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.judge import ROOM, Attacked, Clean, joined, predict
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.run import attacked
from quantattack.evaluation.task import Task, rehosted
from quantattack.record.outcome import Subject
from quantattack.types import Indices, Model

_LEAST = 16
_AHEAD = 3  # shards of the present size that are left for each worker: they shrink, and nobody waits long at the end


@dataclass(frozen=True)
class Shard:
    """What a worker does at once.

    Arguments:
        job: Number of the job.
        attack: Name of the attack; None for the clean predictions.
        positions: Where the images are in the job's source.
    """

    job: int
    attack: str | None
    positions: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Parcel:
    """A job as it is sent to a worker, once: the model is loaded, or unpacked, where it is used.

    Arguments:
        make: Makes the model, or is it.
        named: Whether `make` makes it.
        source: The images.
        attacks: The attacks by name, with what was fitted by the driver.
        threat: The judge's threat.
        seed: The run's seed.
        index: The images' indices.
        subject: What is attacked.
        keep_images: Whether the attacked images are sent back.
        speed: How the search may differ.
        size: Images attacked at once to begin with, and at most; the same number twice where it was asked for.
        path: The driver's import path.
    """

    make: Any
    named: bool
    source: Source
    attacks: Mapping[str, Any]
    threat: Threat
    seed: int
    index: Indices
    subject: Subject
    keep_images: bool
    speed: FastSearch
    size: tuple[int, int]
    path: tuple[str, ...]

    def opened(self) -> Task:
        """Return the job, in the process that works on it."""
        sys.path.extend(place for place in self.path if place not in sys.path)
        model: Model = self.make() if self.named else self.make
        size, most = self.size
        pace = BatchSizer(size, fixed=size == most, most=most)
        host = CountedModel(model)
        about = (self.source, self.attacks, self.threat, self.seed, pace, self.index, self.subject)
        return rehosted(Task(host, *about, identity={}, keep_images=self.keep_images, speed=self.speed))


def parcel(job: Task) -> Parcel:
    """Return a job as it is sent to workers."""
    make: Callable[[], Model] | Model = job.make or job.host.model
    pace = job.pace
    size = (pace.size, pace.size if pace.fixed else pace.most)
    about = (job.source, job.attacks, job.threat, job.seed, job.index, job.subject)
    return Parcel(make, job.make is not None, *about, job.keep_images, job.speed, size, tuple(sys.path))


def cut(number: int, attack: str | None, positions: Sequence[int], size: int, workers: int) -> Iterator[Shard]:
    """Cut an attack's images into shards: several batches each where many are left, ever fewer towards the end.

    Arguments:
        number: Number of the job.
        attack: Name of the attack; None for the clean predictions.
        positions: What is to be done.
        size: Images attacked at once.
        workers: How many share the work.
    """
    first = 0
    while first < len(positions):
        even = (len(positions) - first) // (_AHEAD * workers) // _LEAST * _LEAST
        count = max(_LEAST, min(ROOM * size, even))
        yield Shard(number, attack, tuple(positions[first : first + count]))
        first += count


def work(job: Task, shard: Shard) -> Clean | Attacked:
    """Do a shard: the model's classes of clean images, or what an attack does to images that it gets right."""
    if shard.attack is None:
        parts = job.pace.parts(shard.positions, lambda at: predict(job, at, twice=at[0] == 0))
        return joined(list(parts))
    found = list(attacked(job, shard.attack, shard.positions))
    images = [part.images for part in found if part.images is not None]
    return Attacked([one for part in found for one in part.outcomes], torch.cat(images) if images else None)
