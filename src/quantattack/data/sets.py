"""Data sets by name: images with pixels in [0, 1] and labels."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from quantattack.data.digits import digits
from quantattack.data.fetch import SOURCES
from quantattack.data.own import is_own_file, path_in, read_own
from quantattack.data.readers import Arrays, Bytes, Floats, OwnArrays, read_cifar, read_idx
from quantattack.errors import InputError, unknown
from quantattack.reading import exists, is_file, is_folder
from quantattack.types import Images, Labels


@dataclass(frozen=True)
class DataSet:
    """A data set and its default radii.

    Arguments:
        name: Its name.
        classes: Number of classes.
        shape: Channels, height and width of an image.
        linf: Default radius under Linf, in pixels of [0, 1].
        l2: Default radius under L2, in pixels of [0, 1].
        l1: Default radius under L1, in pixels of [0, 1].
        mean: Mean of each channel over the training images.
        std: Standard deviation of each channel over the training images.
        tests: Number of test images.

    """

    name: str
    classes: int
    shape: tuple[int, int, int]
    linf: float
    l2: float
    l1: float
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    tests: int = 10_000

    def radius(self, norm: str) -> float:
        """Return the default radius under ``linf``, ``l2`` or ``l1``."""
        radii = {"linf": self.linf, "l2": self.l2, "l1": self.l1}
        if norm.lower() not in radii:
            raise unknown("norm", norm, radii)
        return radii[norm.lower()]


CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)

SETS: Mapping[str, DataSet] = {
    data.name: data
    for data in (
        DataSet("digits", 10, (1, 8, 8), linf=0.2, l2=1.0, l1=4.0, tests=500),
        DataSet("mnist", 10, (1, 28, 28), linf=0.3, l2=2.0, l1=10.0, mean=(0.1307,), std=(0.3081,)),
        DataSet("fashion-mnist", 10, (1, 28, 28), linf=0.2, l2=1.5, l1=8.0, mean=(0.2860,), std=(0.3530,)),
        DataSet("cifar10", 10, (3, 32, 32), 8 / 255, 120 / 255, 12.0, CIFAR_MEAN, CIFAR_STD),
        DataSet("cifar100", 100, (3, 32, 32), 4 / 255, 60 / 255, 6.0, CIFAR_MEAN, CIFAR_STD),
    )
}

FILES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "mnist": {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
              "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")},
    "cifar10": {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
    "cifar100": {"train": ("train.bin",), "test": ("test.bin",)},
}  # fmt: skip


def load_data(name: str, root: Path | str | None = None, split: str = "test") -> tuple[Images, Labels]:
    """Return a data set's images, float32 with pixels in [0, 1], and its labels.

    Arguments:
        name: A name of ``SETS``; or the path of your own test images: an ``.npz`` file with the arrays ``images``
            (bytes, or floats in [0, 1]; channels first or last) and ``labels``, a folder as in `read_folder`, or
            parquet or arrow files as in `read_table`.
        root: The folder with a folder for each data set; None takes it from the variable QUANTATTACK_DATA. ``digits``
            comes with scikit-learn and needs none.
        split: ``test`` or ``train``.

    Raises:
        InputError: If the name is unknown, the files are missing, or one of them is damaged.

    """
    check_data(name, split)
    images, labels = load_arrays(name, root, split)
    return torch.from_numpy(images.astype(np.float32) / np.float32(white_of(name, images))), torch.from_numpy(labels)


def white_of(name: str, images: Bytes | Floats) -> int:
    """Return what a white pixel is in a data set's arrays."""
    return 1 if images.dtype == np.float32 else 16 if name == "digits" else 255


def is_path(name: str) -> bool:
    """Return whether a data set's name is the path of your own file or folder."""
    path = path_in(name)
    if not path or path in SETS:
        return False
    return Path(path).name != path or is_own_file(name) or exists(path)


def check_data(name: str, split: str) -> None:
    """Refuse an unknown data set or split.

    Raises:
        InputError: If either is unknown.

    """
    if name not in SETS and not is_path(name):
        raise unknown("data set", name, SETS)
    if split not in ("train", "test"):
        raise unknown("split", split, ("train", "test"))
    if is_path(name) and split == "train":
        raise InputError(f"{name} holds test images; networks are trained on {', '.join(SETS)}")


def load_arrays(name: str, root: Path | str | None, split: str) -> OwnArrays:
    """Return a data set's images as its files hold them, bytes or float32 in [0, 1], and its labels."""
    if is_path(name):
        return read_own(name)
    if name == "digits":
        images, labels = digits(split)
        return images.copy(), labels.copy()
    return _read(name, data_folder(name, root), split)


def data_folder(name: str, root: Path | str | None) -> Path:
    """Return a data set's folder."""
    given = root or os.environ.get("QUANTATTACK_DATA")
    if not given:
        raise InputError(f"{name} needs its files: {_how_to_get(name, 'FOLDER')}")
    folder = Path(given) / name
    if not is_folder(folder):
        raise InputError(f"there is no folder {folder}: {_how_to_get(name, str(given))}")
    return folder


def _how_to_get(name: str, root: str) -> str:
    place = SOURCES[name][0].address.rpartition("/")[0]
    return (
        f"run `quantattack data fetch {name} --data-root {root}` (from {place}), or name the folder above {name}/ with "
        "--data-root or in QUANTATTACK_DATA"
    )


def _read(name: str, folder: Path, split: str) -> Arrays:
    if name in ("mnist", "fashion-mnist"):
        images, labels = (read_idx(data_file(folder, file)) for file in FILES["mnist"][split])
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise InputError(f"{folder} holds images and labels that do not belong together; fetch them again")
        return images[:, None], labels.astype(np.int64)
    parts = [read_cifar(data_file(folder, file), 2 if name == "cifar100" else 1) for file in FILES[name][split]]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def data_file(folder: Path, name: str) -> Path:
    """Return the path of a file, or of its gzipped form."""
    for path in (folder / name, folder / f"{name}.gz"):
        if is_file(path):
            return path
    raise InputError(f"{folder} has no {name} (nor {name}.gz): {_how_to_get(folder.name, str(folder.parent))}")
