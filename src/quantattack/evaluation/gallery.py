"""Sixteen attacked images beside a record, for the eye."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from quantattack.attacks.base import Batch, needs_all, search
from quantattack.evaluation.task import Task
from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.rng import Rng

COUNT = 16


def keep_gallery(task: Task, store: Store, record: Record) -> None:
    """Attack a few images once more, exactly as before, and keep them beside the record."""
    separate = [name for name, attack in task.attacks.items() if not needs_all(attack)]
    if store.folder is None or not separate:
        return
    name, chosen = choose(record, separate)
    number = store.subjects().index(task.subject) + 1
    metadata = {"model": task.subject.model, "data": task.subject.data, "threat": task.subject.threat, "attack": name}
    save_gallery(store.folder / f"gallery-{number}.safetensors", _attacked_again(task, name, chosen), metadata)


def _attacked_again(task: Task, name: str, chosen: list[int]) -> dict[str, Tensor]:
    at = {int(index): position for position, index in enumerate(task.index)}
    images, labels = task.batch([at[index] for index in chosen])
    batch = Batch(images, labels, Rng(task.seed, torch.tensor(chosen, dtype=torch.long, device=images.device)))
    final = search(task.attacks[name], task.model, batch).images if chosen else images
    before, after = (task.model(shown).argmax(1) if chosen else labels for shown in (images, final))
    names = ("clean", "adversarial", "index", "label", "clean_prediction", "prediction")
    return dict(zip(names, (images, final, batch.rng.index, labels, before, after), strict=True))


def choose(record: Record, names: Sequence[str]) -> tuple[str, list[int]]:
    """Return the strongest attack's name and the indices of images that it broke, those that PGD missed first.

    Arguments:
        record: The finished record.
        names: The attacks that can be run once more on a few images by themselves; gradient attacks are preferred,
            since a random search takes thousands of passes.
    """
    quick = [name for name in names if record.column(name, "backwards").sum() > 0] or names
    name = min(quick, key=record.robust)
    image, label = record.column(name, "image").astype(int), record.column(name, "label")
    broken = record.broken(name) & (record.column(name, "clean_prediction") == label)
    missed = np.zeros_like(broken)
    if record.plain_pgd and len(record.broken(record.plain_pgd)) == len(broken):
        missed = ~record.broken(record.plain_pgd)
    first = [*image[broken & missed], *image[broken & ~missed]]
    return name, sorted(int(index) for index in first[:COUNT])


def save_gallery(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write clean and adversarial images with their labels and predictions as one safetensors file."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path, metadata)
    path.chmod(0o644)  # safetensors makes it private; it is as public as the record beside it
