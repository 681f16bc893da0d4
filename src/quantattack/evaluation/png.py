"""Attacked images and their clean ones as PNG files, which any program reads.

`images/<attack>/<index>-<label>-<prediction>.png` is an attacked image and `images/clean/<index>-<label>.png` its clean
one.  Where a record holds several models, data sets or threats, the second one's are in `images/2`, and so on.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from quantattack.attacks.grid import BYTE, Grid
from quantattack.errors import InputError
from quantattack.evaluation.saved_images import load_shard
from quantattack.evaluation.task import Task
from quantattack.record.record import Record
from quantattack.record.shards import FOLDER
from quantattack.record.store import Store
from quantattack.types import Images

CLEAN = "clean"  # folder of the clean images


def write_pngs(task: Task, store: Store, record: Record) -> None:
    """Write the attacked images of a task's saved files that are not yet there, and the clean one of each.

    It does nothing where the record is in memory.  An image outside the pixel range, which does not count as broken,
    cannot be written and is left out.

    Arguments:
        task: The task.
        store: Its record, with the files of attacked images.
        record: The same record as it is read.
    """
    if store.folder is None:
        return
    number = store.subjects().index(task.subject) + 1
    folder = store.folder / FOLDER if number == 1 else store.folder / FOLDER / str(number)
    for name in task.attacks:
        names = {each.image: f"{each.image:05d}-{each.label}-{each.prediction}.png" for each in record.outcomes(name)}
        for shard in store.shards(record.cells[name]):
            index, images = load_shard(store.folder / shard.file)
            files = [folder / folder_named(name) / names[image] for image in index.tolist()]
            _write(files, images, task.threat.grid)
            _write_clean(task, index.tolist(), folder / CLEAN)


def folder_named(attack: str) -> str:
    """Return the name of an attack's folder: the attack's, with what no file system allows replaced."""
    name = re.sub(r"[^\w.,=\[\]-]+", "_", attack).strip(".") or "_"
    return f"{name}_" if name == CLEAN or name.isdigit() else name


def _write_clean(task: Task, index: Sequence[int], folder: Path) -> None:
    positions = {image: position for position, image in enumerate(task.index.tolist())}
    images, labels = task.source.take([positions[image] for image in index])
    files = [folder / f"{image:05d}-{label}.png" for image, label in zip(index, labels.tolist(), strict=True)]
    _write(files, images, task.threat.grid)


def _write(files: Sequence[Path], images: Images, grid: Grid) -> None:
    """Write images as files of the given paths, each whole or not at all; those that are there stay."""
    held = grid.holds(images).tolist()
    pixels = grid.positions(images).round().clamp(0, BYTE - 1).to(torch.uint8).cpu().numpy()
    for path, image, fits in zip(files, pixels, held, strict=True):
        if fits and not path.exists():
            _write_one(path, image)


def _write_one(path: Path, image: np.ndarray) -> None:
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))).save(
            partial, format="PNG"
        )
        partial.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}; make room or choose another --out") from None
