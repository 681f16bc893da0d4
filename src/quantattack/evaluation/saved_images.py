"""Reads and writes the attacked images beside a record, one safetensors file per batch.

Pixels are stored as bytes if that is lossless, else as floats.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from quantattack.errors import InputError
from quantattack.record.outcome import Shard
from quantattack.record.shards import name_of
from quantattack.record.writing import cannot_write, written_whole
from quantattack.types import Images, Indices

_LEVELS = 255  # a byte b is the pixel b / 255


def save_shard(folder: Path, index: Sequence[int], images: Images) -> Shard:
    """Write attacked images and their indices atomically: the file is complete or absent.

    Arguments:
        folder: The record's folder.
        index: Indices of the images in their data set.
        images: The images with shape (n, ...).

    Raises:
        InputError: If the file cannot be written.
    """
    tensors = {"index": torch.tensor(list(index)), "images": packed(images)}
    sha256 = hashlib.sha256(save(tensors)).hexdigest()
    path = folder / name_of(sha256)
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None
    write_tensors(path, tensors)
    return Shard(name_of(sha256), len(images), sha256)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, which is there complete or not at all.

    Raises:
        InputError: If the file cannot be written.
    """
    with written_whole(path) as part:
        try:
            save_file(tensors, part, metadata)
        except SafetensorError as error:  # its own type, even for a full disk
            raise cannot_write(path, error) from None
        part.chmod(0o644)  # safetensors creates it as 0600; make it as readable as the record


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
