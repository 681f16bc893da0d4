"""Images and labels in an `.npz` file: plain arrays alone, each read only where its size is what it claims."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.data.arrays import as_images, as_labels
from quantattack.data.readers import OwnArrays
from quantattack.errors import InputError
from quantattack.reading import parsing, shown

_DEFLATED = 1040  # bytes that one deflated byte can stand for, at most
NAMES = (("images", "labels"), ("test_images", "test_labels"), ("x_test", "y_test"), ("x", "y"), ("X", "y"))


def read_npz(path: Path | str, layout: str | None = None) -> OwnArrays:
    """Return images (n, channels, height, width), bytes or float32 in [0, 1], and labels (n) of an ``.npz`` file.

    The arrays are called images and labels, or x_test and y_test, x and y, test_images and test_labels.  A table (n, d)
    or signals (n, channels, d) are taken as they are.

    Arguments:
        path: The file.
        layout: ``nchw`` or ``nhwc``; None for what the shape tells.

    Raises:
        InputError: If the file cannot be read, holds pickled objects, lacks one of the two, or they are no images with
            a class each.

    """
    with parsing(path, "an .npz file of plain arrays", "save it with numpy.savez"):
        images, labels = (_member(path, name) for name in _names_in(path))
    if not images.size:
        raise InputError(f"{shown(path)} holds no images: their shape is {images.shape}")
    return as_images(images, path, layout), as_labels(labels, len(images), path)


def _names_in(path: Path | str) -> tuple[str, str]:
    """Return the names of the images and of the labels in a file."""
    with zipfile.ZipFile(path) as archive:
        held = {name.removesuffix(".npy") for name in archive.namelist()}
    for names in NAMES:
        if held.issuperset(names):
            return names
    has = f", not {', '.join(sorted(held)[:5])}" if held else ""
    raise InputError(f"{shown(path)} must hold the arrays 'images' and 'labels'{shown(has)}")


def _member(path: Path | str, name: str) -> NDArray[Any]:
    """Return one array of an ``.npz`` file, read only where its header fits its size and the file's."""
    with zipfile.ZipFile(path) as archive:
        try:
            entry = archive.getinfo(f"{name}.npy")
        except KeyError:
            raise InputError(f"{shown(path)} must hold the arrays 'images' and 'labels'") from None
        if entry.file_size > _DEFLATED * max(entry.compress_size, 1):
            raise InputError(f"{shown(path)} claims {entry.file_size:,} bytes of {name}; save it with numpy.savez")
        with archive.open(entry) as file:
            claimed = _claimed_bytes(file, path, name)
        if claimed != entry.file_size:
            raise InputError(f"{shown(path)} holds {name} of another size than their header says; save it again")
        with archive.open(entry) as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _claimed_bytes(file: Any, path: Path | str, name: str) -> int:
    """Return the size of an array with its header, by the header."""
    read_header = np.lib.format.read_array_header_1_0
    if np.lib.format.read_magic(file) != (1, 0):
        read_header = np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise InputError(f"{shown(path)} holds {name} as pickled objects; save plain arrays with numpy.savez")
    if any(size < 0 for size in shape):
        raise InputError(f"{shown(path)} holds {name} of shape {shape}; save it again")
    return int(file.tell()) + math.prod(shape) * dtype.itemsize
