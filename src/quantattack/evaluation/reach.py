"""What of a stranger's model can be seen: the modules that a callable reaches, their modes, observers and tensors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.data.sources import digest
from quantattack.evaluation.met import met_in, restore_met
from quantattack.types import Model

_DEEPEST = 4  # objects that hold each other, such as a lambda over a partial over a bound method
_OWN_MODES = ("batch_norm", "native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm", "dropout")
_OBSERVING = ("observer_enabled", "static_enabled")  # the buffers by which fake quantizers are told to observe
_COUNTS = "num_batches_tracked"  # of BatchNorm, which only its train mode reads
_SCRIPTED = ("BatchNorm", "Dropout", "InstanceNorm")  # scripted classes, whose Python is gone


def roots_of(model: Model) -> list[tuple[str, nn.Module]]:
    """Return the outermost modules that a model holds, with a name for each: itself, or those that a callable reaches.

    A callable reaches what its closure, its arguments, its attributes and the globals that it names hold, and what it
    was seen to call beside.
    """
    return seen_roots(model) + [(f"called {at}", module) for at, module in enumerate(met_in(model))]


def seen_roots(model: Model) -> list[tuple[str, nn.Module]]:
    """Return the outermost modules that looking at a model shows, without a call."""
    return list(_reached("", model, set(), 0))


def modules_of(model: Model) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module that a model reaches, with its name."""
    yield from _inside(roots_of(model))


def seen_modules(model: Model) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module that looking at a model shows, with its name."""
    yield from _inside(seen_roots(model))


def _inside(roots: Sequence[tuple[str, nn.Module]]) -> Iterator[tuple[str, nn.Module]]:
    for name, root in roots:
        for inner, module in root.named_modules():
            yield ".".join(part for part in (name, inner) if part), module


def _reached(name: str, holder: Any, seen: set[int], depth: int) -> Iterator[tuple[str, nn.Module]]:
    if id(holder) in seen or depth > _DEEPEST:
        return
    seen.add(id(holder))
    if isinstance(holder, nn.Module):
        yield name, holder
        return
    for inner, held in _held(holder):
        yield from _reached(inner, held, seen, depth + 1)


def _held(holder: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a callable or a container holds, with a name for each."""
    if isinstance(holder, FunctionType):
        code = holder.__code__
        cells = zip(code.co_freevars, holder.__closure__ or (), strict=False)
        yield from ((name, cell.cell_contents) for name, cell in cells if _is_filled(cell))
        yield from ((name, holder.__globals__[name]) for name in code.co_names if name in holder.__globals__)
    elif isinstance(holder, partial):
        yield from (("", value) for value in (holder.func, *holder.args, *holder.keywords.values()))
    elif isinstance(holder, MethodType):
        yield from (("", holder.__self__), ("", holder.__func__))
    elif isinstance(holder, dict):
        yield from ((str(key), value) for key, value in holder.items())
    elif isinstance(holder, list | tuple):
        yield from ((str(at), value) for at, value in enumerate(holder))
    elif hasattr(holder, "__dict__") and callable(holder) and not isinstance(holder, type):
        yield from vars(holder).items()
        yield "", getattr(type(holder), "__call__", None)  # noqa: B004


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # an empty cell
        return False


def training_layers(model: Model) -> list[str]:
    """Return the names of the layers in train mode for which that matters, such as BatchNorm, dropout and quantizers.

    A layer for which it matters is one whose own code reads its mode; a container's does not.
    """
    named = [(name, module) for name, module in modules_of(model) if getattr(module, "training", False)]
    return [f"{name} ({_kind(module)})" if name else _kind(module) for name, module in named if _reads_mode(module)]


def _kind(module: nn.Module) -> str:
    return str(getattr(module, "original_name", type(module).__name__))


def _reads_mode(module: nn.Module) -> bool:
    if isinstance(module, torch.jit.ScriptModule):
        return any(part in _kind(module) for part in _SCRIPTED) or "self.training" in str(getattr(module, "code", ""))
    kinds = type(module).__mro__[: type(module).__mro__.index(nn.Module)]
    functions = [member for kind in kinds for member in vars(kind).values() if isinstance(member, FunctionType)]
    return any("training" in each.__code__.co_names for each in functions if each.__name__ not in ("train", "__init__"))


def training_operations(model: Model) -> list[str]:
    """Return the operations of an exported graph that were exported in train mode, by name."""
    found = list[str]()
    for _, module in modules_of(model):
        graph = getattr(module, "graph", None)
        found += [node.name for node in graph.nodes if _trains(node)] if isinstance(graph, torch.fx.Graph) else []
    return found


def _trains(node: torch.fx.Node) -> bool:
    """Return whether a node is BatchNorm or dropout of train mode: the one flag among its arguments."""
    name = str(getattr(node.target, "_opname", "")) or str(getattr(node.target, "__name__", "")).partition(".")[0]
    if name not in _OWN_MODES:
        return False
    if name == "dropout":
        return node.args[-1] is True
    return len(node.args) > 5 and node.args[5] is True


def observing(model: Model) -> list[str]:
    """Return the names of a model's fake quantizers and observers that still learn from what they are shown."""
    found = list[str]()
    for name, root in roots_of(model):
        switches = {key: buffer for key, buffer in root.named_buffers() if key.endswith(_OBSERVING)}
        found += [f"{name}.{key}".strip(".") for key, buffer in switches.items() if bool(buffer.any())]
        inside = {key.rpartition(".")[0] for key in switches}
        for key, module in root.named_modules():
            if _records(module) and key.rpartition(".")[0] not in inside:
                found.append(f"{name}.{key}".strip("."))
    return found


def _records(module: nn.Module) -> bool:
    """Return whether a module is an observer that keeps the range of what it sees, by its class's name and buffers."""
    names = {name.rpartition(".")[2] for name, _ in module.named_buffers(recurse=False)}
    return _kind(module).endswith("Observer") and bool({"min_val", "histogram"} & names)


def state_of(model: Model) -> dict[str, str]:
    """Return a digest of every parameter and buffer that a model reaches, by name; counts of batches aside."""
    state: dict[str, str] = {}
    for name, root in roots_of(model):
        tensors: dict[str, Tensor] = {**dict(root.named_parameters()), **dict(root.named_buffers())}
        named = {f"{name}.{key}".strip("."): tensor for key, tensor in tensors.items() if not key.endswith(_COUNTS)}
        state |= {key: _digest(tensor) for key, tensor in named.items()}
    return state


def since(model: Model, before: Mapping[str, str]) -> dict[str, str]:
    """Return a state of before the first call, with that of the modules which this call has shown."""
    return {**state_of(model), **before}


def _digest(tensor: Tensor) -> str:
    try:
        return digest({"": tensor})
    except (RuntimeError, NotImplementedError, TypeError, ValueError):  # a tensor without bytes, such as a lazy one
        return type(tensor).__name__


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the names of what differs between two states of a model."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


@contextmanager
def restored(model: Model) -> Iterator[None]:
    """Give a model's buffers back the values that they had, should it change them while it is used."""
    own = [(module, key, each) for _, module in modules_of(model) for key, each in module.named_buffers(recurse=False)]
    held = [(module, key, buffer, buffer.detach().clone()) for module, key, buffer in own]
    try:
        yield
    finally:
        restore_met(model)
        with torch.no_grad():
            for module, key, buffer, value in held:
                if buffer.shape != value.shape or not torch.equal(buffer, value):
                    buffer.resize_(value.shape).copy_(value)
                if not isinstance(module, torch.jit.ScriptModule):  # whose attributes are copies
                    setattr(module, key, buffer)
