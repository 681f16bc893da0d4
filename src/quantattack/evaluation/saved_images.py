"""Attacked images beside a record, a safetensors file for each batch: bytes where they are exact, else as they are."""

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

FOLDER = "images"
_LEVELS = 255


def save_shard(folder: Path, cell: int, index: Sequence[int], images: Images) -> Shard:
    """Write attacked images with their indices; the file is whole under its name, or not there.

    Arguments:
        folder: The record's folder.
        cell: The row of the cell that they belong to.
        index: The images' indices in their data set.
        images: The images with shape (n, ...).

    Raises:
        InputError: If the file cannot be written.
    """
    name = f"{FOLDER}/{cell}-{index[0]:08d}.safetensors"
    path, half = folder / name, folder / f"{name}.part"
    tensors = {"index": torch.tensor(list(index)), "images": packed(images)}
    try:
        path.parent.mkdir(exist_ok=True)
        save_file(tensors, half)
        half.chmod(0o644)  # safetensors makes it private; it is as public as the record beside it
        half.replace(path)
        _settle(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot write {path}: {error}; make room or choose another --out") from None
    return Shard(name, len(images), checksum(path))


def _settle(path: Path) -> None:
    """Have the file on the disk before the record says that it is there."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_shard(path: Path) -> tuple[Indices, Images]:
    """Return the indices and the images of a file.

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
    """Return images as bytes where these give every pixel back exactly, else as they are, at least float32."""
    images = images.detach().cpu().contiguous()
    if images.dtype != torch.float64:
        images = images.float()
    levels = (images * _LEVELS).round()
    exact = bool(((levels >= 0) & (levels <= _LEVELS)).all()) and torch.equal((levels / _LEVELS).to(images), images)
    return levels.to(torch.uint8) if exact and images.dtype == torch.float32 else images


def unpacked(stored: Tensor) -> Images:
    """Return the images that `packed` made smaller."""
    return stored.float() / _LEVELS if stored.dtype == torch.uint8 else stored
