"""The engine: attacks in, a record out.  It alone judges success, on the final images, with the model as given."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantattack.attacks.ascent import Attack, Trace, trace
from quantattack.attacks.threat import Threat
from quantattack.descriptions import describe, stable
from quantattack.errors import InputError, check_count
from quantattack.flags import flags, look
from quantattack.gallery import choose, save_gallery
from quantattack.hosting import Hosted, fingerprint, placement
from quantattack.inputs import (
    Source,
    TensorSource,
    check_attacks,
    check_classes,
    check_logits,
    check_model,
    digest,
    first_logits,
    model_checksum,
    positions_of,
    source_of,
)
from quantattack.losses import margin
from quantattack.outcomes import Outcome, Subject
from quantattack.records import Record, Store
from quantattack.rng import Rng
from quantattack.shapes import Images, Indices, Labels, Logits, Model

SLACK = 1e-6  # of the radius: rounding in an attack that is not ours is no breach
_PROBE = 128
_FIRST = 16
_PIXELS = 1 << 18  # of one batch on a CPU, by default

Advance = Callable[[str, int, int], None]


def evaluate(
    model: Model,
    images: Any,
    labels: Any,
    attacks: Mapping[str, Attack],
    threat: Threat,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    out: Path | str | None = None,
    progress: bool = False,
    indices: Any = None,
) -> Record:
    """Attack every image with every attack and return what withstood.

    An image that the model gets wrong from the start counts as broken.  The result does not depend on the batch size,
    and a run that was interrupted continues where its folder holds it.

    Arguments:
        model: Maps images in [0, 1], with shape (n, ...), to logits with shape (n, k); in eval mode.
        images: Images with shape (n, ...), or a `Dataset` of (image, label), which is streamed.
        labels: True classes with shape (n,); None with a `Dataset`.
        attacks: The attacks by name.
        threat: The judge's threat: an image outside it (by more than 1e-6 of the radius) does not count as broken.
        seed: Seed of every random number of the run.
        batch_size: Images attacked at once; chosen by the images' size where None.
        out: Folder for the record; None keeps it in memory.
        progress: Whether to show a progress bar on standard error.
        indices: The images' indices in their data set, where they are a part of it; their positions by default.

    Raises:
        InputError: If the model, the images, the labels, the attacks or the folder cannot be used.
    """
    job = prepare(model, images, labels, attacks, threat, seed=seed, batch_size=batch_size, indices=indices)
    store = Store.open(out, {"subjects": [job.identity], "seed": seed})
    with store.writing(), bar(progress) as advance:
        run(job, store, advance)
    return Record(store, job.subject)


@dataclass(frozen=True, eq=False)
class Job:
    """One model on one data set under one threat: all that the engine needs to attack it."""

    host: Hosted
    source: Source
    attacks: Mapping[str, Attack]
    threat: Threat
    seed: int
    batch_size: int
    index: Indices
    subject: Subject
    identity: dict[str, Any]


def prepare(
    model: Model,
    images: Any,
    labels: Any,
    attacks: Mapping[str, Attack],
    threat: Threat,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    indices: Any = None,
    names: tuple[str, str] = ("model", "images"),
) -> Job:
    """Check the input of an evaluation and put it in order.

    Raises:
        InputError: If any of it cannot be used.
    """
    check_attacks(attacks)
    check_count("seed", seed, least=0)
    host, source = examine(model, images, labels, threat)
    index = positions_of(indices, len(source))
    shape = tuple(source.take([0])[0].shape[1:])
    size = usual_batch(shape, placement(model)[0]) if batch_size is None else batch_size
    check_count("batch_size", size)
    subject = Subject(*names, stable(describe(threat)))
    identity = {
        "model": [names[0], model_checksum(model), fingerprint(host, source.take(range(min(_FIRST, len(source))))[0])],
        "data": [names[1], len(source), source.checksum(), digest({"index": index})],
        "threat": describe(threat),
        "attacks": {name: describe(attack) for name, attack in attacks.items()},
    }
    return Job(host, source, attacks, threat, seed, size, index, subject, identity)


def examine(model: Model, images: Any, labels: Any, threat: Threat) -> tuple[Hosted, Source]:
    """Find out before any work whether the model takes the images, and has a class for each label.

    Raises:
        InputError: If it does not, or model, images, labels or threat are no such thing.
    """
    check_model(model)
    if not isinstance(threat, Threat):
        raise InputError(f"the threat must be Threat(Linf(), 8 / 255) or alike, not {threat!r}")
    host, source = Hosted(model), source_of(images, labels, threat)
    device, dtype = placement(host)
    first, some = source.take(range(min(_FIRST, len(source))))
    threat.check(tuple(first.shape[1:]))
    logits = first_logits(host, first.to(device, dtype))
    check_classes(source.labels if isinstance(source, TensorSource) else some, logits.shape[1])
    return host, source


def usual_batch(shape: tuple[int, ...], device: torch.device) -> int:
    """Return how many images of a shape are attacked at once: what fits a CPU's caches, or fills a GPU."""
    pixels = max(1, int(np.prod(shape)))
    return max(16, min(256 if device.type == "cpu" else 1024, _PIXELS // pixels // 16 * 16))


def run(job: Job, store: Store, advance: Advance) -> Record:
    """Run what a store lacks of a job, and flag the result."""
    started = time.time()
    cells = {
        name: store.cell(job.subject, name, describe(attack), len(job.source)) for name, attack in job.attacks.items()
    }
    clean = _predict(job, advance)
    record = Record(store, job.subject)
    _check_same(job, record, clean)
    for name, attack in job.attacks.items():
        _run_cell(job, store, cells[name], name, attack, clean, advance)
    probe = np.flatnonzero(clean.prediction == clean.label)[:_PROBE].tolist()
    parts = (probe[first : first + job.batch_size] for first in range(0, len(probe), job.batch_size))
    store.flag(job.subject, flags(record, look(job.host, (_batch(job, part) for part in parts)), clean.random))
    _keep_gallery(job, store, record)
    store.note(**versions(job), seconds=round(store.notes.get("seconds", 0.0) + time.time() - started, 3))
    return record


def _keep_gallery(job: Job, store: Store, record: Record) -> None:
    """Attack a few images once more, exactly as before, and keep them beside the record."""
    alone = [name for name, attack in job.attacks.items() if not needs_all(attack)]
    if store.folder is None or not alone:
        return
    name, chosen = choose(record, alone)
    at = {int(index): position for position, index in enumerate(job.index)}
    images, labels = _batch(job, [at[index] for index in chosen])
    rng = Rng(job.seed, torch.tensor(chosen, dtype=torch.long, device=images.device))
    final = trace(job.attacks[name], job.host, images, labels, rng=rng).images if chosen else images
    before, after = (job.host(part).argmax(1) if chosen else labels for part in (images, final))
    names = ("clean", "adversarial", "index", "label", "clean_prediction", "prediction")
    tensors = dict(zip(names, (images, final, rng.index, labels, before, after), strict=True))
    number = store.subjects().index(job.subject) + 1
    metadata = {"model": job.subject.model, "data": job.subject.data, "threat": job.subject.threat, "attack": name}
    save_gallery(store.folder / f"gallery-{number}.safetensors", tensors, metadata)


@dataclass(frozen=True, eq=False)
class _Clean:
    """What the model says of the clean images, by position."""

    label: np.ndarray
    prediction: np.ndarray
    margin: np.ndarray
    random: bool


def _predict(job: Job, advance: Advance) -> _Clean:
    parts: list[list[np.ndarray]] = []
    random, count = False, len(job.source)
    for first in range(0, count, job.batch_size):
        images, labels = _batch(job, range(first, min(first + job.batch_size, count)))
        logits, gaps = _judge(job, images, labels)
        if first == 0:
            random = not torch.equal(logits, _judge(job, images, labels)[0])
        parts.append([part.cpu().numpy() for part in (labels, logits.argmax(1), gaps)])
        advance("clean", min(first + job.batch_size, count), count)
    label, prediction, gap = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Clean(label, prediction, gap, random)


def _check_same(job: Job, record: Record, clean: _Clean) -> None:
    """Refuse to go on where the outcomes that are there are of other images or of another model."""
    at = {int(index): position for position, index in enumerate(job.index)}
    for name in record.attacks:
        rows = [at[int(image)] for image in record.column(name, "image")]
        same = np.array_equal(clean.label[rows], record.column(name, "label")) if rows else True
        if rows and not clean.random:
            same = same and np.array_equal(clean.prediction[rows], record.column(name, "clean_prediction"))
        if not same:
            raise InputError(
                f"{record.store.folder} holds outcomes of other images or of another model; choose another --out"
            )


def _batch(job: Job, positions: Any) -> tuple[Images, Labels]:
    """Return images and labels at some positions, where the model is and as its parameters are."""
    if not len(positions):
        positions = [0]
        images, labels = job.source.take(positions)
        images, labels = images[:0], labels[:0]
    else:
        images, labels = job.source.take(list(positions))
    device, dtype = placement(job.host)
    return images.to(device, dtype), labels.to(device)


def _judge(job: Job, images: Images, labels: Labels) -> tuple[Logits, Tensor]:
    with torch.no_grad():
        logits = job.host(images)
    check_logits(logits, len(images))
    check_classes(labels, logits.shape[1])
    return logits, -margin(logits.double(), labels)


def _run_cell(job: Job, store: Store, cell: int, name: str, attack: Attack, clean: _Clean, advance: Advance) -> None:
    done, index = store.done(cell), job.index.numpy()
    todo = [at for at in range(len(index)) if int(index[at]) not in done]
    if needs_all(attack):
        _run_whole(job, store, cell, name, attack, todo, clean)
        advance(name, len(index), len(index))
        return
    wrong = [at for at in todo if clean.prediction[at] != clean.label[at]]
    right = [at for at in todo if clean.prediction[at] == clean.label[at]]
    store.write(cell, [_lost(job, clean, at) for at in wrong])
    for first in range(0, len(right), job.batch_size):
        positions = right[first : first + job.batch_size]
        store.write(cell, _attack(job, name, attack, positions, clean))
        advance(name, len(index) - len(right) + first + len(positions), len(index))


def needs_all(attack: Any) -> bool:
    """Return whether an attack, or one inside it, is to be handed the whole data set: its images move each other."""
    inside = [getattr(attack, "attack", None), *getattr(attack, "attacks", {}).values()]
    return bool(getattr(attack, "whole", False)) or any(needs_all(part) for part in inside if part is not None)


def _run_whole(job: Job, store: Store, cell: int, name: str, attack: Attack, todo: list[int], clean: _Clean) -> None:
    """Hand an attack every image, right or wrong, and write all outcomes at once: there is no half of it to keep."""
    if not todo:
        return
    outcomes = _attack(job, name, attack, list(range(len(job.source))), clean)
    wrong = clean.prediction != clean.label
    store.write(cell, [_lost(job, clean, at) if wrong[at] else outcome for at, outcome in enumerate(outcomes)])


def _lost(job: Job, clean: _Clean, at: int) -> Outcome:
    """The outcome of an image that was wrong from the start: nothing was done to it."""
    label, prediction = int(clean.label[at]), int(clean.prediction[at])
    image, gap = int(job.index[at]), float(clean.margin[at])
    return Outcome(image, label, prediction, prediction, gap, 0.0, 0, 0, 0.0, 0.0, 0.0, inside=True)


def _attack(job: Job, name: str, attack: Attack, positions: list[int], clean: _Clean) -> list[Outcome]:
    images, labels = _batch(job, positions)
    passes, begun = job.host.passes.snapshot(), time.perf_counter()
    found = trace(attack, job.host, images, labels, rng=Rng(job.seed, job.index[positions].to(images.device)))
    seconds = (time.perf_counter() - begun) / len(positions)
    spent = [(now - was) / len(positions) for now, was in zip(job.host.passes.snapshot(), passes, strict=True)]
    return _outcomes(job, name, positions, images, labels, found, clean, (*spent, seconds))


def _outcomes(
    job: Job,
    name: str,
    positions: list[int],
    images: Images,
    labels: Labels,
    found: Trace,
    clean: _Clean,
    cost: tuple[float, ...],
) -> list[Outcome]:
    final = _checked(name, found.images, images).to(images.dtype)  # the judge measures what it shows the model
    inside = job.threat.contains(final, images, SLACK)
    logits, gaps = _judge(job, final, labels)
    fooled = (logits.argmax(1) != labels).tolist()
    sizes = job.threat.norm.size(final.double() - images.double())
    columns = (part.tolist() for part in (labels, logits.argmax(1), gaps, sizes, found.step, found.restart, inside))
    return [
        Outcome(
            image=int(job.index[at]),
            label=label,
            clean_prediction=int(clean.prediction[at]),
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


def versions(job: Job) -> dict[str, Any]:
    """Return what the run ran on: recorded, and no part of its identity."""
    device = placement(job.host)[0]
    return {
        "quantattack": version("quantattack"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "batch_size": job.batch_size,
    }


@contextmanager
def bar(shown: bool) -> Iterator[Advance]:
    """Show how far each attack is, on standard error, where asked to."""
    if not shown:
        yield lambda name, done, total: None  # noqa: ARG005
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<24}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown_bar:
        tasks: dict[str, Any] = {}

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = shown_bar.add_task(name, total=total)
            shown_bar.update(tasks[name], completed=done)

        yield advance
