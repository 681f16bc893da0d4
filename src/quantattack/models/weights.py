"""Networks from weights alone: a safetensors file, and the architecture that they belong to by its name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as parse
from torch import Tensor, nn

from quantattack.deployed.pixels import Pixels
from quantattack.errors import InputError, unknown
from quantattack.models.hugging_face import few
from quantattack.models.python import is_python, python_model
from quantattack.nn.architectures import ARCHITECTURES, build
from quantattack.nn.checkpoints import KEY
from quantattack.nn.zoo import SUFFIX
from quantattack.reading import first_line, is_file, name_and_settings, parsing, read_bytes, shown

_TIMM = "timm:"
_WRAPPED = ("module.", "_orig_mod.", "model.", "net.")  # what training loops put before every name
_MOST_HEADER = 100_000_000  # bytes, of the format
_ADVICE = "save it with safetensors.torch.save_file(model.state_dict(), path)"


def is_weights(name: str) -> bool:
    """Return whether a path is a safetensors file that does not state its network."""
    return Path(name).suffix.lower() == SUFFIX and is_file(name) and KEY not in _metadata(name)


def _metadata(name: str) -> Mapping[str, Any]:
    """Return the metadata of a safetensors file; the key of a checkpoint where the file is damaged, which says more."""
    try:
        with Path(name).open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            text = file.read(min(_MOST_HEADER, size))
        header = json.loads(text) if len(text) == size else None
        return dict(header.get("__metadata__") or {}) if isinstance(header, dict) else {KEY: ""}
    except (OSError, ValueError, RecursionError):
        return {KEY: ""}


def weights_model(path: str, architecture: str | nn.Module | None) -> tuple[nn.Module, Pixels]:
    """Return a network with the weights of a file, in eval mode, and what is known of its pixels.

    Arguments:
        path: A safetensors file of tensors by their names in the network.
        architecture: One of ours with its settings in brackets, `timm:NAME`, or a class or function of your own as
            file.py:name; or the network itself.

    Raises:
        InputError: If the architecture is unknown or missing, or the weights do not fit it.
    """
    if architecture is None:
        raise InputError(
            f"{shown(path)} holds weights without their network; "
            "name it with --architecture: lenet, timm:NAME, or my.py:Class of your own"
        )
    model = architecture if isinstance(architecture, nn.Module) else _built(architecture)
    text = type(architecture).__name__ if isinstance(architecture, nn.Module) else architecture
    data = read_bytes(path, "a file of weights", _ADVICE)
    with parsing(path, "a file of weights", _ADVICE):
        tensors = parse(data)
    _fill(model, tensors, f"{shown(path)} does not fit {text}")
    return model.eval(), _known_pixels(model)


def _built(text: str) -> nn.Module:
    name, settings = name_and_settings("architecture", text)
    if name.startswith(_TIMM):
        return _from_timm(name.removeprefix(_TIMM), settings)
    if is_python(name):
        return python_model(name, settings)
    if name not in ARCHITECTURES:
        raise unknown("architecture", name, [*ARCHITECTURES, f"{_TIMM}NAME", "my.py:Class"])
    return build(name, settings)


def _from_timm(name: str, settings: Mapping[str, Any]) -> nn.Module:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # a torchvision of another torch raises the second
        raise InputError(f"timm cannot be imported ({first_line(error)}): pip install timm torchvision") from None
    if name not in timm.list_models():
        raise unknown("architecture of timm", name, timm.list_models())
    try:
        model: nn.Module = timm.create_model(name, pretrained=False, **settings)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"architecture {_TIMM}{name} cannot be built: {first_line(error)}") from None
    return model


def _known_pixels(model: nn.Module) -> Pixels:
    """Return the normalization of timm's configuration; that of pixels from 0 to 1 for any other network."""
    known = getattr(model, "pretrained_cfg", None) or {}
    if isinstance(known, Mapping) and {"mean", "std"} <= set(known):
        return Pixels(mean=tuple(known["mean"]), std=tuple(known["std"]))
    return Pixels()


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load tensors into a network, or say in one line which do not fit."""
    wanted = model.state_dict()
    given = _unwrapped(tensors, wanted)
    optional = {name for name in wanted if name.endswith("num_batches_tracked")}  # read in train mode alone
    missing = [name for name in wanted if name not in given and name not in optional]
    unexpected = [name for name in given if name not in wanted]
    others = [
        f"{name} is {_size(given[name])} for {_size(wanted[name])}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    named = {"missing": missing, "unexpected": unexpected, "of another shape": others}
    if wrong := [f"{kind} {few(names)}" for kind, names in named.items() if names]:
        raise InputError(f"{what}: {'; '.join(wrong)}; give the architecture's settings in brackets, or another one")
    with torch.no_grad():
        model.load_state_dict(dict(given), strict=False)


def _unwrapped(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return tensors without what a training loop put before all their names."""
    for prefix in _WRAPPED:
        has, wants = (sum(name.startswith(prefix) for name in names) for names in (tensors, wanted))
        if 0 < has == len(tensors) and not wants:
            return _unwrapped({name.removeprefix(prefix): tensor for name, tensor in tensors.items()}, wanted)
    return tensors


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
