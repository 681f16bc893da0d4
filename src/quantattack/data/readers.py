"""Readers of standard image formats; nothing is ever unpickled."""

import gzip
import math
import warnings
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantattack.errors import InputError
from quantattack.reading import is_folder, parsing, shown

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]  # pixels in [0, 1]
Arrays = tuple[Bytes, NDArray[np.int64]]
OwnArrays = tuple[Bytes | Floats, NDArray[np.int64]]

IDX_UBYTE = 8
GREY, DEEP = ("L", "1", "LA", "La"), ("I", "F")  # Pillow's modes
_AXES = 4  # of an IDX file: images, channels, height, width
_MOST = 1 << 31  # bytes of a file, unpacked
CLASSES = 1 << 31  # more than any data set has
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
            f"{shown(path)} is not a folder; give an .npz file, parquet files, or a folder with a folder of images for "
            "each class"
        )
    classes = _classes(entry.name for entry in _entries(root) if entry.is_dir())
    most = max(classes.values(), default=0)
    if most >= CLASSES:
        raise InputError(f"{shown(path)} has the class {shown(str(most))}; classes are counted from 0")
    files = [(image, label) for name, label in classes.items() for image in _entries(root / name)]
    found = [(read_image(image), label) for image, label in files if image.suffix.lower() in SUFFIXES]
    if not found:
        raise InputError(f"{shown(path)} holds no images; {_where_else(root, classes)}")
    images = stacked([image for image, _ in found], path)
    return images, np.array([label for _, label in found], np.int64), tuple(classes)


def _where_else(root: Path, classes: Iterable[str]) -> str:
    """Return what to give in place of a folder without images: a folder in it that holds the classes' folders."""
    nested = [name for name in classes if any(entry.is_dir() for entry in _entries(root / name))]
    inside = "test" if "test" in nested else next(iter(nested), "")
    return f"give a folder in it, such as {shown(root / inside)}" if inside else "put them in one folder for each class"


def stacked(images: Sequence[Bytes], path: Path | str) -> Bytes:
    """Return images as one array (n, channels, height, width); among color images gray ones get three channels.

    Raises:
        InputError: If sizes differ.

    """
    if len({image.shape[1:] for image in images}) > 1:
        raise InputError(f"{shown(path)} holds images of different sizes; make them one size")
    channels = max(len(image) for image in images)
    return np.stack([image if len(image) == channels else np.repeat(image, channels, 0) for image in images])


def _entries(folder: Path) -> list[Path]:
    with parsing(folder, "a folder", "make it readable"):
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _classes(names: Iterable[str]) -> dict[str, int]:
    """Return the label of each class by its name."""
    ordered = sorted(names)
    if all(name.isascii() and name.isdigit() and len(name) < 100 for name in ordered):
        return {name: int(name) for name in sorted(ordered, key=int)}
    return {name: label for label, name in enumerate(ordered)}


def read_image(path: Path | str, data: bytes | None = None) -> Bytes:
    """Return one image file as bytes (channels, height, width): one channel if it is grey, else three.

    Arguments:
        path: The file, or what errors are to name in its place.
        data: The file's content, where it lies in another file.

    Raises:
        InputError: If the file is not an image, or has more than 8 bits per channel.

    """
    from PIL import Image

    with parsing(path, "an image that can be read", "remove it or save it again"), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(Path(path) if data is None else BytesIO(data)) as image:
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
