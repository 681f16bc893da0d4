"""The gallery: up to 16 clean and adversarial images, saved beside a record to be looked at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantattack.attacks.base import Batch, needs_all, search
from quantattack.errors import guarded
from quantattack.evaluation.judge import SLACK
from quantattack.evaluation.pixels import grid_of, judged_images
from quantattack.evaluation.saved_images import write_tensors
from quantattack.evaluation.task import Task
from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.rng import Rng

COUNT = 16  # images of a gallery


def keep_gallery(task: Task, store: Store, record: Record) -> None:
    """Repeat the strongest attack on up to 16 images that it broke, and save them in the record's folder.

    Does nothing if the record is in memory, or every attack needs all images at once.
    """
    separate = [name for name, attack in task.attacks.items() if not needs_all(attack)]
    if store.folder is None or not separate:
        return
    name, chosen = choose(record, separate)
    number = store.subjects().index(task.subject) + 1
    metadata = {"model": task.subject.model, "data": task.subject.data, "threat": task.subject.threat, "attack": name}
    save_gallery(store.folder / f"gallery-{number}.safetensors", _attacked_again(task, name, chosen), metadata)


def _attacked_again(task: Task, name: str, chosen: list[int]) -> dict[str, Tensor]:
    position_of = {int(index): position for position, index in enumerate(task.index)}
    images, labels = task.batch([position_of[index] for index in chosen])
    batch = Batch(images, labels, Rng(task.seed, torch.tensor(chosen, dtype=torch.long, device=images.device)))
    model = task.model.showing(task.model.width, grid=grid_of(task.threat))
    with guarded(f"the attack {name!r}", "again, for the gallery"):
        final = search(task.attacks[name], model, batch.copied()).images if chosen else images
    final = judged_images(task.threat, final.to(images), images, SLACK)
    before, after = (task.model(x).argmax(1) if chosen else labels for x in (images, final))
    names = ("clean", "adversarial", "index", "label", "clean_prediction", "prediction")
    return dict(zip(names, (images, final, batch.rng.index, labels, before, after), strict=True))


def choose(record: Record, names: Sequence[str]) -> tuple[str, list[int]]:
    """Return the strongest attack's name and the indices of up to 16 images that it broke.

    Images that plain PGD does not break are preferred, and of more than 16 the first and the last that fell.

    Arguments:
        record: The finished record.
        names: The attacks that can be repeated on a few images; gradient attacks are preferred, since a random search
            takes thousands of passes.
    """
    fast = [name for name in names if record.column(name, "backwards").sum() > 0] or names
    name = min(fast, key=record.robust)
    image, label = record.column(name, "image").astype(int), record.column(name, "label")
    broken = record.broken(name) & (record.column(name, "clean_prediction") == label)
    missed = np.zeros_like(broken)
    if record.plain_pgd and len(record.broken(record.plain_pgd)) == len(broken):
        missed = ~record.broken(record.plain_pgd)
    steps = record.column(name, "step").astype(float)
    preferred = _ends(image[broken & missed], steps[broken & missed], COUNT)
    others = _ends(image[broken & ~missed], steps[broken & ~missed], COUNT - len(preferred))
    return name, sorted([*preferred, *others])


def _ends(image: NDArray[np.int64], steps: NDArray[np.float64], count: int) -> list[int]:
    """Return at most so many images, half of them the first that fell and half the last; unknown steps are last."""
    by_fall: list[int] = image[np.argsort(steps, kind="stable")].tolist()
    first = (count + 1) // 2
    return by_fall if len(by_fall) <= count else by_fall[:first] + by_fall[len(by_fall) - count + first :]


def save_gallery(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write clean and adversarial images with their labels and predictions as one safetensors file."""
    apart = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_tensors(path, apart, metadata)
