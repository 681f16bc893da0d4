"""Types checked at run time: with their shapes where there are tensors, by beartype alone where there are none."""

import threading
from collections.abc import Callable, Hashable, Iterable
from dataclasses import is_dataclass
from functools import cache, partial, wraps
from itertools import islice
from pathlib import Path
from typing import Any

import jaxtyping
import torch
from beartype import BeartypeConf
from beartype.claw import beartype_packages
from jaxtyping import install_import_hook, jaxtyped
from numpy import ndarray

PACKAGE = Path(__file__).parents[1] / "src" / "quantattack"
PLAIN = ("cli", "record", "report", "reproduction")  # rooms with modules that know no tensors


def is_plain(path: Path) -> bool:
    """Return whether a module of this package is in one of those rooms and names no tensors."""
    if path.relative_to(PACKAGE).parts[0] not in PLAIN:
        return False
    source = path.read_text(encoding="utf-8")
    return not any(name in source for name in ("torch", "jaxtyping", "quantattack.types"))


def shaped(tensor: Any) -> Hashable:
    return tensor.shape, tensor.dtype


PARTS: dict[type, Callable[[Any], Hashable]] = {  # of these types exactly: a class made of one may answer otherwise
    torch.Tensor: shaped,
    torch.nn.Parameter: shaped,
    ndarray: shaped,
    str: lambda text: text,  # `Literal`
    bool: lambda truth: (bool, truth),
}
WITH_PARTS: dict[type, Callable[[Any], Iterable[Any]]] = {tuple: iter, list: iter, dict: dict.items}


def kind(value: Any, depth: int = 4) -> Hashable:
    """Return what annotations tell of a value: its type, a tensor's shape, what the first parts of a container are."""
    of = type(value)
    if of in WITH_PARTS and depth:
        parts = islice(WITH_PARTS[of](value), 8)
        return of, len(value), *(kind(part, depth - 1) for part in parts)
    return of if of not in PARTS else PARTS[of](value)


def checked_once(function: Callable[..., Any], typechecker: Any) -> Callable[..., Any]:
    """Check what a function is given and what it returns, once for each kind of arguments and result.

    jaxtyping's check takes longer than most functions here, and finds the same for all tensors of a shape and type.
    """
    known: dict[Hashable, set[Hashable]] = {}
    kept = threading.local()  # a result, for a check that does not call the function again

    @wraps(function)
    def result(*_: Any, **__: Any) -> Any:
        return kept.result

    check = cache(lambda what: jaxtyped(what, typechecker=typechecker))  # made when first needed: making it is slow too

    @wraps(function)
    def called(*positional: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable or torch.compiler.is_compiling():
            return function(*positional, **named)
        given = *map(kind, positional), *named, *map(kind, named.values())
        new = given not in known
        found = (check(function) if new else function)(*positional, **named)
        results, is_now = known.setdefault(given, set()), kind(found)
        if not new and is_now not in results:
            kept.result = found
            check(result)(*positional, **named)
        results.add(is_now)
        return found

    return called


def checked(thing: Any, *, typechecker: Any) -> Any:
    """Check a function, or how a dataclass is made."""
    if not isinstance(thing, type):
        return checked_once(thing, typechecker)
    if is_dataclass(thing) and "__init__" in vars(thing):
        thing.__init__ = checked_once(thing.__init__, typechecker)
    return thing


def check_types() -> None:
    """Check the arguments and results of every function of this package, from its import on."""
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" and not is_plain(path)]
    shaped = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]
    jaxtyping.jaxtyped = lambda **settings: partial(
        checked, **settings
    )  # what its import hook writes above each function
    install_import_hook(shaped, "beartype.beartype")
    beartype_packages([f"quantattack.{room}" for room in PLAIN], conf=BeartypeConf(claw_is_pep526=False))
