"""A task: one model, one data set, one threat and the attacks to run, checked before any work starts."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Literal, TypeAlias, TypedDict

import torch
from torch import nn

from quantattack.attacks.base import Attack, needs_all
from quantattack.attacks.threat import Threat
from quantattack.data.sources import PartSource, Source, TensorSource, digest, source_of
from quantattack.deployed import adopted
from quantattack.errors import InputError, check_count, guarded
from quantattack.evaluation.batching import BatchLimits, limits_for
from quantattack.evaluation.checks import (
    ImageData,
    LabelData,
    check_attacks,
    check_classes,
    check_model,
    check_no_probabilities,
    check_threats,
    counted_model,
    dataset_indices,
    toward,
)
from quantattack.evaluation.fast_search import FastSearch, faster_models
from quantattack.evaluation.models import CountedModel, fingerprint, model_checksum
from quantattack.evaluation.pixels import check_clean, check_png
from quantattack.evaluation.reach import since, state_of
from quantattack.gradients import placement
from quantattack.record.description import describe
from quantattack.record.identity import SubjectIdentity
from quantattack.record.outcome import Subject
from quantattack.types import Images, Indices, Labels, Model

KeepImages: TypeAlias = bool | Literal["png"]  # whether attacked images are saved, and as PNG files too

_FIRST = 16  # images of the trial batch


@dataclass(frozen=True, eq=False)
class Task:
    """One model, one data set, one threat and the attacks to run.

    A position counts the images of the task from 0; an index is an image's number in its data set.

    Arguments:
        model: The model to evaluate, in a wrapper that pads batches and counts passes.
        source: The images and their labels, by position.
        attacks: The attacks by name.
        threat: The judge's threat.
        seed: Seed of all random numbers.
        limits: The initial and the largest batch size.
        index: Indices of the images in their data set, with shape (n,).
        subject: The names of model, data set and threat in the record.
        identity: Checksums and settings of the task; a record is resumed only by a run of the same identity.
        keep_images: Whether the attacked images are saved beside the record; "png" for PNG files too.
        return_images: Whether the attacked images are handed back to the caller.
        speed: The speed options of the search.
        faster: Faster versions of the model, which are attacked before it.
        make: Builds the model in another process; None to send the model itself.
        state: Digests of the model's parameters and buffers before its first call, by name.
    """

    model: CountedModel
    source: Source
    attacks: Mapping[str, Attack]
    threat: Threat
    seed: int
    limits: BatchLimits
    index: Indices
    identity: SubjectIdentity
    keep_images: KeepImages = False
    return_images: bool = False
    speed: FastSearch = field(default_factory=FastSearch)
    faster: tuple[nn.Module, ...] = ()
    make: Callable[[], Model] | None = None
    state: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def subject(self) -> Subject:
        """What is attacked under what threat, as the record names it."""
        return self.identity.subject

    def batch(self, positions: Sequence[int]) -> tuple[Images, Labels]:
        """Return the images and labels at n positions, on the device and in the dtype of the model's parameters."""
        images, labels = self.source.take(list(positions) or [0])
        count, (device, dtype) = len(positions), placement(self.model)
        return images[:count].to(device, dtype), labels[:count].to(device)

    def first(self, count: int) -> Images:
        """Return its first images, at most so many."""
        return self.batch(range(min(count, len(self))))[0]


