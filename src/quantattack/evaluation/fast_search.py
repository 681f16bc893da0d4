"""Faster relatives of a model for the search alone: what they find counts only if the model as given confirms it."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from quantattack.errors import InputError, unknown
from quantattack.nn.convert import freeze
from quantattack.types import Images, Logits, Model

_NEAR = 1e-3  # of the largest logit: how far a rearranged network may be from the one as given


@dataclass(frozen=True)
class FastSearch:
    """How the search may differ from the model as given; each is a setting of the run and stands in its record.

    Arguments:
        fold: Make quantized weights once, and fold BatchNorm into the convolution before it.
        channels_last: Lay images and weights out with the channels last.
        bfloat16: Search in bfloat16 first, the last layer and the loss in float32; what it does not break is searched
            once more in float32.
        compile: Have `torch.compile` make the network's code.
    """

    fold: bool = False
    channels_last: bool = False
    bfloat16: bool = False
    compile: bool = False

    @classmethod
    def named(cls, names: list[str]) -> "FastSearch":
        """Return the options of a list of names.

        Raises:
            InputError: If there is no such option.
        """
        known = [field.name for field in fields(cls)]
        given = [name.strip().replace("-", "_") for name in names]
        for name in given:
            if name not in known:
                raise unknown("speed option", name, known)
        return cls(**dict.fromkeys(given, True))

    @property
    def names(self) -> list[str]:
        """The options that are on."""
        return [field.name for field in fields(self) if getattr(self, field.name)]


def faster_models(model: Model, speed: FastSearch, sample: Images) -> list[nn.Module]:
    """Return the models that are searched one after the other before the model as given, fastest first.

    Arguments:
        model: The model as given; it is left as it is.
        speed: What may differ.
        sample: A few images, from which the order of the layers is learned.

    Raises:
        InputError: If the model is no `torch.nn.Module`, or is another one after it is rearranged.
    """
    if speed == FastSearch():
        return []
    if not isinstance(model, nn.Module):
        raise InputError("the speed options copy the model, so it must be a torch.nn.Module, not a plain callable")
    fast = freeze(model) if speed.fold else copy.deepcopy(model)
    fast.requires_grad_(False)
    if speed.fold:
        fold(fast, sample)
    if speed.channels_last:
        fast = ChannelsLast(fast)
    _check_same(model, fast, sample)
    exact = [_compiled(fast, speed)] if speed.fold or speed.channels_last or speed.compile else []
    return [_compiled(InBfloat16(copy.deepcopy(fast), sample), speed), *exact] if speed.bfloat16 else exact


def _check_same(model: nn.Module, fast: nn.Module, sample: Images) -> None:
    with torch.no_grad():
        given, faster = model(sample).double(), fast(sample).double()
    if not bool(((given - faster).abs().amax() <= _NEAR * given.abs().amax().clamp_min(1e-12)).all()):
        raise InputError("the rearranged network says something else than the one given; leave the speed options out")


def _compiled(model: nn.Module, speed: FastSearch) -> nn.Module:
    compiled: Any = torch.compile(model, dynamic=True) if speed.compile else model
    return compiled if isinstance(compiled, nn.Module) else model


def fold(model: nn.Module, sample: Images) -> int:
    """Fold each BatchNorm into the plain convolution whose output alone it takes, in place; return how many.

    Which output goes where is seen in one forward pass, so that the module's code need not be understood.

    Arguments:
        model: A network in eval mode.
        sample: A few images.
    """
    pairs = _norms_after_convolutions(model, sample)
    for norm, conv in pairs.items():
        layers: Any = model.get_submodule(conv), model.get_submodule(norm)
        _put(model, conv, fuse_conv_bn_eval(*layers))
        _put(model, norm, nn.Identity())
    return len(pairs)


def _norms_after_convolutions(model: nn.Module, sample: Images) -> dict[str, str]:
    """Return the names of BatchNorms that are called once, each with that of the convolution whose output it takes."""
    made, pairs, calls = dict[int, str](), dict[str, str](), dict[str, int]()
    held = list[tuple[tuple[Tensor, ...], Tensor]]()

    def look(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[name] = calls.get(name, 0) + 1
        if type(module) is nn.BatchNorm2d and id(inputs[0]) in made:
            pairs[name] = made[id(inputs[0])]
        if type(module) is nn.Conv2d:
            made[id(output)] = name
        held.append((inputs, output))  # a tensor that is kept keeps its id

    leaves = {name: module for name, module in model.named_modules() if not list(module.children())}
    with _watching(leaves, look), torch.no_grad():
        model(sample)
    return {norm: conv for norm, conv in pairs.items() if calls[norm] == calls[conv] == 1}


@contextmanager
def _watching(modules: Mapping[str, nn.Module], look: Callable[..., None]) -> Iterator[None]:
    """Call a function with each module's name, itself, its inputs and its output, whenever it is called."""
    hooks = [module.register_forward_hook(partial(look, name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


class ChannelsLast(nn.Module):
    """A network whose images and weights lie with the channels last.

    Arguments:
        model: The network; its weights are laid out anew.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: nn.Module = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval()

    def forward(self, images: Images) -> Logits:
        shown = images.contiguous(memory_format=torch.channels_last) if images.ndim == 4 else images
        logits: Tensor = self.model(shown)
        return logits


class InBfloat16(nn.Module):
    """A network under autocast to bfloat16, but for its last layer and what follows.

    Arguments:
        model: The network; its last layer is wrapped.
        sample: A few images, from which the last layer is learned.
    """

    def __init__(self, model: nn.Module, sample: Images) -> None:
        super().__init__()
        name = last_layer(model, sample)
        _put(model, name, InFloat32(model.get_submodule(name)))
        self.model = model
        self.eval()

    def forward(self, images: Images) -> Logits:
        with torch.autocast(images.device.type, torch.bfloat16):
            logits: Tensor = self.model(images)
        return logits.to(images.dtype)


class InFloat32(nn.Module):
    """A layer that leaves autocast.

    Arguments:
        layer: The layer.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.eval()

    def forward(self, given: Tensor) -> Tensor:
        with torch.autocast(given.device.type, enabled=False):
            out: Tensor = self.layer(given.float())
        return out


def last_layer(model: nn.Module, sample: Images) -> str:
    """Return the name of the layer with weights that is called last.

    Raises:
        InputError: If no part of the network has weights of its own.
    """
    called: list[str] = []

    def look(name: str, *_: object) -> None:
        called.append(name)

    weighty = {
        name: module
        for name, module in model.named_modules()
        if getattr(getattr(module, "weight", None), "ndim", 0) > 1
    }
    with _watching(weighty, look), torch.no_grad():
        model(sample)
    if not called:
        raise InputError("bfloat16 keeps the last layer in float32, and no layer of this network has weights")
    return called[-1]
