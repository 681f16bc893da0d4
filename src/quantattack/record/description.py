"""How parts and runs are written down: every setting as JSON, the same text for equal settings."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any, TypeVar

_T = TypeVar("_T")
_TAG, _AS = "__tag__", "recorded_as"


def tagged(name: str) -> Callable[[_T], _T]:
    """Give a part the name that it is recorded under, which stays when its class or function is renamed.

    Arguments:
        name: The tag, never to be changed and never to be used by another part.
    """

    def give(part: _T) -> _T:
        setattr(part, _TAG, name)
        return part

    return give


def tag_of(part: type | Callable[..., Any]) -> str:
    """Return the name that a class or a function is recorded under: its tag, else its qualified name."""
    return str(vars(part).get(_TAG, part.__qualname__))


def describe(part: Any) -> Any:
    """Return the JSON form of a part: every field of a dataclass, the qualified name of a function.

    A field whose metadata say ``recorded_as`` is left out where it is None; else it is recorded under that name, in the
    place of the field that has it.
    """
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if is_dataclass(part) and not isinstance(part, type):
        named = {field.name: describe(getattr(part, field.name)) for field in fields(part) if _AS not in field.metadata}
        for field in fields(part):
            if _AS in field.metadata and getattr(part, field.name) is not None:
                named[field.metadata[_AS]] = describe(getattr(part, field.name))
        return {"part": tag_of(type(part)), **named} if named else tag_of(type(part))
    if isinstance(part, Mapping):
        return {str(key): describe(value) for key, value in part.items()}
    if isinstance(part, Sequence):
        return [describe(value) for value in part]
    return _described(part)


def _described(part: Any) -> Any:
    """Describe what is no part of ours: NumPy's numbers, arrays, networks, functions, and objects by what they hold."""
    if isinstance(part, Real):
        return int(part) if isinstance(part, Integral) else float(part)
    if hasattr(part, "state_dict"):
        return f"{type(part).__qualname__}:{_digest(part.state_dict())}"
    if hasattr(part, "__array__"):
        return f"{type(part).__qualname__}:{_digest({'': part})}"
    if isinstance(part, partial):
        return {"part": "partial", **{name: describe(getattr(part, name)) for name in ("func", "args", "keywords")}}
    if hasattr(part, "__code__"):
        return tag_of(part) + _body(part)
    if hasattr(part, "__qualname__"):
        return part.__qualname__
    return {"part": type(part).__qualname__, **describe(vars(part))} if hasattr(part, "__dict__") else repr(part)


def _digest(arrays: Mapping[str, Any]) -> str:
    """Digest named arrays or tensors: two networks of one architecture are two parts."""
    sha = hashlib.sha256()
    for name, array in arrays.items():
        # through float64: NumPy knows no bfloat16
        values = array.detach().cpu().double().numpy() if hasattr(array, "detach") else array
        sha.update(f"{name}{values.shape}".encode() + values.tobytes())
    return sha.hexdigest()[:16]


def _body(function: Any) -> str:
    """Tell apart functions without a name of their own by what they do; empty for the others."""
    if "<" not in function.__qualname__:
        return ""
    code = function.__code__
    held = [describe(cell.cell_contents) for cell in function.__closure__ or ()]
    constants = [value for value in code.co_consts if not hasattr(value, "co_code")]
    text = repr((code.co_code, code.co_names, constants, held))
    return ":" + hashlib.sha256(text.encode()).hexdigest()[:8]


def stable(settings: Any) -> str:
    """Return the one JSON text of some settings, the same for equal settings."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), default=str)


def digest_of(settings: Any) -> str:
    """Return eight digits that stand for some settings."""
    return hashlib.sha256(stable(settings).encode()).hexdigest()[:8]
