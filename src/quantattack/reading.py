"""Guards around files and texts that others made: whatever a parser raises becomes one line."""

import ast
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quantattack.errors import InputError, one_line

_MOST_TEXT = 1 << 20  # bytes of a YAML file: a run file or a recipe has a few thousand
_DEEPEST = 20  # levels of lists and settings in a YAML file


@contextmanager
def parsing(path: Path | str, kind: str, advice: str) -> Iterator[None]:
    """Turn whatever the parsing of a file raises into an `InputError` of one line.

    A parser may raise anything on a damaged file: a library's own error, `struct.error`, `RecursionError`,
    `OverflowError`, `UnicodeDecodeError`.  So every exception but `InputError` itself is taken for damage.

    Arguments:
        path: The file.
        kind: What it should be, such as "an .npz file of plain arrays".
        advice: What to do, such as "save it with numpy.savez".

    Raises:
        InputError: If the code inside raises.
    """
    try:
        yield
    except InputError:
        raise
    except UnicodeDecodeError:
        raise InputError(f"{shown(path)} is not {kind}: it is no text; {advice}") from None
    except MemoryError:
        raise InputError(f"{shown(path)} claims more than fits in memory; {advice}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:  # without one, a library's own error of a damaged file
            raise InputError(f"cannot read {shown(path)}: {error.strerror}; {advice}") from None
        raise InputError(f"{shown(path)} is not {kind}: {first_line(error)}; {advice}") from None


def first_line(error: BaseException) -> str:
    """Return an error's type and message on one line, the message cut to 120 characters."""
    name = one_line(type(error).__name__)
    return f"{name}: {message_of(error, 120)}" if one_line(error) else name


def message_of(error: BaseException, most: int = 160) -> str:
    """Return an error's message on one line, or its type where it has none.

    Arguments:
        error: The error.
        most: Most characters; three dots stand for what was cut off.
    """
    text = one_line(error) or one_line(type(error).__name__)
    return text if len(text) <= most else f"{text[:most]}..."


def shown(path: Path | str) -> str:
    """Return a path as it can be printed: NUL, newlines and lone surrogates escaped, cut to 200 characters."""
    text = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(path))
    return text if len(text) <= 200 else f"{text[:100]}...{text[-80:]}"


def is_file(path: Path | str) -> bool:
    """Return whether a path is a file; False where its name is too long, holds NUL, or a parent is unreadable."""
    return os.path.isfile(path)  # noqa: PTH113 -- Path.is_file raises there


def is_folder(path: Path | str) -> bool:
    """Return whether a path is a folder; False where its name is too long, holds NUL, or a parent is unreadable."""
    return os.path.isdir(path)  # noqa: PTH112 -- Path.is_dir raises there


def exists(path: Path | str) -> bool:
    """Return whether a path is there; False where its name is too long, holds NUL, or a parent is unreadable."""
    return os.path.exists(path)  # noqa: PTH110 -- Path.exists raises there


def read_bytes(path: Path | str, kind: str, advice: str) -> bytes:
    """Return a file's bytes.

    Raises:
        InputError: If it cannot be read.
    """
    with parsing(path, kind, advice):
        return Path(path).read_bytes()


def read_yaml(path: Path | str, example: str) -> dict[str, Any]:
    """Return the settings of a YAML file: names with texts, numbers, lists and settings, and nothing else.

    Arguments:
        path: The file.
        example: A setting that such a file holds, which the error shows where there are none.

    Raises:
        InputError: If it cannot be read, is not YAML, or holds a name that is no text, an alias, too deep a nesting, or
            a text that cannot be written.
    """
    import yaml

    advice = f"write settings, such as '{example}'"
    with parsing(path, "YAML", advice):
        text = _text(path)
        if any(isinstance(token, yaml.tokens.AliasToken) for token in yaml.scan(text, yaml.SafeLoader)):
            raise InputError(f"{shown(path)} holds an alias (*name); write the settings out")
        settings = yaml.safe_load(text)
    if not isinstance(settings, dict):
        raise InputError(f"{shown(path)} must hold settings, such as '{example}'")
    _check_plain(settings, path, "")
    return settings


def _text(path: Path | str) -> str:
    with Path(path).open("rb") as file:
        data = file.read(_MOST_TEXT + 1)
    if len(data) > _MOST_TEXT:
        raise InputError(f"{shown(path)} has over {_MOST_TEXT:,} bytes, which no file of settings has")
    return data.decode("utf-8")


def _check_plain(value: Any, path: Path | str, where: str, depth: int = 0) -> None:
    """Refuse names that are no text, texts that cannot be written, numbers without end, and too deep a nesting."""
    if depth > _DEEPEST:
        raise InputError(f"{shown(path)} nests over {_DEEPEST} levels deep at {where}; no setting does")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_key(key, path, where)
            _check_plain(inner, path, f"{where}.{key}" if where else key, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, path, where, depth + 1)
    else:
        _check_leaf(value, path, where)


def _check_key(key: Any, path: Path | str, where: str) -> None:
    if not isinstance(key, str):
        hint = f"; put it in quotes: '{'on' if key else 'off'}'" if isinstance(key, bool) else ""
        raise InputError(f"{shown(path)}: the name {key!r}{where and f' in {where}'} is no text{hint}")
    _check_text(key, path, where)


def _check_leaf(value: Any, path: Path | str, where: str) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(value, path, where)
    elif isinstance(value, int | float):
        _check_number(value, path, where)
    else:
        raise InputError(f"{shown(path)}: {where} is read as a {type(value).__name__}; put it in quotes")


def _check_text(value: str, path: Path | str, where: str) -> None:
    if "\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
        raise InputError(f"{shown(path)}: {where} holds a sign that cannot be written, {ascii(value)[:60]}")


def _check_number(value: int | float, path: Path | str, where: str) -> None:
    if (isinstance(value, float) and not math.isfinite(value)) or abs(value) >= 2**63:
        raise InputError(f"{shown(path)}: {where} must be a number of ordinary size")


def name_and_settings(kind: str, text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the settings of a text like ``lenet[width=0.5]``.

    Arguments:
        kind: What it names, such as "architecture".
        text: The text.

    Raises:
        InputError: If it is of another form.
    """
    match = re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]*)\])?", text)
    if match is None:
        raise InputError(f"cannot read the {kind} {text!r}; write it like name[setting=4]")
    return match.group(1), settings_in(match.group(1), match.group(2) or "")


def settings_in(name: str, inside: str) -> dict[str, Any]:
    """Return the settings that stand between the brackets behind a name, each as `literal` reads it.

    Raises:
        InputError: If one is not of the form name=value.
    """
    pairs = [pair.partition("=") for pair in inside.split(",") if pair.strip()]
    for key, equals, value in pairs:
        if not equals:
            raise InputError(f"cannot read the setting {key + value!r} of {name}; write it like steps=40")
    return {key.strip(): literal(value.strip()) for key, _, value in pairs}


def literal(text: str) -> Any:
    """Return the value of a text: a number, a fraction like 8/255, true or false, none, else the text itself."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    over, slash, under = text.partition("/")
    try:
        return float(over) / float(under) if slash else ast.literal_eval(text)
    except (ValueError, SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        return text
