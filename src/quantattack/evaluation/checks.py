"""What may be evaluated: every wrong input is one line that says what is wrong and what to do."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from quantattack.attacks.base import takes
from quantattack.data.sources import as_tensor
from quantattack.errors import InputError
from quantattack.evaluation.models import check_rows
from quantattack.types import Images, Indices, Labels, Logits


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
    if are_probabilities(logits):
        raise InputError("the model returns probabilities; return logits: leave the softmax out")
    return torch.as_tensor(logits)


def check_logits(logits: Any, rows: int) -> None:
    """Refuse anything but finite logits of two or more classes with one row an image."""
    check_rows(logits, rows)
    if logits.shape[1] < 2:
        raise InputError("the model returns one class only; it must return a logit for each of two or more classes")
    if not bool(torch.isfinite(logits).all()):
        raise InputError("the model returns NaN or infinite logits; mend the model first")


def are_probabilities(logits: Logits) -> bool:
    """Return whether every row is a distribution over the classes: no entry negative, the sum one."""
    return bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-3).all())


def positions_of(indices: Any, count: int) -> Indices:
    """Return each image's index in its data set: its position where none are given."""
    if indices is None:
        return torch.arange(count)
    index = as_tensor("indices", indices).cpu()
    whole = not index.is_floating_point() and tuple(index.shape) == (count,)
    if not whole or len(set(index.tolist())) != count or int(index.min()) < 0:
        raise InputError("indices must be different whole numbers from 0 on, one for each image")
    return index.long()
