"""Checks of the input of an evaluation; each failure is one line that says what is wrong and what to do."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from quantattack.attacks.arguments import takes
from quantattack.attacks.base import Attack, success_of
from quantattack.attacks.success import hits
from quantattack.attacks.threat import Threat, threats_in
from quantattack.attacks.wrappers import Toward
from quantattack.data.sources import Source, as_tensor, check_labels
from quantattack.errors import CallFailed, InputError, guarded, out_of_memory
from quantattack.evaluation.met import meeting
from quantattack.evaluation.models import CountedModel, check_rows, padded
from quantattack.evaluation.reach import modules_of, observing, training_layers, training_operations
from quantattack.gradients import called
from quantattack.types import Images, Indices, Labels, Logits, Model

ImageData: TypeAlias = Tensor | np.ndarray | Sequence[Any] | Dataset[Any] | Source  # what `evaluate` accepts as images
LabelData: TypeAlias = Tensor | np.ndarray | Sequence[int] | None

_CHANNELS = re.compile(r"to have (\d+) channels, but got (\d+) channels")  # as a convolution of torch refuses images
_COLORS = {"1": " (gray)", "3": " (color)"}
_OTHER = 24  # rows of a second trial batch
_LOOSE = 0.02  # of 1, by which probabilities in low precision may miss their sum
_VARIES, _ALIKE = 0.1, 0.01  # how much outputs differ between images, and how little of that their sums do
_MANY = 40  # outputs that all lie between 0 and 1
_SAME = 1e-6  # fraction of the radius by which two equal threats may differ


def check_classes(labels: Labels, classes: int) -> None:
    """Raise `InputError` if a label is not one of the model's classes."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(f"labels run from {low} to {high}, the model has classes 0 to {classes - 1}")


def check_model(model: object) -> None:
    """Raise `InputError` if the model is not callable, is in train mode where that matters, or still observes."""
    if not callable(model):
        raise InputError(f"the model must be a callable that maps images to logits, not {type(model).__name__}")
    if layers := training_layers(model):
        raise InputError(f"the model is in train mode ({_first(layers)}), so no number would hold; call its .eval()")
    if operations := training_operations(model):
        raise InputError(
            f"the program was exported in train mode ({_first(operations)}); export it in eval mode, "
            "or call torchao.quantization.pt2e.move_exported_model_to_eval(model)"
        )
    if observers := observing(model):
        raise InputError(
            f"the model's observers are on ({_first(observers)}), so it changes with what it is shown; switch them "
            "off with model.apply(disable_observer), of torch.ao or torchao, or convert the model"
        )


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


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


def toward(attacks: Mapping[str, Attack], targets: LabelData, index: Indices) -> Mapping[str, Attack]:
    """Return the attacks, each aimed at the images' target classes if there are any.

    Arguments:
        attacks: The attacks by name.
        targets: Wanted classes with shape (n,), in the order of the images; None for any wrong class.
        index: The images' indices in their data set, with shape (n,).

    Raises:
        InputError: If a targeted attack has no targets, another attack has, or they are no classes.
    """
    if targets is None:
        aimed = [name for name, attack in attacks.items() if success_of(attack) is hits]
        if aimed:
            raise InputError(f"the attack {aimed[0]!r} climbs toward its labels; say what it is to reach with targets")
        return attacks
    wanted = as_tensor("targets", targets).cpu()
    check_labels(wanted, len(index), "targets")
    named = dict(zip(index.tolist(), wanted.tolist(), strict=True))
    return {name: Toward(attack, named) for name, attack in attacks.items()}


def _is_same(carried: Threat, threat: Threat) -> bool:
    pairs = ((carried.radius, threat.radius), (carried.low, threat.low), (carried.high, threat.high))
    near = all(math.isclose(a, b, rel_tol=_SAME, abs_tol=_SAME * threat.radius) for a, b in pairs)
    same = (carried.norm, carried.levels, carried.each) == (threat.norm, threat.levels, threat.each)
    return near and same


def _description(threat: Threat) -> str:
    norm = type(threat.norm).__name__
    levels = "" if threat.levels is None else f" on {threat.levels} levels"
    size = f"{threat.radius:g}" if threat.each is None else threat.each.words
    return f"{norm} {size} in [{threat.low:g}, {threat.high:g}]{levels}"


