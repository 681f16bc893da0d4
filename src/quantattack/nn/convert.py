"""Turn a network into a quantized one, and a quantized one into its final form; every function returns a new model."""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn
from torch.nn.utils import parametrize

from quantattack.errors import InputError
from quantattack.nn.layers import Projection, Slot
from quantattack.nn.quantizers import Quantizer, Values

Skip: TypeAlias = Collection[str] | Callable[[str, nn.Module], bool] | None

WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)
ACTIVATION = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardtanh, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Hardswish, nn.ELU)


def quantize(
    model: nn.Module,
    *,
    weights: Quantizer | None = None,
    activations: Quantizer | None = None,
    skip: Skip = None,
) -> nn.Module:
    """Return a copy of a model whose weights and activations pass through quantizers.

    Arguments:
        model: Any network; its convolutions and linear layers are quantized, biases where the quantizer states it.
        weights: Quantizer of the weights; None leaves them.
        activations: Quantizer of the activations, in the place of every activation module or after it, as the
            quantizer states; in an architecture with ``Slot`` layers in their place only.
        skip: Names of modules to leave (a name covers what is inside), or a predicate of name and module.

    Raises:
        InputError: If a name to skip is not in the model, the model is quantized already, or a quantizer is of
            another kind.

    """
    _check_quantizers(model, weights, activations)
    left = _skips(model, skip)
    result = deepcopy(model)
    if activations is not None:
        _insert(result, activations, left)
    if weights is not None:
        for name, module in list(result.named_modules()):
            if isinstance(module, WEIGHTED) and not left(name, module):
                _parametrize(name, module, weights)
    return result


def _check_quantizers(model: object, *quantizers: object) -> None:
    """Refuse what is no network, and names or classes where quantizers are expected."""
    if not isinstance(model, nn.Module):
        raise InputError(f"quantize takes a torch.nn.Module, not {type(model).__name__}")
    for quantizer in quantizers:
        members = all(hasattr(quantizer, name) for name in ("forward", "surrogate", "hard"))
        if quantizer is not None and (isinstance(quantizer, type) or not members):
            raise InputError(f"a quantizer is an object like MdTanhS() or Sign(), not {quantizer!r}")


def freeze(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode whose quantized weights are their final values; no logit of eval mode changes."""
    result = deepcopy(model)
    with suppress(NotImplementedError):  # an exported program has no modes
        result.eval()
    for module in result.modules():
        if isinstance(module, Projection):
            module.frozen = True
    for module in list(_quantized(result)):
        _bake(module)
    return result


@dataclass(frozen=True)
class Swapped:
    """A quantizer with another surrogate: the same values, another derivative.

    Source: backward pass differentiable approximation, Athalye, Carlini & Wagner 2018, https://arxiv.org/abs/1802.00420

    Arguments:
        quantizer: Gives the values.
        slope: The function whose derivative is used.

    """

    quantizer: Quantizer
    slope: Callable[[Values], Values]

    @property
    def name(self) -> str:
        return self.quantizer.name

    @property
    def biases(self) -> bool:
        return self.quantizer.biases

    @property
    def bound(self) -> float | None:
        return self.quantizer.bound

    @property
    def instead(self) -> bool:
        return self.quantizer.instead

    def forward(self, x: Values) -> Values:
        return self.quantizer.forward(x)

    def surrogate(self, x: Values) -> Values:
        return self.slope(x)

    def hard(self, x: Values) -> Values:
        return self.quantizer.hard(x)


def with_surrogate(model: nn.Module, surrogate: Callable[[Values], Values]) -> nn.Module:
    """Return a copy whose quantized activations have the derivative of another function, and the same values.

    Arguments:
        model: A network with quantized activations.
        surrogate: The function whose derivative is used, such as ``torch.tanh``.

    Raises:
        InputError: If no activation of the model is quantized.

    """
    result = deepcopy(model)
    quantized = [module for _, module in activations(result)]
    if not quantized:
        raise InputError("the model has no quantized activations; there is no surrogate to swap")
    for module in quantized:
        module.quantizer, module.tempered = Swapped(module.current(), surrogate), False
    return result


def projections(model: nn.Module) -> Iterator[tuple[str, Projection]]:
    """Every projection of a model by name, of weights and of activations."""
    for name, module in model.named_modules():
        if isinstance(module, Projection):
            yield name, module


def activations(model: nn.Module) -> Iterator[tuple[str, Projection]]:
    """Every projection of a model's activations by name; those of weights are parametrizations."""
    return ((name, module) for name, module in projections(model) if ".parametrizations." not in f".{name}")


def _quantized(model: nn.Module) -> Iterator[nn.Module]:
    """Every module with a parameter that a projection quantizes."""
    for module in model.modules():
        if parametrize.is_parametrized(module) and any(projections(module.parametrizations)):  # type: ignore[arg-type]
            yield module


@torch.no_grad()
def _bake(module: nn.Module) -> None:
    """Replace parametrized parameters by plain parameters of the same values.

    ``remove_parametrizations`` edits the class, which a copy shares with its original; so the copy leaves the class.
    """
    values = {name: getattr(module, name).detach().clone() for name in module.parametrizations}  # type: ignore[union-attr]
    plain = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    module.__class__ = plain
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


def _parametrize(name: str, module: nn.Module, quantizer: Quantizer) -> None:
    if parametrize.is_parametrized(module, "weight"):
        raise InputError(f"{name} is quantized already; give the float network")
    parametrize.register_parametrization(module, "weight", Projection(quantizer).train(module.training))
    if quantizer.biases and getattr(module, "bias", None) is not None:
        parametrize.register_parametrization(module, "bias", Projection(quantizer).train(module.training))


def _insert(model: nn.Module, quantizer: Quantizer, left: Callable[[str, nn.Module], bool]) -> None:
    # One module may stand under several names; each place gets its own projection.
    places = list(model.named_modules(remove_duplicate=False))
    kinds = (Slot,) if any(isinstance(module, Slot) for _, module in places) else ACTIVATION
    for name, module in places:
        if not isinstance(module, kinds) or left(name, module):
            continue
        projection = Projection(quantizer).train(module.training)
        parent, _, child = name.rpartition(".")
        step = projection if quantizer.instead else nn.Sequential(module, projection)
        setattr(model.get_submodule(parent), child, step)


def _skips(model: nn.Module, skip: Skip) -> Callable[[str, nn.Module], bool]:
    if skip is None:
        return lambda _name, _module: False
    if callable(skip):
        return skip
    names = {skip} if isinstance(skip, str) else set(skip)
    missing = names - {name for name, _ in model.named_modules()}
    if missing:
        layers = [name for name, module in model.named_modules() if isinstance(module, WEIGHTED)]
        raise InputError(
            f"the model has no module {sorted(missing)[0]!r} to skip; its layers are {', '.join(layers)}, and a name "
            "covers what is inside"
        )
    return lambda name, _module: any(name == left or name.startswith(f"{left}.") for left in names)
