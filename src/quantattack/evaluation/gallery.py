"""Sixteen attacked images beside a record, for the eye."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.torch import save_file
from torch import Tensor

from quantattack.record.store import Record

COUNT = 16


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
