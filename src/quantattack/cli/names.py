"""Turn names into objects: models, data sets, threats and devices; attacks are in `attacks.py`."""

import math
import os
from collections.abc import Sequence
from dataclasses import fields
from inspect import getdoc, signature
from typing import Any

import torch
import typer
from torch import nn

from quantattack.attacks.adapters.models import in_eval_mode
from quantattack.attacks.norms import norm_named
from quantattack.attacks.threat import Threat
from quantattack.cli.deployed import FileOptions
from quantattack.data.model_files import MODEL_FILES, is_model_file
from quantattack.data.sets import SETS, check_data, is_path
from quantattack.deployed.base import DeployedModel
from quantattack.deployed.load import is_deployed_file, relate
from quantattack.errors import InputError, unknown
from quantattack.evaluation.reach import training_layers
from quantattack.models.hints import no_model
from quantattack.models.load import OpenedModel, is_own, open_model
from quantattack.models.python import SOURCE
from quantattack.nn import zoo
from quantattack.nn.architectures import ARCHITECTURES
from quantattack.nn.checkpoints import Card
from quantattack.nn.one_logit import OneLogit
from quantattack.nn.quantizers.names import KINDS, settings_of
from quantattack.nn.zoo import models
from quantattack.reading import exists

DEVICES = ("cpu", "cuda", "mps", "xpu")


def threat_named(norm: str, radius: str | None, data: str, levels: int | None = None) -> list[Threat]:
    """Return the threats of a norm's name and a comma-separated list of radii; the data set's own radius if none.

    Arguments:
        norm: The norm's name.
        radius: The radii, each a number or one for each channel, a:b:c; None for the data set's own.
        data: The data set.
        levels: The number of values that a pixel can have; None for any real number.
    """
    measure = norm_named(norm)
    if radius is None and is_path(data):
        raise InputError(f"{data} has no usual radius; give one, such as 8/255")
    texts = [str(SETS[data].radius(norm))] if radius is None else [item.strip() for item in radius.split(",")]
    return [Threat(measure, radius_of(text), levels=levels) for text in dict.fromkeys(texts)]


def threat_of_data(data: str) -> Threat:
    """Return a data set's usual threat under Linf; 8/255 where it has none."""
    return Threat(norm_named("linf"), 8 / 255) if is_path(data) else threat_named("linf", None, data)[0]


def radius_of(text: str) -> float | list[list[list[float]]]:
    """Return the radius of a text like 8/255, or that of each channel of one like 8/255:4/255:0."""
    parts = [number(part.strip()) for part in text.split(":")]
    return parts[0] if len(parts) == 1 else [[[part]] for part in parts]


def number(text: str, name: str = "the radius") -> float:
    """Return the number of a text like 0.03 or 8/255; `name` is what it is the number of."""
    try:
        return number_of(text)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"{name} must be a positive number like 0.03 or 8/255, not {text!r}") from None


def number_of(text: str) -> float:
    """Return the number of a text like 0.03 or 8/255, and raise what Python does where it is none."""
    if not text.isascii() or "_" in text:  # float() takes the digits of every script, and underscores
        raise ValueError("not in ASCII digits")
    over, slash, under = text.partition("/")
    value = float(over) / float(under) if slash else float(over)
    if not math.isfinite(value):
        raise OverflowError
    return value


def whole_of(text: str) -> int:
    """Return the whole number of a text like 40, and raise what Python does where it is none."""
    if not text.isascii() or "_" in text:  # int() takes the digits of every script, and underscores
        raise ValueError("not in ASCII digits")
    return int(text)


def data_named(name: str) -> str:
    """Return a data set's name or the path of your own images, in its shortest form, after checking it."""
    check_data(name, "test")
    short = os.path.normpath(name)
    return short if is_path(short) else name


def deviation(data: str) -> tuple[float, ...]:
    """Return the standard deviation of each channel of a data set; unknown for your own images."""
    if data not in SETS:
        raise InputError(f"the deviation of {data} is not known; take pixel as the unit in place of normalized")
    return SETS[data].std


def data_for(given: str | None, models: Sequence[str]) -> str:
    """Return the data set that was given, else the one that the models were trained on.

    Raises:
        InputError: If nothing has the given name, or the models were trained on several, or do not say on which.
    """
    if given is not None:
        return data_named(given)
    own = sorted({_trained_on(model) for model in models})
    if len(own) > 1:
        raise InputError(f"these models were trained on {', '.join(own)}; name the images' data set with --data")
    return data_named(own[0])


