"""Data sets whose images stay in their files and are read on demand."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from quantattack.data.readers import Bytes, Floats, idx_header, read_cifar, read_idx
from quantattack.data.sets import FILES, check_data, data_file, data_folder, load_arrays, white_of
from quantattack.errors import InputError
from quantattack.reading import parsing
from quantattack.types import Images, Labels

_BLOCK = 1000  # images of a checksum at once
_PIXELS = 3 * 32 * 32


@runtime_checkable
class Rows(Protocol):
    """Images by position: bytes, or float32 in [0, 1]."""

    def __len__(self) -> int: ...

    def read(self, positions: Sequence[int]) -> Bytes | Floats: ...


@dataclass(frozen=True, eq=False)
class HeldRows:
    """Images that are in memory: those of compressed files, which cannot be read from the middle, and a user's own.

    Arguments:
        images: Bytes, or float32 in [0, 1], with shape (n, channels, height, width).
    """

    images: Bytes | Floats

    def __len__(self) -> int:
        return len(self.images)

    def read(self, positions: Sequence[int]) -> Bytes | Floats:
        return self.images[list(positions)]


@dataclass(frozen=True, eq=False)
class FileRows:
    """Images of one size that lie one after the other in files.

    Arguments:
        files: The files and how many images each holds.
        shape: Channels, height and width.
        start: Bytes before a file's first image.
        gap: Bytes between two images.
    """

    files: tuple[tuple[Path, int], ...]
    shape: tuple[int, int, int]
    start: int
    gap: int = 0

    def __len__(self) -> int:
        return sum(count for _, count in self.files)

    def read(self, positions: Sequence[int]) -> Bytes:
        out = np.empty((len(positions), *self.shape), np.uint8)
        wanted, first = np.asarray(positions), 0
        for path, count in self.files:
            here = np.flatnonzero((wanted >= first) & (wanted < first + count))
            if len(here):
                self._fill(out, here, path, wanted[here] - first)
            first += count
        return out

    def _fill(self, out: Bytes, at: np.ndarray, path: Path, rows: np.ndarray) -> None:
        size = int(np.prod(self.shape))
        try:
            with path.open("rb") as file:
                for place, row in zip(at.tolist(), rows.tolist(), strict=True):
                    file.seek(self.start + row * (size + self.gap))
                    out[place] = np.frombuffer(file.read(size), np.uint8).reshape(self.shape)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {path}: {error}; it must not change while it is attacked") from None


@dataclass(frozen=True, eq=False)
class Stream:
    """A data set's images, float32 with pixels in [0, 1], and labels, by position.

    Arguments:
        rows: The images.
        labels: Labels with shape (n,); the stream is of the first n images.
        scale: What a pixel of value 1 is in them.
    """

    rows: Rows
    labels: Labels
    scale: int = 255

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, positions: torch.Tensor) -> Images:
        return self.take(positions.tolist())[0]

    def take(self, positions: Sequence[int]) -> tuple[Images, Labels]:
        """Return images and labels at some positions."""
        images = torch.from_numpy(self.rows.read(positions).astype(np.float32) / np.float32(self.scale))
        return images, self.labels[list(positions)]

    def first(self, count: int) -> "Stream":
        """Return the first images."""
        return replace(self, labels=self.labels[:count])

    def checksum(self) -> str:
        """Return the digest of all images and labels, the same as of the tensors."""
        sha, count = hashlib.sha256(), len(self)
        for first in range(0, count, _BLOCK):
            images = self.take(range(first, min(first + _BLOCK, count)))[0]
            if first == 0:
                sha.update(f"images{images.dtype}{(count, *images.shape[1:])}".encode())
            sha.update(images.numpy().tobytes())
        sha.update(f"labels{self.labels.dtype}{tuple(self.labels.shape)}".encode())
        sha.update(self.labels.numpy().tobytes())
        return sha.hexdigest()[:16]


def stream_data(name: str, root: Path | str | None = None, split: str = "test") -> Stream:
    """Return a data set whose images stay in their files; those of compressed files, and your own, are in memory.

    Arguments:
        name: A name of ``SETS``, or a path, as in `load_data`.
        root: As in `load_data`.
        split: ``test`` or ``train``.

    Raises:
        InputError: If the name is unknown, the files are missing, or one of them is damaged.
    """
    check_data(name, split)
    if name in ("cifar10", "cifar100"):
        return _cifar(name, root, split)
    if name in ("mnist", "fashion-mnist") and not _compressed(
        data_file(data_folder(name, root), FILES["mnist"][split][0])
    ):
        return _idx(name, root, split)
    images, labels = load_arrays(name, root, split)
    return Stream(HeldRows(images), torch.from_numpy(labels), white_of(name, images))


def _compressed(path: Path) -> bool:
    return path.suffix == ".gz"


def _idx(name: str, root: Path | str | None, split: str) -> Stream:
    path, other = (data_file(data_folder(name, root), file) for file in FILES["mnist"][split])
    labels = read_idx(other).astype(np.int64)
    with parsing(path, "an IDX file of images", "fetch it again"), path.open("rb") as file:
        sizes, start = idx_header(file.read(4 + 4 * 255), path)
    whole = start + math.prod(sizes)
    if len(sizes) != 3 or path.stat().st_size != whole or sizes[0] != len(labels) or labels.ndim != 1:
        raise InputError(f"{path} is no IDX file of images with a label each; fetch it again")
    return Stream(FileRows(((path, sizes[0]),), (1, *sizes[1:]), start=start), torch.from_numpy(labels))


def _cifar(name: str, root: Path | str | None, split: str) -> Stream:
    marks = 2 if name == "cifar100" else 1
    paths = [data_file(data_folder(name, root), file) for file in FILES[name][split]]
    if any(_compressed(path) for path in paths):
        images, labels = load_arrays(name, root, split)
        return Stream(HeldRows(images), torch.from_numpy(labels))
    parts = [_cifar_labels(path, marks) for path in paths]
    files = tuple((path, len(part)) for path, part in zip(paths, parts, strict=True))
    rows = FileRows(files, (3, 32, 32), start=marks, gap=marks)
    return Stream(rows, torch.from_numpy(np.concatenate(parts)))


def _cifar_labels(path: Path, marks: int) -> np.ndarray:
    """Read a file's labels, a part of it at a time."""
    row, labels, size = marks + _PIXELS, list[np.ndarray](), path.stat().st_size
    if not size or size % row:
        read_cifar(path, marks)  # says what is wrong
    with parsing(path, "a CIFAR binary file", "fetch it again"), path.open("rb") as file:
        while block := file.read(_BLOCK * row):
            labels.append(np.frombuffer(block, np.uint8).reshape(-1, row)[:, marks - 1].astype(np.int64))
    return np.concatenate(labels)
