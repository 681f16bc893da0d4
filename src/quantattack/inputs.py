"""What may be evaluated: every wrong input is one line that says what is wrong and what to do."""

import hashlib
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from quantattack.attacks.ascent import takes
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.hosting import check_rows
from quantattack.shapes import Images, Indices, Labels, Logits, Model


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
    """A data set that is read as it is needed; each item is an image tensor and a label."""

    dataset: Dataset[Any]
    low: float = 0.0
    high: float = 1.0

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def take(self, positions: Sequence[int]) -> tuple[Images, Labels]:
        pairs = [self.dataset[position] for position in positions]
        try:
            images = torch.stack([torch.as_tensor(image) for image, _ in pairs])
            labels = torch.tensor([operator.index(label) for _, label in pairs])
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"the data set's items must be (image tensor, whole label) of one shape: {error}"
            ) from None
        check_images(images, self.low, self.high)
        return images, labels

    def checksum(self) -> str:
        first, last = self.take([0, len(self) - 1])
        return f"{type(self.dataset).__qualname__}:{len(self)}:{digest({'images': first, 'labels': last})}"


@dataclass(frozen=True, eq=False)
class PartSource:
    """Consecutive images of a source.

    Arguments:
        whole: The source.
        first: The first of them.
        count: How many.
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


def source_of(images: Any, labels: Any, threat: Threat) -> Source:
    """Return tensors or a `Dataset` as a source.

    Raises:
        InputError: If they are not images in the range with a label each.
    """
    if isinstance(images, Source):
        return images
    if isinstance(images, Dataset):
        if labels is not None:
            raise InputError("a Dataset brings its own labels; give labels=None with it")
        if not hasattr(images, "__len__") or len(images) == 0:
            raise InputError("the data set is empty or has no length; give one with at least one image")
        return DatasetSource(images, threat.low, threat.high)
    if labels is None:
        raise InputError("labels are missing; give one class number for each image")
    images, labels = _tensor("images", images), _tensor("labels", labels)
    check_images(images, threat.low, threat.high)
    check_labels(labels, len(images))
    return TensorSource(images, labels.long())


def _tensor(name: str, values: Any) -> Tensor:
    try:
        return torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{name} must be a tensor or an array, not {type(values).__name__}") from None


def check_images(images: Tensor, low: float = 0.0, high: float = 1.0) -> None:
    """Refuse anything but finite floating-point images in the range."""
    if not images.is_floating_point():
        raise InputError(f"images must be floating point in [{low:g}, {high:g}], not {images.dtype}; divide by 255?")
    if images.ndim < 2:
        raise InputError(f"images must have the shape (n, ...), not {tuple(images.shape)}; add the batch dimension")
    if not images.numel():
        raise InputError(f"there are no images: the shape is {tuple(images.shape)}")
    if not bool(torch.isfinite(images).all()):
        raise InputError("the images hold NaN or infinite pixels; clean the data first")
    least, most = float(images.amin()), float(images.amax())
    if least < low or most > high:
        raise InputError(
            f"pixels must lie in [{low:g}, {high:g}], these run from {least:g} to {most:g}; "
            "make the normalization a layer of the model"
        )


def check_labels(labels: Tensor, count: int) -> None:
    """Refuse anything but one whole class number for each image."""
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(f"labels must be whole class numbers, not {labels.dtype}")
    if tuple(labels.shape) != (count,):
        raise InputError(f"labels must have the shape ({count},), one for each image, not {tuple(labels.shape)}")


def check_classes(labels: Labels, classes: int) -> None:
    """Refuse labels that the model has no logit for."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(f"labels run from {low} to {high}, the model has classes 0 to {classes - 1}")


def check_model(model: Any) -> None:
    """Refuse what cannot be called, and a model in train mode."""
    if not callable(model):
        raise InputError(f"the model must be a callable that maps images to logits, not {type(model).__name__}")
    if isinstance(model, nn.Module) and any(part.training for part in model.modules()):
        raise InputError("the model is in train mode, so BatchNorm and dropout depend on the batch; call model.eval()")


def check_attacks(attacks: Any) -> None:
    """Refuse anything but a mapping from names to attacks with at least one."""
    if not isinstance(attacks, Mapping) or not attacks:
        raise InputError("attacks must be a mapping from names to attacks with at least one, {'pgd': pgd(threat)}")
    for name, attack in attacks.items():
        if (
            not isinstance(name, str)
            or not callable(attack)
            or isinstance(attack, type)
            or not (takes(attack, 6) or takes(attack, 3))
        ):
            raise InputError(f"the attack {name!r} is no attack: it must be called as attack(model, images, labels)")


def first_logits(model: Callable[[Images], Any], images: Images) -> Logits:
    """Show a model its first images and check what comes back.

    Raises:
        InputError: If it fails, or returns anything but finite logits, one row an image.
    """
    shape = tuple(images.shape[1:])
    try:
        with torch.no_grad():
            logits = model(images)
    except InputError:
        raise
    except Exception as error:  # a model may fail in any way
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"the model does not take images of shape {shape}: {reason}") from None
    check_logits(logits, len(images))
    _refuse_probabilities(logits)
    return torch.as_tensor(logits)


def check_logits(logits: Any, rows: int) -> None:
    """Refuse anything but finite logits of two or more classes with one row an image."""
    check_rows(logits, rows)
    if logits.shape[1] < 2:
        raise InputError("the model returns one class only; it must return a logit for each of two or more classes")
    if not bool(torch.isfinite(logits).all()):
        raise InputError("the model returns NaN or infinite logits; mend the model first")


def _refuse_probabilities(logits: Logits) -> None:
    positive, sums = bool((logits >= 0).all()), logits.sum(1)
    if positive and bool(((sums - 1).abs() < 1e-3).all()):
        raise InputError("the model returns probabilities; return logits: leave the softmax out")


def positions_of(indices: Any, count: int) -> Indices:
    """Return each image's index in its data set: its position where none are given."""
    if indices is None:
        return torch.arange(count)
    index = _tensor("indices", indices).cpu()
    whole = not index.is_floating_point() and tuple(index.shape) == (count,)
    if not whole or len(set(index.tolist())) != count or int(index.min()) < 0:
        raise InputError("indices must be different whole numbers from 0 on, one for each image")
    return index.long()


def model_checksum(model: Model) -> str:
    """Return a checksum of a model's layers, parameters and buffers."""
    if not isinstance(model, nn.Module):
        return getattr(model, "__qualname__", type(model).__qualname__)
    return digest({**model.state_dict(), **dict(model.named_buffers())}, repr(model))


def digest(tensors: Mapping[str, Any], salt: str = "") -> str:
    """Return the SHA-256 of named tensors, cut to 16 digits."""
    sha = hashlib.sha256(salt.encode())
    for name, tensor in tensors.items():
        if isinstance(tensor, Tensor):
            sha.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
            sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()[:16]
