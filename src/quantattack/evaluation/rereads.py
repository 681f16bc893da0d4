"""Whether an image of a data set is the same when it is read again: its clean prediction and its attack are of one."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from quantattack.errors import InputError
from quantattack.types import Images, Indices, Labels


def digests(images: Images, labels: Labels) -> np.ndarray:
    """Return a digest of each image with its label, as whole numbers with shape (n,).

    Arguments:
        images: Images with shape (n, ...).
        labels: Their classes with shape (n,).
    """
    rows = images.detach().cpu().contiguous().flatten(1).view(torch.uint8).numpy()
    classes = labels.detach().cpu().long().contiguous().numpy()
    return np.array([_digest(row, label) for row, label in zip(rows, classes, strict=True)], dtype=np.uint64)


def _digest(row: np.ndarray, label: np.int64) -> int:
    sha = hashlib.blake2b(row.data, digest_size=8)
    sha.update(label.tobytes())
    return int.from_bytes(sha.digest(), "little")


def check_same_images(index: Indices, clean: np.ndarray | None, again: np.ndarray | None, at: Sequence[int]) -> None:
    """Refuse images that were others when the model predicted them unattacked.

    Arguments:
        index: The images' indices in the data set, by position.
        clean: Their digests when they were predicted, by position; None to compare nothing.
        again: The digests of some, read again; None to compare nothing.
        at: The positions of those.

    Raises:
        InputError: If an image or a label differs.
    """
    if clean is None or again is None:
        return
    others = np.flatnonzero(clean[list(at)] != again)
    if len(others):
        first, share = int(index[at[int(others[0])]]), f"{len(others)} of {len(again)}"
        raise InputError(
            f"the data set gives another image or label when image {first} is read again ({share} images): "
            "leave random transforms out, and change no image while it is attacked"
        )
