"""Checks of the input of an evaluation; each failure is one line that says what is wrong and what to do."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from quantattack.attacks.base import Attack, takes
from quantattack.attacks.threat import Threat
from quantattack.data.sources import Source, as_tensor
from quantattack.errors import InputError
from quantattack.evaluation.models import check_rows
from quantattack.types import Images, Indices, Labels, Logits

ImageData: TypeAlias = Tensor | np.ndarray | Sequence[Any] | Dataset[Any] | Source  # what `evaluate` accepts as images
LabelData: TypeAlias = Tensor | np.ndarray | Sequence[int] | None

_SAME = 1e-6  # fraction of the radius by which two equal threats may differ


def check_classes(labels: Labels, classes: int) -> None:
    """Raise `InputError` if a label is not one of the model's classes."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(f"labels run from {low} to {high}, the model has classes 0 to {classes - 1}")


def check_model(model: object) -> None:
    """Raise `InputError` if the model is not callable or is in train mode."""
    if not callable(model):
        raise InputError(f"the model must be a callable that maps images to logits, not {type(model).__name__}")
    if isinstance(model, nn.Module) and any(module.training for module in model.modules()):
        raise InputError("the model is in train mode, so BatchNorm and dropout depend on the batch; call model.eval()")


def check_attacks(attacks: object) -> None:
    """Raise `InputError` if the attacks are not a non-empty mapping from names to attacks.

    An attack takes either the six arguments of `Attack` or, from another library, (model, images, labels).
    """
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


def check_threats(attacks: Mapping[str, Attack], threat: Threat) -> None:
    """Check that every attack, and every attack nested in it, was built for the threat of the evaluation.

    Raises:
        InputError: If a norm, a radius, a pixel range or the levels differ.
    """
    for name, attack in attacks.items():
        for carried in threats_in(attack):
            if not _is_same(carried, threat):
                raise InputError(
                    f"the attack {name!r} is made for {_description(carried)}, "
                    f"the judge's threat is {_description(threat)}; make both from one threat"
                )


def threats_in(setting: object) -> Iterator[Threat]:
    """Yield every `Threat` among an attack's settings, those of nested attacks included."""
    if isinstance(setting, Threat):
        yield setting
        return
    nested: Iterable[object] = ()
    if is_dataclass(setting) and not isinstance(setting, type):
        nested = [getattr(setting, field.name) for field in fields(setting)]
    elif isinstance(setting, Mapping):
        nested = setting.values()
    elif isinstance(setting, tuple | list):
        nested = setting
    for value in nested:
        yield from threats_in(value)


def _is_same(carried: Threat, threat: Threat) -> bool:
    pairs = ((carried.radius, threat.radius), (carried.low, threat.low), (carried.high, threat.high))
    near = all(math.isclose(a, b, rel_tol=_SAME, abs_tol=_SAME * threat.radius) for a, b in pairs)
    return near and carried.norm == threat.norm and carried.levels == threat.levels


def _description(threat: Threat) -> str:
    norm = type(threat.norm).__name__
    levels = "" if threat.levels is None else f" on {threat.levels} levels"
    return f"{norm} {threat.radius:g} in [{threat.low:g}, {threat.high:g}]{levels}"


def first_logits(model: Callable[[Images], Any], images: Images) -> Logits:
    """Run a model on a few images and return its logits with shape (n, k), after checking them.

    Raises:
        InputError: If the model fails, or does not return finite logits, one row per image.
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
    """Raise `InputError` unless the logits are finite, with one row per image and two or more classes."""
    check_rows(logits, rows)
    if logits.shape[1] < 2:
        raise InputError("the model returns one class only; it must return a logit for each of two or more classes")
    if not bool(torch.isfinite(logits).all()):
        raise InputError("the model returns NaN or infinite logits; fix the model first")


def are_probabilities(logits: Logits) -> bool:
    """Return whether every row is a probability distribution: no negative entry, and a sum of 1."""
    return bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-3).all())


def dataset_indices(indices: LabelData, count: int) -> Indices:
    """Return each image's index in its data set with shape (n,): 0 to n - 1 if `indices` is None.

    Raises:
        InputError: If the indices are not n different whole numbers from 0 on.
    """
    if indices is None:
        return torch.arange(count)
    index = as_tensor("indices", indices).cpu()
    is_valid = not index.is_floating_point() and tuple(index.shape) == (count,)
    if not is_valid or len(set(index.tolist())) != count or int(index.min()) < 0:
        raise InputError("indices must be different whole numbers from 0 on, one for each image")
    return index.long()
