"""The modules that a model calls and that looking at it does not show: they are met on a trial call.

A default argument, a list among the attributes, a global of a module and an import inside a function can all hold one,
and so can places that nobody has thought of.  A call goes through all of them.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from quantattack.types import Model

_COMPILED = "OptimizedModule"  # whose guards a hook would break: it is seen whole, and compiled once


@dataclass(eq=False)
class _Met:
    """What was met in a model, held weakly: it may hold the model.

    Arguments:
        modules: The outermost modules.
        buffers: Their buffers as they were then, by module and name.
    """

    modules: list[ReferenceType[nn.Module]] = field(default_factory=list)
    buffers: list[tuple[ReferenceType[nn.Module], str, Tensor]] = field(default_factory=list)


_MET: WeakKeyDictionary[Any, _Met] = WeakKeyDictionary()


def met_in(model: Model) -> list[nn.Module]:
    """Return the outermost modules that a model was seen to call, and that still are."""
    known = _of(model)
    return [] if known is None else [module for each in known.modules if (module := each()) is not None]


def restore_met(model: Model) -> None:
    """Give the modules that were met in a model the buffers that they had then, and forget them: it may call others."""
    known = _of(model)
    if known is None:
        return
    del _MET[model]
    for each, key, value in known.buffers:
        module = each()
        now = None if module is None else dict(module.named_buffers()).get(key)
        if now is not None and (now.shape != value.shape or not torch.equal(now, value)):
            with torch.no_grad():
                now.resize_(value.shape).copy_(value)


@contextmanager
def meeting(
    model: Model, known: Iterable[nn.Module], judge: Callable[[nn.Module], None], around: type[nn.Module]
) -> Iterator[None]:
    """Note which other modules a model calls meanwhile, each judged before it has run.

    Arguments:
        model: The model.
        known: The modules that need no look.
        judge: Raises an error for a module that cannot be used.
        around: The wrapper through which the model is called, which is none of its modules.
    """
    known = list(known)
    seen, own = {id(module) for module in known}, threading.get_ident()

    def look(module: nn.Module, _: Any) -> None:
        if torch.compiler.is_compiling() or threading.get_ident() != own:
            return
        if id(module) in seen or isinstance(module, around):
            return
        judge(module)
        seen.update(id(inner) for inner in module.modules())
        _note(model, module)

    if any(type(module).__name__ == _COMPILED for module in known):
        yield
        return
    hook = register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        hook.remove()


def _of(model: Model) -> _Met | None:
    try:
        return _MET.get(model)
    except TypeError:  # it has no hash, or takes no weak references
        return None


def _note(model: Model, module: nn.Module) -> None:
    try:
        met = _MET.setdefault(model, _Met())
    except TypeError:
        return
    met.modules.append(ref(module))
    met.buffers += [(ref(module), key, buffer.detach().clone()) for key, buffer in module.named_buffers()]
