"""Turn names into objects: models, data sets, threats and devices; attacks are in `attacks.py`."""

import importlib
import math
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quantattack.attacks.norms import norm_named
from quantattack.attacks.threat import Threat
from quantattack.cli.deployed import FileOptions
from quantattack.data.model_files import MODEL_FILES, ModelFile, is_model_file
from quantattack.data.sets import SETS, check_data, is_path
from quantattack.deployed.base import DeployedModel
from quantattack.deployed.load import is_file, relate
from quantattack.errors import InputError, unknown
from quantattack.nn.one_logit import OneLogit
from quantattack.nn.zoo import card_of, load_model, models
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
    """Return the data set that was given, else the one that the models were trained on; the digits where none says.

    Raises:
        InputError: If nothing has the given name, or the models were trained on several.
    """
    if given is not None:
        return data_named(given)
    own = sorted({_trained_on(model) for model in models if not _is_function(model)})
    if len(own) > 1:
        raise InputError(f"these models were trained on {', '.join(own)}; name the images' data set with --data")
    return data_named(own[0]) if own else "digits"


def _trained_on(model: str) -> str:
    """Return the data set that a model was trained on."""
    if is_model_file(model) and MODEL_FILES[model].data:
        return MODEL_FILES[model].data
    if is_file(model):
        raise InputError(f"{model} does not say what it was trained on; name the images' data set with --data")
    return card_of(model).data


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


def model_named(name: str, device: torch.device, options: FileOptions | None = None) -> nn.Module:
    """Return a model by its name in the zoo, its checkpoint's or deployed file's path, or `package.module:function`.

    Arguments:
        name: The name.
        device: Where the model is put; what runs a deployed file stays where it is.
        options: How a deployed file is opened, and whether networks have one logit; as the file says where None.

    Raises:
        InputError: If there is none, or the function fails or returns no `torch.nn.Module`.
    """
    asked = options or FileOptions()
    if is_file(name):
        return asked.file(name)().to(device)
    model = _made(name) if _is_function(name) else load_model(name)
    return (OneLogit(model) if asked.one_logit else model).to(device)


def relative_named(model: nn.Module, name: str, device: torch.device, options: FileOptions | None = None) -> nn.Module:
    """Return the float network that a model was made of by its name, and give it to the model where that is deployed.

    Arguments:
        model: The model.
        name: The float network's name, as `model_named` takes it.
        device: Where it is put.
        options: How a deployed file is opened; what neither they nor the file say of pixels is as in the model's file.
    """
    if is_file(name):
        asked = options or FileOptions()
        return relate(model, name, asked.meaning, asked.root).to(device)
    relative = model_named(name, device, options)
    if isinstance(model, DeployedModel):
        model.relate(relative, name)
    return relative


def _is_function(name: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name)) and not exists(name)


def _made(name: str) -> nn.Module:
    module, _, function = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        maker = getattr(importlib.import_module(module), function)
        model = maker()
    except (Exception, SystemExit) as error:  # the user's own code may fail in any way, and must not end this one
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the model {name} cannot be made: {type(error).__name__}: {reason}") from None
    if not isinstance(model, nn.Module):
        raise InputError(f"{name}() must return a torch.nn.Module, not {type(model).__name__}")
    return model


def model_rows() -> list[dict[str, Any]]:
    """Return what is known of each network of the zoo, and of each published model that is fetched."""
    carried = [{field.name: getattr(row, field.name) for field in fields(row)} for row in models()]
    return [row | {"where": "carried"} for row in carried] + [_file_row(model) for model in MODEL_FILES.values()]


def _file_row(model: ModelFile) -> dict[str, Any]:
    """What is known of a published model; its accuracy is what an evaluation finds."""
    root = os.environ.get("QUANTATTACK_DATA")
    path = model.path(Path(root)) if root else None
    return {
        "name": model.name,
        "data": model.data,
        "architecture": model.architecture,
        "quantizer": model.quantizer,
        "adversarial": False,
        "clean": None,
        "bytes": model.published.size,
        "where": "fetched" if path is not None and path.is_file() else "to fetch",
    }


def data_rows() -> list[dict[str, Any]]:
    """Return what is known of each data set."""
    return [{field.name: getattr(row, field.name) for field in fields(row)} for row in SETS.values()]
