"""What is known of the papers, read from the package's YAML files and checked."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from quantattack.errors import InputError

STRICT = ConfigDict(extra="forbid")
T = TypeVar("T")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the fast one is not in every build of PyYAML


def read(folder: str, name: str, kind: type[T]) -> T:
    """Return a YAML file of this package as the type that it describes.

    Arguments:
        folder: Folder in this package; empty for the package itself.
        name: Name of the file.
        kind: The type; its fields are the keys that the file may have.

    Raises:
        InputError: If the file has a key that the type lacks, or a value of another type.
    """
    path = files("quantattack.reproduction").joinpath(folder, name)
    return checked(f"{folder}/{name}".lstrip("/"), yaml.load(path.read_text(encoding="utf-8"), _LOADER), kind)


def checked(where: str, value: object, kind: type[T]) -> T:
    """Return a value as a type, or refuse it in one line that says where it is wrong.

    Arguments:
        where: Name of the file, for the error.
        value: Mappings, lists, texts and numbers, as YAML gives them.
        kind: The type that they describe.

    Raises:
        InputError: If they do not describe it.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise InputError(f"{where}: {next(_lines(error))}") from None


def _lines(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        place = ".".join(str(step) for step in problem["loc"])
        known: Mapping[str, str] = {
            "extra_forbidden": "unknown key; remove it or correct its spelling",
            "unexpected_keyword_argument": "unknown key; remove it or correct its spelling",
            "missing": "this key is missing; add it",
        }
        yield f"{place}: {known.get(problem['type'], problem['msg'])}"
