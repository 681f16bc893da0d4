"""Faster relatives of a model for the search alone: what they find counts only if the model as given confirms it."""

import copy
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


def searched(model: Model, speed: FastSearch, sample: Images) -> list[nn.Module]:
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
    found = [_compiled(fast, speed)] if speed.fold or speed.channels_last or speed.compile else []
    return [_compiled(InBfloat16(copy.deepcopy(fast), sample), speed), *found] if speed.bfloat16 else found


def _check_same(model: nn.Module, fast: nn.Module, sample: Images) -> None:
    with torch.no_grad():
        given, found = model(sample).double(), fast(sample).double()
    if not bool(((given - found).abs().amax() <= _NEAR * given.abs().amax().clamp_min(1e-12)).all()):
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
    made: dict[int, str] = {}
    held, pairs = list[Any](), dict[str, str]()
    calls: dict[str, int] = {}

    def look(name: str, module: nn.Module, given: Any, out: Any) -> None:
        calls[name] = calls.get(name, 0) + 1
        if type(module) is nn.BatchNorm2d and id(given[0]) in made:
            pairs[name] = made[id(given[0])]
        if type(module) is nn.Conv2d:
            made[id(out)] = name
        held.append((given, out))  # a tensor that is kept keeps its id

    hooks = [
        module.register_forward_hook(partial(look, name))
        for name, module in model.named_modules()
        if not list(module.children())
    ]
    with torch.no_grad():
        model(sample)
    for hook in hooks:
        hook.remove()
    once = {norm: conv for norm, conv in pairs.items() if calls[norm] == calls[conv] == 1}
    for norm, conv in once.items():
        layers: Any = model.get_submodule(conv), model.get_submodule(norm)
        _put(model, conv, fuse_conv_bn_eval(*layers))
        _put(model, norm, nn.Identity())
    return len(once)


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

    def look(name: str, *_: Any) -> None:
        called.append(name)

    hooks = [
        module.register_forward_hook(partial(look, name))
        for name, module in model.named_modules()
        if getattr(getattr(module, "weight", None), "ndim", 0) > 1
    ]
    with torch.no_grad():
        model(sample)
    for hook in hooks:
        hook.remove()
    if not called:
        raise InputError("bfloat16 keeps the last layer in float32, and no layer of this network has weights")
    return called[-1]
