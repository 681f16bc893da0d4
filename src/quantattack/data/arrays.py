"""Arrays of a user's own as images and labels: their layout, type and range are told by them, or asked for."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.data.readers import CLASSES, Bytes, Floats
from quantattack.errors import InputError, unknown
from quantattack.reading import shown

CHANNELS = (1, 3)  # of gray and of color images
LAYOUTS = ("nchw", "nhwc")


def as_images(images: NDArray[Any], path: Path | str, layout: str | None = None) -> Bytes | Floats:
    """Return images (n, channels, height, width) as bytes, or as float32 with pixels in [0, 1].

    Arguments:
        images: The array.
        path: The file that it comes from.
        layout: ``nchw`` or ``nhwc``; None for what the shape tells.

    Raises:
        InputError: If the array holds neither bytes nor pixels in [0, 1], or its shape allows two layouts.

    """
    if images.ndim < 2 or not (images.dtype == np.uint8 or np.issubdtype(images.dtype, np.floating)):
        raise InputError(
            f"{shown(path)} must hold images of bytes or of floats in [0, 1] (n, channels, height, width), not "
            f"{images.dtype} {images.shape}"
        )
    if images.dtype != np.uint8:
        _check_range(images, path)
        images = images.astype(np.float32)
    is_last = images.ndim == 4 and _layout(images.shape, path, layout) == "nhwc"
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if is_last else images


def _check_range(images: NDArray[Any], path: Path | str) -> None:
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{shown(path)} holds NaN or infinite pixels; clean the data first")
    if low >= 0 and high <= 1:
        return
    as_bytes = low >= 0 and high <= 255
    advice = "divide them by 255" if as_bytes else "undo their normalization, and state it for the model: --mean, --std"
    raise InputError(f"{shown(path)} holds pixels from {low:g} to {high:g}, which must lie in [0, 1]; {advice}")


def _layout(shape: tuple[int, ...], path: Path | str, layout: str | None) -> str:
    """Return the layout that is stated, else the one that the shape tells."""
    if layout is not None:
        if layout not in LAYOUTS:
            raise unknown("layout of images", layout, LAYOUTS)
        return layout
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first and last:
        raise InputError(
            f"{shown(path)} holds images of shape {shape}, whose channels may be first or last; "
            f"say which: --data '{shown(path)}[layout=nhwc]' or [layout=nchw]"
        )
    return "nhwc" if last else "nchw"


def as_labels(labels: NDArray[Any], count: int, path: Path | str) -> NDArray[np.int64]:
    """Return one class for each image; a column of them is taken too.

    Arguments:
        labels: The array.
        count: Number of images.
        path: The file that it comes from.

    Raises:
        InputError: If they are no whole numbers from 0 on, one for each image.

    """
    if labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels) == count:
        raise InputError(f"{shown(path)} holds labels of shape {labels.shape}; save their classes, labels.argmax(1)")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{shown(path)} must hold integer labels, not {labels.dtype}; classes are counted from 0")
    if labels.shape != (count,):
        raise InputError(f"{shown(path)} holds {count} images and labels of shape {labels.shape}; give one for each")
    if int(labels.min()) < 0 or int(labels.max()) >= CLASSES:
        hint = "; a split without labels has -1" if int(labels.min()) == -1 else ""
        raise InputError(f"{shown(path)} has a class outside 0 to {CLASSES - 1}; classes are counted from 0{hint}")
    return labels.astype(np.int64)
