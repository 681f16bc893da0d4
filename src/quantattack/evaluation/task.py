"""What an evaluation is of: one model on one data set under one threat, checked and put in order."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TypedDict

import numpy as np
import torch
from torch import nn

from quantattack.attacks.base import Attack, needs_all
from quantattack.attacks.threat import Threat
from quantattack.data.sources import PartSource, Source, TensorSource, digest, source_of
from quantattack.errors import InputError, check_count
from quantattack.evaluation.batching import BatchLimits
from quantattack.evaluation.checks import (
    ImageData,
    LabelData,
    check_attacks,
    check_classes,
    check_model,
    check_threats,
    first_logits,
    positions_of,
)
from quantattack.evaluation.fast_search import FastSearch, faster_models
from quantattack.evaluation.models import CountedModel, fingerprint, model_checksum
from quantattack.gradients import placement
from quantattack.record.description import describe
from quantattack.record.identity import SubjectIdentity
from quantattack.record.outcome import Subject
from quantattack.types import Images, Indices, Labels, Model

_FIRST = 16
_PIXELS = 1 << 18  # of one batch on a CPU, to begin with


@dataclass(frozen=True, eq=False)
class Task:
    """One model on one data set under one threat: all that an evaluation needs to attack it.

    Arguments:
        model: The model as given, its passes counted.
        source: The images and their labels, by position.
        attacks: The attacks by name.
        threat: The judge's threat.
        seed: Seed of every random number.
        limits: The batch sizes that each attack may begin with and try.
        index: The images' indices in their data set, by position.
        subject: The names under which the record knows model, data set and threat.
        identity: What makes the run what it is; only a run of equal identity is continued.
        keep_images: Whether the attacked images are saved beside the record.
        return_images: Whether the attacked images are handed back to the caller.
        speed: How the search may differ from the model as given.
        faster: Faster relatives of the model, searched before it.
        make: Makes the model in another process; it is sent as it is where None.
    """

    model: CountedModel
    source: Source
    attacks: Mapping[str, Attack]
    threat: Threat
    seed: int
    limits: BatchLimits
    index: Indices
    identity: SubjectIdentity
    keep_images: bool = False
    return_images: bool = False
    speed: FastSearch = field(default_factory=FastSearch)
    faster: tuple[nn.Module, ...] = ()
    make: Callable[[], Model] | None = None

    def __len__(self) -> int:
        return len(self.source)

    @property
    def subject(self) -> Subject:
        """What is attacked under what threat, as the record names it."""
        return self.identity.subject

    def batch(self, positions: Sequence[int]) -> tuple[Images, Labels]:
        """Return images and labels at some positions, where the model is and as its parameters are."""
        images, labels = self.source.take(list(positions) or [0])
        device, dtype = placement(self.model)
        count = len(positions)
        return images[:count].to(device, dtype), labels[:count].to(device)


class TaskSettings(TypedDict, total=False):
    """The settings of `prepare`."""

    seed: int
    batch_size: int | None
    indices: LabelData
    names: tuple[str, str]
    part: tuple[int, int]
    keep_images: bool
    return_images: bool
    speed: FastSearch | None
    make: Callable[[], Model] | None


def prepare(
    model: Model,
    images: ImageData,
    labels: LabelData,
    attacks: Mapping[str, Attack],
    threat: Threat,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    indices: LabelData = None,
    names: tuple[str, str] = ("model", "images"),
    part: tuple[int, int] = (1, 1),
    keep_images: bool = False,
    return_images: bool = False,
    speed: FastSearch | None = None,
    make: Callable[[], Model] | None = None,
) -> Task:
    """Check the input of an evaluation and put it in order.

    Arguments:
        model: Maps images in [0, 1] to logits; in eval mode.
        images: Images with shape (n, ...), or a `Dataset` of (image, label).
        labels: True classes with shape (n,); None with a `Dataset`.
        attacks: The attacks by name.
        threat: The judge's threat.
        seed: Seed of every random number.
        batch_size: Images attacked at once; found while it runs where None.
        indices: The images' indices in their data set.
        names: The model's and the data set's name in the record.
        part: Which part of how many, from 1 on, this task does of the images.
        keep_images: Whether the attacked images are saved beside the record.
        return_images: Whether the attacked images are handed back to the caller.
        speed: How the search may differ from the model as given.
        make: Makes the model in another process.

    Raises:
        InputError: If any of it cannot be used.
    """
    check_attacks(attacks)
    check_count("seed", seed, least=0)
    if batch_size is not None:
        check_count("batch_size", batch_size)
    counted, source = examine(model, images, labels, threat)
    check_threats(attacks, threat)
    index, speed = positions_of(indices, len(source)), speed or FastSearch()
    identity = replace(
        identity_of(counted, source, index, attacks, threat, names),
        part=None if part == (1, 1) else part,
        keep_images=keep_images,
        speed=tuple(speed.names),
    )
    if part != (1, 1):
        _check_part(part, attacks, len(source))
        rows = part_range(len(source), part)
        source, index = PartSource(source, rows.start, rows.stop - rows.start), index[rows]
    limits = _limits(tuple(source.take([0])[0].shape[1:]), placement(model)[0], batch_size)
    about = (counted, source, dict(attacks), threat, seed, limits, index, identity)
    return with_faster_models(Task(*about, keep_images, return_images, speed, make=make))


def with_faster_models(task: Task) -> Task:
    """Return a task with the faster relatives of its model, made in the process that uses them."""
    if task.speed == FastSearch():
        return task
    sample = task.batch(range(min(_FIRST, len(task))))[0]
    return replace(task, faster=tuple(faster_models(task.model.model, task.speed, sample)))


def identity_of(
    model: CountedModel,
    source: Source,
    index: Indices,
    attacks: Mapping[str, Attack],
    threat: Threat,
    names: tuple[str, str],
) -> SubjectIdentity:
    """Return what makes a run what it is: model, data, threat and attacks, with their checksums and settings.

    Arguments:
        model: The model, its passes counted.
        source: All images, before a part of them is taken.
        index: Their indices in the data set.
        attacks: The attacks by name.
        threat: The judge's threat.
        names: The model's and the data set's name in the record.
    """
    first = source.take(range(min(_FIRST, len(source))))[0]
    return SubjectIdentity(
        model=names[0],
        model_checksum=model_checksum(model.model),
        fingerprint=fingerprint(model, first),
        data=names[1],
        count=len(source),
        data_checksum=source.checksum(),
        index_digest=digest({"index": index}),
        threat=describe(threat),
        attacks={name: describe(attack) for name, attack in attacks.items()},
    )


def _check_part(part: tuple[int, int], attacks: Mapping[str, Attack], count: int) -> None:
    number, of = part
    if not 1 <= number <= of or of > count:
        raise InputError(f"part {number}/{of} of {count} images is none; parts run from 1/{of} to {of}/{of}")
    whole = [name for name, attack in attacks.items() if needs_all(attack)]
    if whole:
        raise InputError(f"{whole[0]} lets images move each other, so it cannot be run in parts; leave it out")


def part_range(count: int, part: tuple[int, int]) -> slice:
    """Return the positions of a part of some images: consecutive ones, parts as even as can be."""
    number, of = part
    return slice(count * (number - 1) // of, count * number // of)


def examine(model: Model, images: ImageData, labels: LabelData, threat: Threat) -> tuple[CountedModel, Source]:
    """Find out before any work whether the model takes the images, and has a class for each label.

    Raises:
        InputError: If it does not, or model, images, labels or threat are no such thing.
    """
    check_model(model)
    if not isinstance(threat, Threat):
        raise InputError(f"the threat must be Threat(Linf(), 8 / 255) or alike, not {threat!r}")
    counted, source = CountedModel(model), source_of(images, labels, threat.low, threat.high)
    device, dtype = placement(counted)
    first, some = source.take(range(min(_FIRST, len(source))))
    threat.check(tuple(first.shape[1:]))
    logits = first_logits(counted, first.to(device, dtype))
    check_classes(source.labels if isinstance(source, TensorSource) else some, logits.shape[1])
    return counted, source


def usual_batch(shape: tuple[int, ...], device: torch.device) -> int:
    """Return how many images of a shape are attacked at once: what fits a CPU's caches, or fills a GPU."""
    pixels = max(1, int(np.prod(shape)))
    return max(16, min(256 if device.type == "cpu" else 1024, _PIXELS // pixels // 16 * 16))


def _limits(shape: tuple[int, ...], device: torch.device, asked: int | None) -> BatchLimits:
    if asked is not None:
        return BatchLimits(asked, asked, fixed=True)
    usual = usual_batch(shape, device)
    # a CPU gains little from more, and a system that runs out of memory there kills without a word
    return BatchLimits(usual, (2 if device.type == "cpu" else 64) * usual)


def versions(task: Task) -> dict[str, str | int]:
    """Return what the run ran on: recorded, and no part of its identity."""
    device = placement(task.model)[0]
    return {
        "quantattack": version("quantattack"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
    }
