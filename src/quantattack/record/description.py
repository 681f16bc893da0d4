"""Serialization of attacks, their components and runs to JSON, with the same text for equal settings."""

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
    """Return a decorator that sets the recorded name of a class or function, so that it can be renamed freely.

    Arguments:
        name: The tag, which must never change and never be reused.
    """

    def give(part: _T) -> _T:
        setattr(part, _TAG, name)
        return part

    return give


def tag_of(part: type | Callable[..., Any]) -> str:
    """Return the name that a class or a function is recorded under: its tag, else its qualified name."""
    return str(vars(part).get(_TAG, part.__qualname__))


def mark(part: type | Callable[..., Any], content: bytes) -> None:
    """Let a class or function be recorded with a digest of its source, so that an edited one is another.

    Arguments:
        part: The class or function.
        content: The source.
    """
    digest = f":{hashlib.sha256(content).hexdigest()[:8]}"
    if not tag_of(part).endswith(digest):
        setattr(part, _TAG, tag_of(part) + digest)


def describe(part: Any) -> Any:
    """Return the JSON form of a value: every field of a dataclass, the tag or qualified name of a function.

    A field with ``recorded_as`` in its metadata is omitted when it is None; otherwise it is recorded under that name,
    replacing the field so named.
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
    """Describe other values: NumPy numbers, arrays, networks, functions, and objects by their attributes."""
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
    return {"part": tag_of(type(part)), **describe(vars(part))} if hasattr(part, "__dict__") else repr(part)


def _digest(arrays: Mapping[str, Any]) -> str:
    """Digest named arrays or tensors, so that two networks of the same architecture are told apart."""
    sha = hashlib.sha256()
    for name, array in arrays.items():
        # through float64: NumPy knows no bfloat16
        values = array.detach().cpu().double().numpy() if hasattr(array, "detach") else array
        sha.update(f"{name}{values.shape}".encode() + values.tobytes())
    return sha.hexdigest()[:16]


def _body(function: Any) -> str:
    """Return a suffix with the digest of a lambda's or local function's bytecode and closure; empty for others."""
    if "<" not in function.__qualname__:
        return ""
    code = function.__code__
    held = [describe(cell.cell_contents) for cell in function.__closure__ or ()]
    constants = [value for value in code.co_consts if not hasattr(value, "co_code")]
    text = repr((code.co_code, code.co_names, constants, held))
    return ":" + hashlib.sha256(text.encode()).hexdigest()[:8]


def stable(settings: Any) -> str:
    """Return canonical JSON: sorted keys and no spaces, so that equal settings give equal text."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), default=str)


def digest_of(settings: Any) -> str:
    """Return the first eight hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(stable(settings).encode()).hexdigest()[:8]