def counted_model(
    model: Model, images: Images, batch_size: int | None = None, padding: bool = True
) -> tuple[CountedModel, Logits]:
    """Return the model as evaluations call it, and its logits on a few images.

    A model that does not take batches of any size, such as a graph of fixed size, is shown one image at a time, 16, or
    as many as `batch_size` says, if it takes these.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: A few images with shape (m, ...), where the model is.
        batch_size: The batch size that the caller asked for.
        padding: Whether batches may be padded.

    Raises:
        InputError: If the model takes none of these, or does not return finite logits, one row per image.
    """
    known = [module for _, module in modules_of(model)]
    with meeting(model, known, check_model, CountedModel):
        return _tried(model, images, batch_size, padding)


def _tried(model: Model, images: Images, batch_size: int | None, padding: bool) -> tuple[CountedModel, Logits]:
    counted = CountedModel(model, rows=None if padding else 0)
    try:
        logits = _answer(counted, images)
        if not padding or _takes_more(counted, images):
            return counted, logits
        return CountedModel(model, rows=len(padded(images))), logits
    except InputError as refused:
        for rows in {1, batch_size or 1}:
            fixed = CountedModel(model, rows=rows)
            with suppress(InputError):
                return fixed, _answer(fixed, images)
        raise refused from refused.__cause__


def _takes_more(counted: CountedModel, images: Images) -> bool:
    """Return whether a model takes another number of rows too; a graph of 16 rows takes no 24.

    Memory that ends says nothing of that, and batches are halved later.
    """
    try:
        with torch.no_grad():
            counted(images[:1].expand(_OTHER, *images.shape[1:]))
    except CallFailed:
        return False
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    return True


def first_logits(model: Callable[[Images], Any], images: Images) -> Logits:
    """Run a model on a few images and return its logits with shape (n, k), after checking them.

    Raises:
        InputError: If the model fails, or does not return finite logits, one row per image.
    """
    logits = _answer(model, images)
    check_no_probabilities(logits)
    return logits


def _answer(model: Callable[[Images], Any], images: Images) -> Logits:
    shape = tuple(images.shape[1:])
    try:
        with torch.no_grad(), guarded("the model"):
            logits = called(model, images)
    except CallFailed as failed:
        why = _why(failed.reason, shape)
        raise InputError(f"the model does not take images of shape {shape}: {why}") from failed.error
    check_logits(logits, len(images))
    return torch.as_tensor(logits)


def _why(reason: str, shape: tuple[int, ...]) -> str:
    """Return why a model does not take images, with what to do where torch's words tell it."""
    if len(shape) == 2:
        return "gray images have a channel too, (n, 1, height, width): give images[:, None]"
    if told := _CHANNELS.search(reason):
        takes, have = (f"{number}{_COLORS.get(number, '')}" for number in told.groups())
        last = "; if the file has them last, say [layout=nhwc] behind its name" if told[1] == str(shape[-1]) else ""
        return f"it takes {takes} channels, these have {have}; give such images, or name another model{last}"
    return reason


def check_no_probabilities(logits: Logits) -> None:
    """Raise `InputError` if every row is a probability distribution."""
    if are_probabilities(logits):
        raise InputError("the model returns probabilities; return logits: leave the softmax out")


def check_logits(logits: Any, rows: int) -> None:
    """Raise `InputError` unless the logits are finite, with one row per image and two or more classes."""
    check_rows(logits, rows)
    if logits.shape[1] < 2:
        raise InputError(
            "the model returns one class only; it must return a logit for each of two or more classes: "
            "torch.cat([-z, z], 1) of one sigmoid logit z, as OneLogit(model) and --one-logit do"
        )
    if not bool(torch.isfinite(logits).all()):
        raise InputError("the model returns NaN or infinite logits; fix the model first")


def are_probabilities(logits: Logits) -> bool:
    """Return whether every row is a probability distribution, also one of low precision or with a constant added.

    Its entries lie between 0 and 1, and the rows, which differ, sum to the same: to 1, or of three classes and more to
    any number, which logits do only by design.
    """
    low, high = float(logits.min()), float(logits.max())
    if low < 0 or high > 1 + _LOOSE:
        return False
    sums = logits.double().sum(1)
    if bool(((sums - 1).abs() < _LOOSE).all()):
        return True
    varies = float((logits.amax(0) - logits.amin(0)).max())
    return logits.shape[1] > 2 and varies > _VARIES and float(sums.max() - sums.min()) < _ALIKE * varies


def like_probabilities(logits: Logits) -> str | None:
    """Return a sentence where all of many outputs lie between 0 and 1, as a sigmoid's do; logits may too."""
    if logits.numel() < _MANY or float(logits.min()) < 0 or float(logits.max()) > 1:
        return None
    return (
        f"every output on {len(logits)} images lies between 0 and 1, as probabilities do; if a sigmoid or a softmax "
        "ends the model, leave it out: where it saturates, attacks see no gradient"
    )


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
