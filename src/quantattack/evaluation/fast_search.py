"""Faster versions of a model for the search only; a success counts only if the unmodified model confirms it."""

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
from quantattack.gradients import called, is_twinned
from quantattack.nn.convert import freeze
from quantattack.types import Images, Logits, Model

_TOLERANCE = 1e-3  # allowed difference of the logits, as a fraction of the largest logit


@dataclass(frozen=True)
class FastSearch:
    """Speed options of the search; they belong to the run's identity and are recorded.

    Arguments:
        fold: Compute quantized weights once, and fold each BatchNorm into the convolution before it.
        channels_last: Use the channels-last memory format for images and weights.
        bfloat16: Search in bfloat16 first, with the last layer and the loss in float32; images that are not broken
            are searched again in float32.
        compile: Compile the network with `torch.compile`.
    """

    fold: bool = False
    channels_last: bool = False
    bfloat16: bool = False
    compile: bool = False

    @classmethod
    def named(cls, names: list[str]) -> "FastSearch":
        """Return the options with the given names switched on.

        Raises:
            InputError: If a name is not an option.
        """
        known = [field.name for field in fields(cls)]
        given = [name.strip().replace("-", "_") for name in names]
        for name in given:
            if name not in known:
                raise unknown("speed option", name, known)
        return cls(**dict.fromkeys(given, True))

    @property
    def names(self) -> list[str]:
        """The names of the options that are switched on."""
        return [field.name for field in fields(self) if getattr(self, field.name)]


def faster_models(model: Model, speed: FastSearch, sample: Images) -> list[nn.Module]:
    """Return the faster versions to attack before the model itself, fastest first; none if no option is on.

    Arguments:
        model: The model to evaluate; it is copied, not changed.
        speed: The speed options.
        sample: A few images for a forward pass that shows the order of the layers.

    Raises:
        InputError: If the model is not a `torch.nn.Module`, or its fast version returns different logits.
    """
    if speed == FastSearch():
        return []
    if is_twinned(model):
        raise InputError("the speed options rebuild a network, and a deployed file is run as it is; leave them out")
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
    """Raise `InputError` if the fast version's logits on the sample differ by more than the tolerance."""
    with torch.no_grad():
        given, faster = called(model, sample).double(), called(fast, sample).double()
    if not bool(((given - faster).abs().amax() <= _TOLERANCE * given.abs().amax().clamp_min(1e-12)).all()):
        raise InputError("the faster version of the network returns different logits; leave the speed options out")


def _compiled(model: nn.Module, speed: FastSearch) -> nn.Module:
    compiled: Any = torch.compile(model, dynamic=True) if speed.compile else model
    return compiled if isinstance(compiled, nn.Module) else model


def fold(model: nn.Module, sample: Images) -> int:
    """Fold each BatchNorm into the convolution whose output is its input, in place; return how many were folded.

    One forward pass shows which output goes where.  It does not show whether a convolution's output has other
    consumers too, for which folding is wrong: compare the logits afterwards, as `faster_models` does.

    Arguments:
        model: A network in eval mode.
        sample: A few images for the forward pass.
    """
    pairs = _norms_after_convolutions(model, sample)
    for norm, conv in pairs.items():
        layers: Any = model.get_submodule(conv), model.get_submodule(norm)
        _replace(model, conv, fuse_conv_bn_eval(*layers))
        _replace(model, norm, nn.Identity())
    return len(pairs)


def _norms_after_convolutions(model: nn.Module, sample: Images) -> dict[str, str]:
    """Map the name of each BatchNorm to that of the convolution whose output is its input, if both are called once."""
    made_by, pairs, calls = dict[int, str](), dict[str, str](), dict[str, int]()
    held = list[tuple[tuple[Tensor, ...], Tensor]]()

    def note_call(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[name] = calls.get(name, 0) + 1
        if type(module) is nn.BatchNorm2d and id(inputs[0]) in made_by:
            pairs[name] = made_by[id(inputs[0])]
        if type(module) is nn.Conv2d:
            made_by[id(output)] = name
        held.append((inputs, output))  # keep every tensor alive, so that no id is reused

    leaves = {name: module for name, module in model.named_modules() if not list(module.children())}
    with _forward_hooks(leaves, note_call), torch.no_grad():
        model(sample)
    return {norm: conv for norm, conv in pairs.items() if calls[norm] == calls[conv] == 1}


@contextmanager
def _forward_hooks(modules: Mapping[str, nn.Module], hook: Callable[..., None]) -> Iterator[None]:
    """Register `hook`, called with (name, module, inputs, output), on each module until the context ends."""
    handles = [module.register_forward_hook(partial(hook, name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module in the place of the submodule with a dotted name."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


class ChannelsLast(nn.Module):
    """A network that runs in the channels-last memory format.

    Arguments:
        model: The network; its weights are converted in place.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: nn.Module = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval()

    def forward(self, images: Images) -> Logits:
        converted = images.contiguous(memory_format=torch.channels_last) if images.ndim == 4 else images
        logits: Tensor = self.model(converted)
        return logits


class InBfloat16(nn.Module):
    """A network under autocast to bfloat16, except for its last layer, which runs in float32.

    Arguments:
        model: The network; its last layer is replaced by a wrapper, in place.
        sample: A few images for a forward pass that shows which layer is last.
    """

    def __init__(self, model: nn.Module, sample: Images) -> None:
        super().__init__()
        name = last_layer(model, sample)
        _replace(model, name, InFloat32(model.get_submodule(name)))
        self.model = model
        self.eval()

    def forward(self, images: Images) -> Logits:
        with torch.autocast(images.device.type, torch.bfloat16):
            logits: Tensor = self.model(images)
        return logits.to(images.dtype)


class InFloat32(nn.Module):
    """A layer that runs in float32 inside an autocast region.

    Arguments:
        layer: The layer to wrap.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            output: Tensor = self.layer(x.float())
        return output


def last_layer(model: nn.Module, sample: Images) -> str:
    """Return the name of the last layer called in a forward pass, among those with a weight of two or more dimensions.

    Raises:
        InputError: If no such layer is called.
    """
    called: list[str] = []

    def note_call(name: str, *_: object) -> None:
        called.append(name)

    weighted = {
        name: module
        for name, module in model.named_modules()
        if getattr(getattr(module, "weight", None), "ndim", 0) > 1
    }
    with _forward_hooks(weighted, note_call), torch.no_grad():
        model(sample)
    if not called:
        raise InputError("bfloat16 keeps the last layer in float32, and no layer of this network has weights")
    return called[-1]
