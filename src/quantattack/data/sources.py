"""The sources of images of an evaluation: tensors, or a data set that is read on demand."""

import hashlib
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import Dataset

from quantattack.data.checksums import bytes_of
from quantattack.errors import InputError, guarded, one_line
from quantattack.gradients import ordinary
from quantattack.types import Images, Labels

_OPENED = "gets a first layer by load_model('my.py:model', {}), or by the option"
_OF_BYTES = f"; a model that takes 0 to 255 {_OPENED.format('range=(0, 255)')} --range 0,255"
_NORMALIZED = f"; a model that takes normalized pixels {_OPENED.format('mean=..., std=...')}s --mean and --std"
_LEVELS = 16  # a largest pixel above this is one of bytes
_NEAR = 0.01  # what resizing overshoots by
_MOST = 10**8  # images of a data set: a record is of each one
_ITEMS, _AT_ONCE = 1024, 64  # items of a `Dataset` that its checksum covers, and those read at a time


@runtime_checkable
class Source(Protocol):
    """Images and labels by position."""

    def __len__(self) -> int: ...

    def take(self, positions: Sequence[int]) -> tuple[Images, Labels]: ...

    def checksum(self) -> str: ...


@dataclass(frozen=True, eq=False)
class TensorSource:
    """Images and labels that are in memory."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.images)

    def take(self, positions: Sequence[int]) -> tuple[Images, Labels]:
        at = torch.as_tensor(list(positions), dtype=torch.long, device=self.images.device)
        return self.images[at], self.labels[at.to(self.labels.device)]

    def checksum(self) -> str:
        return digest({"images": self.images, "labels": self.labels})


@dataclass(frozen=True, eq=False)
class DatasetSource:
    """A data set that is read on demand; each item is an image tensor and a label."""

    dataset: Dataset[Any]
    low: float = 0.0
    high: float = 1.0

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def take(self, positions: Sequence[int]) -> tuple[Images, Labels]:
        pairs = [self._item(position) for position in positions]
        try:
            images = torch.stack([ordinary(torch.as_tensor(image)) for image, _ in pairs])
            labels = torch.tensor([operator.index(label) for _, label in pairs])
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"the data set's items must be (image tensor, whole label) of one shape: {one_line(error)}"
            ) from None
        check_images(images, self.low, self.high)
        return images, labels

    def _item(self, position: int) -> Any:
        with guarded("the data set", f"item {position} of {len(self)}"):
            return self.dataset[position]

    def checksum(self) -> str:
        """Return a digest of first image and last label, as ever, and one of many items at even distances, or all."""
        ends = [0, len(self) - 1]
        first, last = self.take(ends)
        count = min(len(self), _ITEMS)
        sha = hashlib.sha256()
        for start in range(0, count, _AT_ONCE):
            places = range(start, min(start + _AT_ONCE, count))
            images, labels = self.take([place * (len(self) - 1) // max(1, count - 1) for place in places])
            sha.update(digest({"images": images, "labels": labels}).encode())
        known = f"{type(self.dataset).__qualname__}:{len(self)}:{digest({'images': first, 'labels': last})}"
        return f"{known}:{sha.hexdigest()[:16]}"


@dataclass(frozen=True, eq=False)
class PartSource:
    """Consecutive images of a source.

    Arguments:
        whole: The source.
        first: Position of the first image.
        count: Number of images.
    """

    whole: Source
    first: int
    count: int

    def __len__(self) -> int:
        return self.count

    def take(self, positions: Sequence[int]) -> tuple[Images, Labels]:
        return self.whole.take([self.first + position for position in positions])

    def checksum(self) -> str:
        return f"{self.whole.checksum()}:{self.first}:{self.count}"


def source_of(images: Any, labels: Any, low: float = 0.0, high: float = 1.0) -> Source:
    """Return tensors or a `Dataset` as a source.

    Raises:
        InputError: If they are not images in the range, each with a label.
    """
    if isinstance(images, Source):
        return images
    if isinstance(images, Dataset):
        if labels is not None:
            raise InputError("a Dataset brings its own labels; give labels=None with it")
        with guarded("the length of the data set"):
            count = len(images) if hasattr(images, "__len__") else 0
        if not count:
            raise InputError("the data set is empty or has no length; give one with at least one image")
        if count > _MOST:
            raise InputError(f"the data set says that it has {count} images; give a Subset of at most {_MOST} of them")
        return DatasetSource(images, low, high)
    if labels is None:
        raise InputError("labels are missing; give one class number for each image")
    images, labels = as_tensor("images", images), as_tensor("labels", labels)
    check_images(images, low, high)
    check_labels(labels, len(images))
    return TensorSource(images, labels.long())


def as_tensor(name: str, values: Any) -> Tensor:
    """Return an array or a sequence as a tensor without a gradient, or refuse it by its name."""
    try:
        return torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{name} must be a tensor or an array, not {type(values).__name__}") from None


def check_images(images: Tensor, low: float = 0.0, high: float = 1.0) -> None:
    """Refuse anything but finite floating-point images in the range."""
    if not images.is_floating_point():
        advice = f"give images / 255{_OF_BYTES}" if images.dtype == torch.uint8 else "convert them, images.float()"
        raise InputError(f"images must be floating point in [{low:g}, {high:g}], not {images.dtype}; {advice}")
    if images.ndim < 2:
        raise InputError(f"images must have the shape (n, ...), not {tuple(images.shape)}; add the batch dimension")
    if not images.numel():
        raise InputError(f"there are no images: the shape is {tuple(images.shape)}")
    if not bool(torch.isfinite(images).all()):
        raise InputError("the images hold NaN or infinite pixels; clean the data first")
    least, most = float(images.amin()), float(images.amax())
    if least < low or most > high:
        raise InputError(
            f"pixels must lie in [{low:g}, {high:g}], these run from {least:g} to {most:g}; {_into_range(least, most)}"
        )


def _into_range(least: float, most: float) -> str:
    """Say what brings images that run from one number to another into [0, 1]."""
    if least > -_NEAR and most < 1 + _NEAR:
        return "give images.clamp(0, 1)"
    if least < 0:
        return f"undo their normalization{_NORMALIZED}"
    return f"give images / 255{_OF_BYTES}" if most > _LEVELS else f"give images / {most:g}"


def check_labels(labels: Tensor, count: int, name: str = "labels") -> None:
    """Refuse anything but one whole class number for each image."""
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(f"{name} must be whole class numbers, not {labels.dtype}")
    if tuple(labels.shape) != (count,):
        raise InputError(f"{name} must have the shape ({count},), one for each image, not {tuple(labels.shape)}")


def digest(tensors: Mapping[str, Any], salt: str = "") -> str:
    """Return the SHA-256 of named tensors, cut to 16 digits."""
    sha = hashlib.sha256(salt.encode())
    for name, tensor in tensors.items():
        for part in bytes_of(name, tensor):
            sha.update(part)
    return sha.hexdigest()[:16]
