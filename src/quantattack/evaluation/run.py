"""The engine: attacks in, a record out.  It alone judges success, on the final images, with the model as given."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quantattack.attacks.base import Attack, Batch, needs_all, passes, search
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.evaluation.flags import flags, look
from quantattack.evaluation.gallery import choose, save_gallery
from quantattack.evaluation.judge import Attacked, Clean, attack, joined, lost, predict, together
from quantattack.evaluation.saved_images import save_shard
from quantattack.evaluation.task import Task, prepare, versions
from quantattack.progress import Advance, bar
from quantattack.record.description import describe
from quantattack.record.store import Record, Store
from quantattack.rng import Rng
from quantattack.types import Model

_PROBE = 128
_ROWS = 2000  # outcomes in memory at once


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
        batch_size: Images attacked at once; found while it runs where None.
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


def run(job: Task, store: Store, advance: Advance, gallery: bool = True) -> Record:
    """Run what a store lacks of a job, and flag the result; with a gallery, attack a few images once more for it."""
    started = time.time()
    cells = cells_of(job, store)
    clean = joined(list(_predictions(job, advance)))
    check_same(job, store, clean)
    for name in job.attacks:
        _run_cell(job, store, cells[name], name, clean, advance)
    record = close(job, store, clean, gallery)
    store.note(seconds=round(store.notes.get("seconds", 0.0) + time.time() - started, 3))
    return record


def cells_of(job: Task, store: Store) -> dict[str, int]:
    """Return the rows of a job's cells, by attack."""
    count = len(job.source)
    return {name: store.cell(job.subject, name, describe(attack), count) for name, attack in job.attacks.items()}


def close(job: Task, store: Store, clean: Clean, gallery: bool = True) -> Record:
    """Flag the result of a job all of whose outcomes are there, and keep a few attacked images."""
    record = Record(store, job.subject)
    probe = np.flatnonzero(clean.right)[:_PROBE].tolist()
    job.host.width = None
    health = look(job.host, job.pace.parts(probe, job.batch))
    store.flag(job.subject, flags(record, health, clean.random))
    if gallery:
        _keep_gallery(job, store, record)
    store.note(**versions(job))
    return record


def _keep_gallery(job: Task, store: Store, record: Record) -> None:
    """Attack a few images once more, exactly as before, and keep them beside the record."""
    alone = [name for name, attack in job.attacks.items() if not needs_all(attack)]
    if store.folder is None or not alone:
        return
    name, chosen = choose(record, alone)
    at = {int(index): position for position, index in enumerate(job.index)}
    images, labels = job.batch([at[index] for index in chosen])
    rng = Rng(job.seed, torch.tensor(chosen, dtype=torch.long, device=images.device))
    final = search(job.attacks[name], job.host, Batch(images, labels, rng)).images if chosen else images
    before, after = (job.host(part).argmax(1) if chosen else labels for part in (images, final))
    names = ("clean", "adversarial", "index", "label", "clean_prediction", "prediction")
    tensors = dict(zip(names, (images, final, rng.index, labels, before, after), strict=True))
    number = store.subjects().index(job.subject) + 1
    metadata = {"model": job.subject.model, "data": job.subject.data, "threat": job.subject.threat, "attack": name}
    save_gallery(store.folder / f"gallery-{number}.safetensors", tensors, metadata)


def _predictions(job: Task, advance: Advance) -> Iterator[Clean]:
    done, count = 0, len(job.source)
    for part in job.pace.parts(range(count), lambda positions: predict(job, positions, twice=positions[0] == 0)):
        done += len(part.label)
        advance("clean", done, count)
        yield part


def check_same(job: Task, store: Store, clean: Clean) -> None:
    """Refuse to go on where the outcomes that are there are of other images or of another model."""
    record = Record(store, job.subject)
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


def _run_cell(job: Task, store: Store, cell: int, name: str, clean: Clean, advance: Advance) -> None:
    todo = lacking(job, store, cell)
    if needs_all(job.attacks[name]):
        with _watched(job, name, advance):
            run_whole(job, store, cell, name, todo, clean)
        advance(name, len(job.source), len(job.source))
        return
    right = begin_cell(job, store, cell, todo, clean)
    done = len(job.source) - len(right)
    for found in attacked(job, name, right):
        keep(store, cell, found)
        done += len(found.outcomes)
        advance(name, done, len(job.source))


@contextmanager
def _watched(job: Task, name: str, advance: Advance) -> Iterator[None]:
    """Tell how far an attack on all images is, by its passes: of the most that it may need, in images."""
    counted, total = job.host.passes, len(job.source)
    begun, most = counted.forwards, total * (passes(job.attacks[name], classes=0) // 2 + 1)
    counted.told = lambda forwards: advance(name, min(total - 1, total * (forwards - begun) // most), total)
    try:
        yield
    finally:
        counted.told = None


def lacking(job: Task, store: Store, cell: int) -> list[int]:
    """Return the positions of a cell's images that have no outcome yet."""
    done = store.done(cell)
    return [at for at, image in enumerate(job.index.tolist()) if image not in done]


def begin_cell(job: Task, store: Store, cell: int, todo: Sequence[int], clean: Clean) -> list[int]:
    """Write the outcomes of what was wrong from the start, and return what is left to attack."""
    right = clean.right
    wrong = [at for at in todo if not right[at]]
    for first in range(0, len(wrong), _ROWS):
        store.write(cell, [lost(job, clean, at) for at in wrong[first : first + _ROWS]])
    return [at for at in todo if right[at]]


def attacked(job: Task, name: str, positions: Sequence[int]) -> Iterator[Attacked]:
    """Attack images that the model gets right, one part after the other, as many at once as is best."""
    return job.paced(name).parts(positions, lambda part: attack(job, name, part), together(job, name))


def run_whole(job: Task, store: Store, cell: int, name: str, todo: Sequence[int], clean: Clean) -> None:
    """Hand an attack every image, right or wrong, and write all outcomes at once: there is no half of it to keep."""
    if not todo:
        return
    (found,) = attacked(job, name, range(len(job.source)))
    write_whole(job, store, cell, found, clean)


def write_whole(job: Task, store: Store, cell: int, found: Attacked, clean: Clean) -> None:
    """Write the outcomes of an attack on all images; of those that were wrong from the start nothing counts."""
    right = clean.right
    outcomes = [one if right[at] else lost(job, clean, at) for at, one in enumerate(found.outcomes)]
    images = None if found.images is None else found.images[torch.from_numpy(right)]
    store.write(cell, [one for at, one in enumerate(outcomes) if not right[at]])
    keep(store, cell, Attacked([one for at, one in enumerate(outcomes) if right[at]], images))


def keep(store: Store, cell: int, found: Attacked) -> None:
    """Write outcomes, and before them the attacked images where they are to be kept."""
    index = [one.image for one in found.outcomes]
    saved = found.images is not None and store.folder is not None and len(index) > 0
    shard = save_shard(store.folder, cell, index, found.images) if saved else None  # type: ignore[arg-type]
    store.write(cell, found.outcomes, shard)
