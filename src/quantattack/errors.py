"""Errors and warnings for the user: one line that says what is wrong and what to do."""

import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from numbers import Integral, Real

_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


class InputError(ValueError):
    """Input that cannot be used; its message is one line that says what is wrong and what to do."""


def one_line(said: object) -> str:
    """Return what an exception of code that is not ours says, on one line of characters that any terminal can be shown.

    Whatever is not printable, such as an escape sequence or a lone surrogate, is written as its escape; of an exception
    that cannot say anything, nothing is returned.
    """
    try:
        text = " ".join(str(said).split())
    except Exception:  # its own words may fail too
        return ""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class CallFailed(InputError):
    """Code that is not ours raised something: a model, an attack, a data set.  What it raised is chained.

    Arguments:
        call: What was called, such as "the model".
        error: What it raised.
        where: On what, such as "image 3"; empty where it is not known.
    """

    def __init__(self, call: str, error: BaseException, where: str = "") -> None:
        self.call, self.error, self.where = call, error, where
        name, text = one_line(type(error).__name__), one_line(error)[:160]
        self.reason = f"{name}: {text}" if text else name
        super().__init__(f"{call} raised {self.reason}{f' ({where})' if where else ''}")


@contextmanager
def guarded(call: str, where: str = "") -> Iterator[None]:
    """Turn whatever a call of code that is not ours raises, an exit included, into one line that names the call.

    An interrupt stays an interrupt, an `InputError` says what is wrong already, and running out of memory is answered
    by a smaller batch.

    Arguments:
        call: What is called, such as "the model".
        where: On what, such as "image 3".

    Raises:
        CallFailed: If the call raises anything else.
    """
    try:
        yield
    except CallFailed as failed:
        if failed.where or not where:
            raise
        within = "" if failed.call == call else f"under {call}, "
        raise CallFailed(failed.call, failed.error, within + where) from failed.error
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if out_of_memory(error):
            raise
        raise CallFailed(call, error, where) from error


def out_of_memory(error: BaseException) -> bool:
    """Return whether an exception is an out-of-memory error of the CPU or the GPU."""
    if isinstance(error, MemoryError):
        return True
    named = type(error).__name__ == "OutOfMemoryError"  # torch's, without importing torch
    return isinstance(error, RuntimeError) and (named or any(phrase in one_line(error) for phrase in _OUT_OF_MEMORY))


def is_number(value: object) -> bool:
    """Return whether a value is a finite real number and not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


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
