"""Reads and writes the attacked images beside a record, one safetensors file per batch.

Pixels are stored as bytes if that is lossless, else as floats.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from quantattack.errors import InputError
from quantattack.record.outcome import Shard
from quantattack.types import Images, Indices

FOLDER = "images"  # in the record's folder
_LEVELS = 255  # a byte b is the pixel b / 255


def save_shard(folder: Path, cell: int, index: Sequence[int], images: Images) -> Shard:
    """Write attacked images and their indices atomically: the file is complete or absent.

    Arguments:
        folder: The record's folder.
        cell: Id of their cell's row in the record.
        index: Indices of the images in their data set.
        images: The images with shape (n, ...).

    Raises:
        InputError: If the file cannot be written.
    """
    name = f"{FOLDER}/{cell}-{index[0]:08d}.safetensors"
    path, partial = folder / name, folder / f"{name}.part"
    tensors = {"index": torch.tensor(list(index)), "images": packed(images)}
    try:
        path.parent.mkdir(exist_ok=True)
        save_file(tensors, partial)
        partial.chmod(0o644)  # safetensors creates it as 0600; make it as readable as the record
        partial.replace(path)
        _flush(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot write {path}: {error}; make room or choose another --out") from None
    return Shard(name, len(images), checksum(path))


def _flush(path: Path) -> None:
    """Flush the file to disk, so that the record never lists a file that a crash has lost."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_shard(path: Path) -> tuple[Indices, Images]:
    """Return the indices with shape (n,) and the images with shape (n, ...) of a file.

    Raises:
        InputError: If the file cannot be read.
    """
    try:
        tensors = load_file(path)
        return tensors["index"], unpacked(tensors["images"])
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"cannot read {path}: {error}; it is damaged or no file of attacked images") from None


def checksum(path: Path) -> str:
    """Return a file's SHA-256."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def packed(images: Images) -> Tensor:
    """Return float32 images as bytes if every pixel is exactly a byte / 255; else as floats, in float32 or float64."""
    images = images.detach().cpu().contiguous()
    if images.dtype != torch.float64:
        images = images.float()
    levels = (images * _LEVELS).round()
    exact = bool(((levels >= 0) & (levels <= _LEVELS)).all()) and torch.equal((levels / _LEVELS).to(images), images)
    return levels.to(torch.uint8) if exact and images.dtype == torch.float32 else images


def unpacked(stored: Tensor) -> Images:
    """Return the images that `packed` stored."""
    return stored.float() / _LEVELS if stored.dtype == torch.uint8 else stored
