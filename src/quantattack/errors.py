"""Errors and warnings for the user: one line that says what is wrong and what to do."""

import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral


class InputError(ValueError):
    """Input that cannot be used; its message is one line that says what is wrong and what to do."""


def check_count(name: str, value: object, least: int = 1) -> None:
    """Raise InputError unless the value is an integer of at least `least`.

    Raises:
        InputError: If the value is not an integer, is a bool, or is too small.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise InputError(f"{name} must be a whole number from {least} on, not {value!r}")


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for an unknown name, with the nearest known name."""
    names = sorted(known)
    near = [other for other in names if other.lower() == name.lower()] or get_close_matches(
        name, names, n=1, cutoff=0.4
    )
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    return InputError(f"unknown {kind} {name!r}; {hint}")


def warn_renamed(former: str, name: str) -> None:
    """Warn that a public name was renamed; the former name works until version 0.3."""
    warnings.warn(f"{former} is now {name}; the former name ends with version 0.3", DeprecationWarning, stacklevel=3)