def _trained_on(model: str) -> str:
    """Return the data set that a model was trained on."""
    if is_model_file(model) and MODEL_FILES[model].data:
        return MODEL_FILES[model].data
    if is_deployed_file(model) or is_own(model):
        raise InputError(f"{model} does not say what it was trained on; name the images' data set with --data")
    if model not in zoo.names() and (not exists(model) or model.endswith(SOURCE)):
        raise no_model(model)
    return zoo.card_of(model).data


def card_named(name: str) -> Card | None:
    """Return what a network's checkpoint states about it; None for a model without a checkpoint of ours.

    Arguments:
        name: The model's name, as `model_named` takes it.
    """
    return None if is_deployed_file(name) or is_own(name) else zoo.card_of(name)


def device_named(name: str) -> torch.device:
    """Return a device by name, if this machine has it."""
    kind = name.partition(":")[0]
    if kind not in DEVICES:
        raise unknown("device", name, DEVICES)
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"the device {name} is unavailable: {str(error).splitlines()[0]}") from None


def model_named(name: str, device: torch.device, options: FileOptions | None = None, quiet: bool = False) -> nn.Module:
    """Return a model by its name, and print a line on what was found in its files.

    Arguments:
        name: A name as `load_model` takes it.
        device: Where the model is put; what runs a deployed file stays where it is.
        options: How the model is opened, and whether networks have one logit; as its file says where None.
        quiet: Whether nothing is printed, as where other processes open it once more.

    Raises:
        InputError: If nothing has the name, or what has it cannot be used.
    """
    asked = options or FileOptions()
    if is_deployed_file(name):
        return asked.file(name)().to(device)
    found = opened(name, asked)
    for note in () if quiet else found.notes:
        typer.echo(f"note: {note}", err=True)
    return (OneLogit(found.model) if asked.one_logit else found.model).to(device)


def relative_named(model: nn.Module, name: str, device: torch.device, options: FileOptions | None = None) -> nn.Module:
    """Return the float network that a model was made of by its name, and give it to the model where that is deployed.

    Arguments:
        model: The model.
        name: The float network's name, as `model_named` takes it.
        device: Where it is put.
        options: How a deployed file is opened; what neither they nor the file say of pixels is as in the model's file.
    """
    if is_deployed_file(name):
        asked = options or FileOptions()
        return relate(model, name, asked.meaning, asked.root).to(device)
    relative = model_named(name, device, options)
    if isinstance(model, DeployedModel):
        model.relate(relative, name)
    return relative


def opened(name: str, options: FileOptions) -> OpenedModel:
    """Return a network that is no deployed file by its name, in eval mode, with lines on what was found in its files.

    Arguments:
        name: The name.
        options: How networks are opened.
    """
    found = open_model(name, options.meaning, options.architecture)
    if training_layers(found.model):
        found.notes.append(f"{name} was in train mode; it is put in eval mode")
    in_eval_mode(found.model)
    return found


def model_rows() -> list[dict[str, Any]]:
    """Return what is known of each network of the zoo."""
    return [{field.name: getattr(row, field.name) for field in fields(row)} | {"where": "carried"} for row in models()]


def data_rows() -> list[dict[str, Any]]:
    """Return what is known of each data set."""
    return [{field.name: getattr(row, field.name) for field in fields(row)} for row in SETS.values()]


def quantizer_rows() -> list[dict[str, Any]]:
    """Return what is known of each quantizer: its name as recipes take it, what it quantizes, and its settings."""
    named = [(kind, quantizer) for kind, quantizers in KINDS.items() for quantizer in quantizers]
    return [
        {"name": each.__name__, "for": kind, "settings": settings_of(each), "about": _summary_of(each)}
        for kind, each in named
    ]


def architecture_rows() -> list[dict[str, Any]]:
    """Return each architecture's name, its settings with their defaults, and what it is."""
    return [
        {"name": name, "settings": _defaults(build), "about": _summary_of(build)}
        for name, build in ARCHITECTURES.items()
    ]


def _defaults(build: Any) -> dict[str, Any]:
    return {name: one.default for name, one in signature(build).parameters.items() if one.default is not one.empty}


def _summary_of(part: Any) -> str:
    return (getdoc(part) or "").partition("\n")[0]
