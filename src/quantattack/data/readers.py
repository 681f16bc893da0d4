"""Readers of standard image formats; nothing is ever unpickled."""

import gzip
import math
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.errors import InputError
from quantattack.reading import is_folder, parsing, shown

Bytes = NDArray[np.uint8]
Arrays = tuple[Bytes, NDArray[np.int64]]

IDX_UBYTE = 8
GREY, DEEP = ("L", "1", "LA", "La"), ("I", "F")  # Pillow's modes
_AXES = 4  # of an IDX file: images, channels, height, width
_MOST = 1 << 31  # bytes of a file, unpacked
_DEFLATED = 1040  # bytes that one deflated byte can stand for, at most
_CLASSES = 1 << 31
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def read_idx(path: Path | str) -> Bytes:
    """Return the array of an IDX file of unsigned bytes, gzipped or not.

    Format: two zero bytes, the type, the number of axes, each axis as a big-endian 32-bit integer, the values.

    Source: LeCun, Cortes & Burges, the MNIST database, http://yann.lecun.com/exdb/mnist/

    Raises:
        InputError: If the file cannot be read or has another format.

    """
    data = _read(path)
    shape, start = idx_header(data, path)
    if len(data) - start != math.prod(shape):
        raise InputError(f"{shown(path)} is cut off or too long for its header; fetch it again")
    with parsing(path, "an IDX file of unsigned bytes", "fetch it again"):
        return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def idx_header(data: bytes, path: Path | str) -> tuple[tuple[int, ...], int]:
    """Return the shape that an IDX file's first bytes state, and how many bytes come before the values.

    Raises:
        InputError: If they are not the header of an IDX file of unsigned bytes.

    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != IDX_UBYTE:
        raise InputError(f"{shown(path)} is not an IDX file of unsigned bytes; give the file as it was published")
    start = 4 + 4 * data[3]
    if not 1 <= data[3] <= _AXES or len(data) < start:
        raise InputError(f"{shown(path)} is cut off, or states {data[3]} axes; fetch it again")
    return tuple(int(size) for size in np.frombuffer(data[4:start], ">u4")), start


def read_cifar(path: Path | str, label_bytes: int = 1) -> Arrays:
    """Return the images (n, 3, 32, 32) and labels of a CIFAR binary file.

    Format: for each image its labels (the last is the fine one), then 3072 bytes, red, green, blue.

    Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html

    Arguments:
        path: The file.
        label_bytes: Label bytes before each image: 1 in CIFAR-10, 2 in CIFAR-100.

    Raises:
        InputError: If the file cannot be read or has another format.

    """
    data = _read(path)
    row = label_bytes + 3072
    if not data or len(data) % row:
        raise InputError(f"{shown(path)} is not a CIFAR binary file: its size is no multiple of {row}; fetch it again")
    rows = np.frombuffer(data, np.uint8).reshape(-1, row)
    return rows[:, label_bytes:].reshape(-1, 3, 32, 32), rows[:, label_bytes - 1].astype(np.int64)


def read_npz(path: Path | str) -> Arrays:
    """Return the arrays ``images`` (n, ...), bytes, and ``labels`` (n) of an ``.npz`` file.

    Images are (n, channels, height, width); a table (n, d) or signals (n, channels, d) are taken as they are.

    Raises:
        InputError: If the file cannot be read, holds pickled objects, or lacks one of the two.

    """
    with parsing(path, "an .npz file of plain arrays", "save it with numpy.savez"):
        images, labels = (_member(path, name) for name in ("images", "labels"))
    if images.dtype != np.uint8 or images.ndim < 2 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{shown(path)} must hold images of bytes (n, channels, height, width) and integer labels")
    if not images.size:
        raise InputError(f"{shown(path)} holds no images: their shape is {images.shape}")
    if labels.shape != images.shape[:1]:
        raise InputError(
            f"{shown(path)} holds {len(images)} images and labels of shape {labels.shape}; give one for each"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= _CLASSES:
        raise InputError(f"{shown(path)} has a class outside 0 to {_CLASSES - 1}; classes are counted from 0")
    return images, labels.astype(np.int64)


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


def read_folder(path: Path | str) -> tuple[Bytes, NDArray[np.int64], tuple[str, ...]]:
    """Return images (n, channels, height, width), labels and class names of a folder with one folder for each class.

    Folders whose names are all whole numbers hold the classes of these numbers; others are counted in the order of
    their names.  What begins with a dot is left out.

    Raises:
        InputError: If there is no image, an image cannot be read, or sizes differ.

    """
    root = Path(path)
    if not is_folder(root):
        raise InputError(
            f"{shown(path)} is not a folder; give an .npz file, or a folder with a folder of images for each class"
        )
    classes = _classes(entry.name for entry in _entries(root) if entry.is_dir())
    most = max(classes.values(), default=0)
    if most >= _CLASSES:
        raise InputError(f"{shown(path)} has the class {shown(str(most))}; classes are counted from 0")
    files = [(image, label) for name, label in classes.items() for image in _entries(root / name)]
    found = [(read_image(image), label) for image, label in files if image.suffix.lower() in SUFFIXES]
    if not found:
        raise InputError(f"{shown(path)} holds no images; put them in one folder for each class")
    if len({image.shape for image, _ in found}) > 1:
        raise InputError(f"{shown(path)} holds images of different sizes; make them one size")
    return np.stack([image for image, _ in found]), np.array([label for _, label in found], np.int64), tuple(classes)


def _entries(folder: Path) -> list[Path]:
    with parsing(folder, "a folder", "make it readable"):
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _classes(names: Iterable[str]) -> dict[str, int]:
    """Return the label of each class by its name."""
    ordered = sorted(names)
    if all(name.isascii() and name.isdigit() and len(name) < 100 for name in ordered):
        return {name: int(name) for name in sorted(ordered, key=int)}
    return {name: label for label, name in enumerate(ordered)}


def read_image(path: Path | str) -> Bytes:
    """Return one image file as bytes (channels, height, width): one channel if it is grey, else three.

    Raises:
        InputError: If the file is not an image, or has more than 8 bits per channel.

    """
    from PIL import Image

    with parsing(path, "an image that can be read", "remove it or save it again"), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            if image.mode.startswith(DEEP):
                raise InputError(f"{shown(path)} has more than 8 bits per channel; save it with 8")
            array = np.asarray(image.convert("L" if image.mode in GREY else "RGB"))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _read(path: Path | str) -> bytes:
    """Return a file's bytes, unpacked where it is gzipped: at most `_MOST` of them."""
    with parsing(path, "a file of whole images", "fetch it again"), Path(path).open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        data = gzip.GzipFile(fileobj=file).read(_MOST + 1) if gzipped else file.read(_MOST + 1)
    if len(data) > _MOST:
        raise InputError(f"{shown(path)} has over {_MOST >> 30} GiB, which no such file has; fetch it again")
    return data
