"""The layers of a model: what is quantized, and whose backward pass is the derivative of the forward pass."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.diagnostics.case import Case
from quantattack.record.findings import Finding

_FEW = 256  # distinct values: more than 8 bits hold is no quantization
_LEAST = 32  # numbers of a tensor: fewer say nothing
_IMAGES = 4
_UNSEEN = "the model is a plain callable, a script or a deployed file, whose layers cannot be seen"
_WRONG = 0.1  # relative error of a derivative


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer: its name, the layer, and what went in and came out."""

    name: str
    layer: nn.Module
    given: Tensor
    returned: Tensor


def calls(case: Case) -> list[Call]:
    """Return the first call of every layer without layers inside, over a few images."""
    first: dict[str, Call] = {}
    with _watched(case.host.model, first), torch.no_grad():
        case.host(case.images[:_IMAGES])
    return list(first.values())


@contextmanager
def _watched(model: Any, first: dict[str, Call]) -> Iterator[None]:
    def watch(name: str) -> Any:
        def keep(layer: nn.Module, given: Any, named: Any, returned: Any) -> None:
            plain = len(given) == 1 and not named and _is_batch(given[0]) and _is_batch(returned)
            if plain:
                rows = slice(_IMAGES)  # the rest is copies that pad the batch
                first.setdefault(name, Call(name, layer, given[0].detach()[rows], returned.detach()[rows]))

        return keep

    handles = [layer.register_forward_hook(watch(name), with_kwargs=True) for name, layer in _leaves(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_batch(value: Any) -> bool:
    """Return whether a value is a floating-point tensor of rows; scales and bit widths have no dimension."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.ndim > 0


def _leaves(model: Any) -> Iterator[tuple[str, nn.Module]]:
    """Every layer that has no other inside, parametrizations aside; none of what is no module."""
    modules = model.named_modules() if isinstance(model, nn.Module) else ()
    for name, layer in modules:
        if isinstance(layer, torch.jit.ScriptModule):  # it takes no hook
            continue
        inside = [child for key, child in layer.named_children() if key != "parametrizations"]
        if not inside and "parametrizations" not in name.split("."):
            yield name or "model", layer


def inventory_check(case: Case) -> Finding:
    """What is really quantized: weights and activations that take few values."""
    layer_calls = calls(case) if any(_leaves(case.host.model)) else []
    if not layer_calls:
        return Finding("quantized", "cannot tell", "", _UNSEEN)
    weights = {name: values_of(tensor) for name, tensor in _weights(case.host.model)}
    outputs = {call.name: narrowed(call) for call in layer_calls}
    low = {name: count for name, count in weights.items() if count is not None}
    active = {name: count for name, count in outputs.items() if count is not None}
    data = {"weights": weights, "activations": active}
    says = f"{len(low)} of {len(weights)} weight tensors are quantized{_values(low)}; " + (
        f"{len(active)} of {len(outputs)} layers round what they get{_values(active)}"
    )
    edges = [name for name in (list(weights)[:1] + list(weights)[-1:]) if weights[name] is None]
    if low and edges:
        says += f"; float at an end of the network: {', '.join(dict.fromkeys(edges))}"
    return Finding("quantized", "pass", "", says, data=data)


def _weights(model: Any) -> Iterator[tuple[str, Tensor]]:
    for name, layer in _leaves(model):
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim > 1 and weight.is_floating_point():
            yield name, _plain(weight.detach())


def _plain(tensor: Tensor) -> Tensor:
    """Return a library's own kind of tensor by the values that it stands for, others as they are."""
    own = type(tensor) not in (Tensor, nn.Parameter) and hasattr(tensor, "dequantize")
    return tensor.dequantize() if own else tensor


def values_of(tensor: Tensor) -> int | None:
    """Return how many values a tensor takes, the sign and a scale for each filter aside; None for float."""
    if tensor.numel() < _LEAST:
        return None
    count = _distinct(tensor)
    if count > 2 and tensor.ndim > 1:  # one scale for each filter
        scale = tensor.flatten(1).abs().amax(1).clamp_min(torch.finfo(tensor.dtype).tiny)
        count = min(count, _distinct(tensor.flatten(1) / scale[:, None]))
    return count if count <= min(_FEW, tensor.numel() // 4) else None


def _distinct(tensor: Tensor) -> int:
    return len(torch.unique(tensor))


def narrowed(call: Call) -> int | None:
    """Return how many values a layer returns where they are far fewer than went in; None elsewhere."""
    count = _distinct(call.returned)
    most = min(_FEW, call.returned.numel() // 4, _distinct(call.given) // 4)
    return count if call.returned.numel() >= _LEAST and count <= most else None


def _values(counts: dict[str, int]) -> str:
    if not counts:
        return ""
    least, most = min(counts.values()), max(counts.values())
    return f" ({least} values)" if least == most else f" ({least} to {most} values)"


def derivative_check(case: Case) -> Finding:
    """Which layers' backward pass is not the derivative of their forward pass."""
    layer_calls = calls(case) if any(_leaves(case.host.model)) else []
    if not layer_calls:
        return Finding("derivatives", "cannot tell", "", _UNSEEN)
    kinds = {call.name: _derivative_known(call) for call in layer_calls}
    surrogate = [name for name, kind in kinds.items() if kind == "surrogate"]
    blocked = [name for name, kind in kinds.items() if kind == "zero"]
    unknown = [name for name, kind in kinds.items() if kind is None]
    data = {"layers": len(layer_calls), "surrogate": surrogate, "zero": blocked, "unknown": unknown}
    if blocked:
        says = f"the derivative of {_names(blocked)} is zero everywhere although the output moves"
        advice = "give these layers a surrogate derivative, straight-through or tanh, and diagnose again"
        return Finding("derivatives", "fail", "no_gradient", says, advice, data)
    if surrogate:
        says = f"{_names(surrogate)} of {len(layer_calls)} layers pass a surrogate derivative, not their own"
        return Finding("derivatives", "pass", "", says, "see the check `ascent` for whether it leads upward", data)
    if unknown:
        says = f"{_names(unknown)} of {len(layer_calls)} layers cannot be run in double precision"
        return Finding("derivatives", "cannot tell", "", says, data=data)
    return Finding(
        "derivatives", "pass", "", f"all {len(layer_calls)} layers pass the derivative of what they compute", data=data
    )


def _derivative_known(call: Call) -> str | None:
    """Return what `derivative_of` says, or None of a library's layer that cannot be copied or run in float64."""
    try:
        return derivative_of(call)
    except (RuntimeError, TypeError, ValueError, AssertionError, NotImplementedError):
        return None


def _names(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def derivative_of(call: Call) -> str:
    """Return whether a layer's backward pass is its derivative (`own`), another's (`surrogate`), or `zero`."""
    layer, point = _exact(call)
    generator = torch.Generator().manual_seed(0)
    deviation = point.std(correction=0)
    size = deviation if bool(deviation > 0) else torch.ones_like(deviation)
    # a generic point near the seen one: quantized inputs tie in a pooling window, where nothing is differentiable
    point = point + 1e-3 * size * torch.randn(point.shape, generator=generator, dtype=torch.float64).to(point)
    direction = torch.randn(point.shape, generator=generator, dtype=torch.float64).to(point)
    with torch.no_grad():
        wide = (layer(point + size * direction) - layer(point - size * direction)).abs().sum()
        step = 1e-7 * size
        slope = (layer(point + step * direction) - layer(point - step * direction)) / (2 * step)
    own = _along(layer, point, direction, generator, slope)
    if own is None or not bool(wide > 0):
        return "zero" if own is None and bool(wide > 0) else "own"
    return _kind(*own)


def _exact(call: Call) -> tuple[Any, Tensor]:
    """A copy in double precision and in eval mode."""
    layer = copy.deepcopy(call.layer).double()
    with suppress(NotImplementedError):  # an exported program has no modes
        layer.eval()
    return layer, call.given.double()


def _along(
    layer: Any, point: Tensor, direction: Tensor, generator: torch.Generator, slope: Tensor
) -> tuple[float, float, bool] | None:
    """Return the derivative along a direction as measured and as autograd has it; None where there is none."""
    weight = torch.randn(slope.shape, generator=generator, dtype=torch.float64).to(slope)
    with torch.enable_grad():
        x = point.clone().requires_grad_()
        value = (layer(x) * weight).sum()
        if not value.requires_grad:
            return None
        (grad,) = torch.autograd.grad(value, x, allow_unused=True)
    if grad is None:
        return None
    return float((slope * weight).sum()), float((grad * direction).sum()), bool((grad == 0).all())


def _kind(measured: float, own: float, blank: bool) -> str:
    if blank:
        return "zero"
    return "own" if abs(measured - own) <= _WRONG * max(abs(measured), abs(own)) else "surrogate"
