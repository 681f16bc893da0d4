"""Reads the YAML files that describe the papers, and validates them against dataclasses."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from quantattack.errors import InputError

STRICT = ConfigDict(extra="forbid")
T = TypeVar("T")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is faster, but some builds of PyYAML lack it


def read(folder: str, name: str, kind: type[T]) -> T:
    """Read a YAML file of this package into a type.

    Arguments:
        folder: Subfolder of this package; empty for the package's own folder.
        name: Name of the file.
        kind: Type to build; the file may have its fields as keys, and no others.

    Raises:
        InputError: If the file has a key that the type lacks, or a value of another type.
    """
    path = files("quantattack.reproduction").joinpath(folder, name)
    return checked(f"{folder}/{name}".lstrip("/"), yaml.load(path.read_text(encoding="utf-8"), _LOADER), kind)


def checked(where: str, value: object, kind: type[T]) -> T:
    """Validate a value and convert it to a type.

    Arguments:
        where: Name of the file, for the error.
        value: Nested dicts, lists, strings and numbers, as parsed from YAML.
        kind: Type to build.

    Raises:
        InputError: If the value does not fit the type; the message is one line with the first problem's place.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise InputError(f"{where}: {next(_messages(error))}") from None


def _messages(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        place = ".".join(str(step) for step in problem["loc"])
        known: Mapping[str, str] = {
            "extra_forbidden": "unknown key; remove it or correct its spelling",
            "unexpected_keyword_argument": "unknown key; remove it or correct its spelling",
            "missing": "this key is missing; add it",
        }
        yield f"{place}: {known.get(problem['type'], problem['msg'])}"