class TaskSettings(TypedDict, total=False):
    """The keyword arguments of `prepare`."""

    seed: int
    batch_size: int | None
    indices: LabelData
    names: tuple[str, str]
    part: tuple[int, int]
    keep_images: KeepImages
    return_images: bool
    speed: FastSearch | None
    make: Callable[[], Model] | None
    padding: bool
    targets: LabelData


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
    keep_images: KeepImages = False,
    return_images: bool = False,
    speed: FastSearch | None = None,
    make: Callable[[], Model] | None = None,
    padding: bool = True,
    targets: LabelData = None,
) -> Task:
    """Check the input of an evaluation and return it as a task.

    Arguments:
        model: Maps images in [0, 1] to logits; in eval mode.
        images: Images with shape (n, ...), or a `Dataset` of (image, label).
        labels: True classes with shape (n,); None with a `Dataset`.
        attacks: The attacks by name.
        threat: The judge's threat.
        seed: Seed of all random numbers.
        batch_size: Images per batch; None to tune it during the run.
        indices: Indices of the images in their data set, with shape (n,); 0 to n - 1 by default.
        names: The model's and the data set's name in the record.
        part: (i, m) to evaluate only the i-th of m consecutive parts of the images, with i from 1 to m.
        keep_images: Whether the attacked images are saved beside the record; "png" for PNG files too.
        return_images: Whether the attacked images are handed back to the caller.
        speed: The speed options of the search; none by default.
        make: Builds the model in another process; None to send the model itself.
        padding: Whether batches may be padded to safe row counts.
        targets: The class that each image is to reach, with shape (n,); None for any wrong class.

    Raises:
        InputError: If an argument cannot be used.
    """
    check_attacks(attacks)
    check_count("seed", seed, least=0)
    if batch_size is not None:
        check_count("batch_size", batch_size)
    model = adopted(model)
    state = state_of(model)
    counted, source = examine(model, images, labels, threat, batch_size, padding)
    state = since(model, state)
    check_threats(attacks, threat)
    if keep_images == "png":
        check_png(threat, tuple(source.take([0])[0].shape[1:]))
    index, speed = dataset_indices(indices, len(source)), speed or FastSearch()
    attacks = toward(attacks, targets, index)
    identity = replace(
        identity_of(counted, source, index, attacks, threat, names),
        part=None if part == (1, 1) else part,
        keep_images=bool(keep_images),
        speed=tuple(speed.names),
    )
    if part != (1, 1):
        _check_part(part, attacks, len(source))
        rows = part_range(len(source), part)
        source, index = PartSource(source, rows.start, rows.stop - rows.start), index[rows]
    limits = limits_for(tuple(source.take([0])[0].shape[1:]), placement(model)[0], batch_size)
    about = (counted, source, dict(attacks), threat, seed, limits, index, identity)
    return with_faster_models(Task(*about, keep_images, return_images, speed, make=make, state=state))


def with_faster_models(task: Task) -> Task:
    """Return a task with the faster versions of its model, built in the process that attacks them."""
    if task.speed == FastSearch():
        return task
    sample = task.first(_FIRST)
    with guarded("the model", "its faster versions are made"):
        faster = tuple(faster_models(task.model.model, task.speed, sample))
    return replace(task, faster=faster)


def identity_of(
    model: CountedModel,
    source: Source,
    index: Indices,
    attacks: Mapping[str, Attack],
    threat: Threat,
    names: tuple[str, str],
) -> SubjectIdentity:
    """Return the identity of a task: checksums of model and data, and the settings of threat and attacks.

    A record stores it, and only a run of the same identity may resume the record.

    Arguments:
        model: The model to evaluate.
        source: All images, before `part` selects some of them.
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
    number, total = part
    if not 1 <= number <= total or total > count:
        most = min(max(1, total), count)
        parts = f"there are 1 to {count} parts, such as 1/{most} to {most}/{most}"
        raise InputError(f"no part {number}/{total} of {count} images: {parts}")
    indivisible = [name for name, attack in attacks.items() if needs_all(attack)]
    if indivisible:
        raise InputError(f"{indivisible[0]} attacks all images jointly, so it cannot be run in parts; leave it out")


def part_range(count: int, part: tuple[int, int]) -> slice:
    """Return the slice of the i-th of m consecutive parts, whose sizes differ by at most one.

    Arguments:
        count: Number of all images.
        part: The pair (i, m), with i from 1 to m.
    """
    number, total = part
    return slice(count * (number - 1) // total, count * number // total)


def examine(
    model: Model,
    images: ImageData,
    labels: LabelData,
    threat: Threat,
    batch_size: int | None = None,
    padding: bool = True,
) -> tuple[CountedModel, Source]:
    """Check model, images, labels and threat on a trial batch; return the wrapped model and the image source.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Images with shape (n, ...), or a `Dataset` of (image, label).
        labels: True classes with shape (n,); None with a `Dataset`.
        threat: The judge's threat.
        batch_size: The batch size that was asked for; a model of fixed batch size may take no other.
        padding: Whether batches may be padded.

    Raises:
        InputError: If the model fails on the images, a label is not one of its classes, or an argument has a wrong
            type.
    """
    model = adopted(model)
    check_model(model)
    if not isinstance(threat, Threat):
        raise InputError(f"the threat must be Threat(Linf(), 8 / 255) or alike, not {threat!r}")
    source, (device, dtype) = source_of(images, labels, threat.low, threat.high), placement(model)
    first, first_labels = source.take(range(min(_FIRST, len(source))))
    check_clean(threat, first, range(len(first)))
    threat.check(tuple(first.shape[1:]))
    counted, logits = counted_model(model, first.to(device, dtype), batch_size, padding)
    check_no_probabilities(logits)
    check_classes(source.labels if isinstance(source, TensorSource) else first_labels, logits.shape[1])
    return counted, source


def versions(task: Task) -> dict[str, str | int]:
    """Return the versions, device and threads of the run, which are recorded but are not part of its identity."""
    device = placement(task.model)[0]
    return {
        "quantattack": version("quantattack"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
    }
