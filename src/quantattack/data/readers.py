"""Readers of standard image formats; nothing is ever unpickled."""

import gzip
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from quantattack.errors import InputError

Bytes = NDArray[np.uint8]
Arrays = tuple[Bytes, NDArray[np.int64]]

IDX_UBYTE = 8
GREY, DEEP = ("L", "1", "LA", "La"), ("I", "F")  # Pillow's modes
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def read_idx(path: Path | str) -> Bytes:
    """Return the array of an IDX file of unsigned bytes, gzipped or not.

    Format: two zero bytes, the type, the number of axes, each axis as a big-endian 32-bit integer, the values.

    Source: LeCun, Cortes & Burges, the MNIST database, http://yann.lecun.com/exdb/mnist/

    Raises:
        InputError: If the file cannot be read or has another format.

    """
    data = _read(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != IDX_UBYTE:
        raise InputError(f"{path} is not an IDX file of unsigned bytes; give the file as it was published")
    axes = data[3]
    start = 4 + 4 * axes
    shape = tuple(int(size) for size in np.frombuffer(data[4:start], ">u4")) if len(data) >= start else ()
    if len(shape) != axes or len(data) - start != int(np.prod(shape, dtype=np.int64)):
        raise InputError(f"{path} is cut off or too long for its header; fetch it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


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
        raise InputError(f"{path} is not a CIFAR binary file: its size is no multiple of {row}; fetch it again")
    rows = np.frombuffer(data, np.uint8).reshape(-1, row)
    return rows[:, label_bytes:].reshape(-1, 3, 32, 32), rows[:, label_bytes - 1].astype(np.int64)


def read_npz(path: Path | str) -> Arrays:
    """Return the arrays ``images`` (n, channels, height, width), bytes, and ``labels`` (n) of an ``.npz`` file.

    Raises:
        InputError: If the file cannot be read, holds pickled objects, or lacks one of the two.

    """
    try:
        with Path(path).open("rb") as data, np.load(data, allow_pickle=False) as file:
            images, labels = file["images"], file["labels"]
    except KeyError:
        raise InputError(f"{path} must hold the arrays 'images' and 'labels'") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; give an .npz file") from None
    except (ValueError, BadZipFile, EOFError, zlib.error, AttributeError, TypeError):
        raise InputError(f"{path} is not an .npz file of plain arrays; save it with numpy.savez") from None
    if images.dtype != np.uint8 or images.ndim != 4 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{path} must hold images of bytes (n, channels, height, width) and integer labels")
    if not images.size:
        raise InputError(f"{path} holds no images: their shape is {images.shape}")
    if labels.shape != images.shape[:1]:
        raise InputError(f"{path} holds {len(images)} images and labels of shape {labels.shape}; give one for each")
    return images, labels.astype(np.int64)


def read_folder(path: Path | str) -> tuple[Bytes, NDArray[np.int64], tuple[str, ...]]:
    """Return images (n, channels, height, width), labels and class names of a folder with one folder for each class.

    Folders whose names are all whole numbers hold the classes of these numbers; others are counted in the order of
    their names.  What begins with a dot is left out.

    Raises:
        InputError: If there is no image, an image cannot be read, or sizes differ.

    """
    root = Path(path)
    if not os.path.isdir(root):  # noqa: PTH112 -- Path.is_dir raises where a name is too long
        raise InputError(
            f"{path} is not a folder; give an .npz file, or a folder with a folder of images for each class"
        )
    classes = _classes(entry.name for entry in _entries(root) if entry.is_dir())
    files = [(image, label) for name, label in classes.items() for image in _entries(root / name)]
    found = [(read_image(image), label) for image, label in files if image.suffix.lower() in SUFFIXES]
    if not found:
        raise InputError(f"{path} holds no images; put them in one folder for each class")
    if len({image.shape for image, _ in found}) > 1:
        raise InputError(f"{path} holds images of different sizes; make them one size")
    return np.stack([image for image, _ in found]), np.array([label for _, label in found], np.int64), tuple(classes)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}") from None


def _classes(names: Iterable[str]) -> dict[str, int]:
    """Return the label of each class by its name."""
    ordered = sorted(names)
    if all(name.isascii() and name.isdigit() for name in ordered):
        return {name: int(name) for name in sorted(ordered, key=int)}
    return {name: label for label, name in enumerate(ordered)}


def read_image(path: Path | str) -> Bytes:
    """Return one image file as bytes (channels, height, width): one channel if it is grey, else three.

    Raises:
        InputError: If the file is not an image, or has more than 8 bits per channel.

    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode.startswith(DEEP):
                raise InputError(f"{path} has more than 8 bits per channel; save it with 8")
            array = np.asarray(image.convert("L" if image.mode in GREY else "RGB"))
    except InputError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        raise InputError(f"{path} is not an image that can be read; remove it or save it again") from None
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _read(path: Path | str) -> bytes:
    try:
        data = Path(path).read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise InputError(f"{path} is cut off or damaged; fetch it again") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
