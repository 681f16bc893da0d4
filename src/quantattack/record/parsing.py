"""The one place where text and values that a file holds are believed: what cannot be true is a `ValueError`."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

DEEPEST = 64  # levels of nesting; no description of an attack has more than a dozen
_T = TypeVar("_T")


def parsed(text: object, kind: type[_T], *, finite: bool = True) -> _T:
    """Parse JSON whose outermost value is of one kind.

    Arguments:
        text: What was read; anything but a string is refused.
        kind: The type that it must have: `dict` or `list`.
        finite: Whether to refuse numbers that are NaN or infinite.

    Raises:
        ValueError: If the text is no JSON, of another kind, or nested too deeply.
    """
    if not isinstance(text, str):
        raise ValueError(f"{type(text).__name__} in place of text")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    if not isinstance(value, kind):
        raise ValueError(f"JSON of a {type(value).__name__} in place of a {kind.__name__}")
    _check_values(value, finite)
    return value


def _check_values(value: object, finite: bool) -> None:
    """Walk down level by level, without recursion, and refuse deep nesting and numbers that are none."""
    level: list[object] = [value]
    for _ in range(DEEPEST):
        if finite and any(isinstance(number, float) and not math.isfinite(number) for number in level):
            raise ValueError("JSON with a number that is not finite")
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError("JSON that is nested too deeply")


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def check_types(values: Sequence[Any], kinds: Sequence[type | tuple[type, ...]]) -> None:
    """Raise ValueError unless each value is of its kind; a bool is no number."""
    for value, kind in zip(values, kinds, strict=True):
        if isinstance(value, bool) or not isinstance(value, kind):
            raise ValueError(f"{value!r:.40} where {_names(kind)} is due")


def _names(kind: type | tuple[type, ...]) -> str:
    return " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
