"""Models in a user's own Python code: `file.py:name` or `package.module:name`; loading one runs the code."""

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from quantattack.errors import InputError, unknown
from quantattack.reading import exists, first_line, is_file, shown

SOURCE = ".py"
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def is_python(name: str) -> bool:
    """Return whether a name is that of an object in Python code, file.py:name or package.module:name."""
    place, colon, attribute = name.rpartition(":")
    is_place = place.endswith(SOURCE) or bool(_NAME.fullmatch(place))
    return bool(colon) and is_place and bool(_NAME.fullmatch(attribute)) and not exists(name)


def python_model(name: str, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """Return the network that Python code names: one that is built already, or what a function or class makes.

    Arguments:
        name: file.py:name or package.module:name.
        settings: Arguments of the function or class; it is called without any where None.

    Raises:
        InputError: If the code fails, has no such name, or what it makes is no `torch.nn.Module`.
    """
    held = named_object("model", name)
    if isinstance(held, nn.Module) and not settings:
        return held
    _check_maker(name, held, settings or {})
    with making("model", name):
        model = held(**settings or {})
    if not isinstance(model, nn.Module):
        raise InputError(f"{name}() must return a torch.nn.Module, not {type(model).__name__}")
    return model


def named_object(kind: str, name: str) -> Any:
    """Return the object that Python code names; the code is run.

    Arguments:
        kind: What it is to be, such as "model".
        name: file.py:name or package.module:name, where name may be an attribute of an attribute.

    Raises:
        InputError: If the code fails or has no such name.
    """
    place, _, attribute = name.rpartition(":")
    with making(kind, name):
        module = _module_in(Path(place)) if place.endswith(SOURCE) else _module_named(place)
    held: Any = module
    for part in attribute.split("."):
        if not hasattr(held, part):
            raise InputError(f"the {kind} {name} cannot be made: {unknown(f'name in {place}', part, _own(held, kind))}")
        held = getattr(held, part)
    return held


def _own(held: Any, kind: str) -> list[str]:
    """Return the names that could be meant: a module's own functions and classes, and networks for a model."""
    names = [each for each in getattr(held, "__dict__", {}) if not each.startswith("_")]
    if not isinstance(held, ModuleType):
        return names
    return [each for each in names if _is_of(held, getattr(held, each), kind == "model")]


def _is_of(module: ModuleType, value: Any, networks: bool) -> bool:
    """Return whether a module defines a function or a class itself and did not import it, or holds a network."""
    if isinstance(value, nn.Module):
        return networks
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _check_maker(name: str, held: Any, settings: Mapping[str, Any]) -> None:
    """Raise InputError unless an object can be called with the settings, as far as its signature tells."""
    if isinstance(held, nn.Module) or not callable(held):
        is_built = isinstance(held, nn.Module)
        what = "is built already and takes no settings" if is_built else f"is of type {type(held).__name__}"
        raise InputError(f"{name} {what}; name a torch.nn.Module, or a function or class that makes one")
    try:
        inspect.signature(held).bind(**settings)
    except TypeError as error:
        raise InputError(
            f"{name} cannot be called as it stands: {error}; write a function without arguments that makes the network"
        ) from None
    except ValueError:  # a callable in C has no signature to look at
        return


@contextmanager
def making(kind: str, name: str) -> Iterator[None]:
    """Turn whatever the user's own code raises, an exit included, into one line with the place in the code."""
    try:
        yield
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        own = "" if where.filename.startswith("<") or where.filename == __file__ else f" ({_place(where)})"
        raise InputError(f"the {kind} {name} cannot be made: {first_line(error)}{own}") from error


def _place(where: traceback.FrameSummary) -> str:
    return f"{Path(where.filename).name}, line {where.lineno}"


def _module_named(name: str) -> ModuleType:
    """Import a module, also from the working directory."""
    _searched_first(Path.cwd())
    return importlib.import_module(name)


def _module_in(path: Path) -> ModuleType:
    """Return the module of a file: as part of its package where it lies in one, else run afresh on its own.

    The working directory and the file's folder are where it may import from.

    Raises:
        InputError: If there is no such file, or another package of its name was imported before.
    """
    path = path.expanduser().resolve()
    if not is_file(path):
        near = sorted(other.name for other in path.parent.glob(f"*{SOURCE}")) if path.parent.is_dir() else []
        raise unknown(f"file in {shown(path.parent)}", path.name, near)
    root, dotted = _package_of(path)
    _searched_first(root)
    _searched_first(Path.cwd())
    if "." not in dotted:
        return _run_alone(path)
    module = importlib.import_module(dotted)
    if Path(module.__file__ or "").resolve() != path:
        raise InputError(f"{dotted} is imported from {module.__file__}, not from {path}; rename the package")
    return module


def _package_of(path: Path) -> tuple[Path, str]:
    """Return the folder above a file's outermost package, and the file's dotted name from there."""
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    return root, ".".join(parts)


def _run_alone(path: Path) -> ModuleType:
    """Run a file as a module of its own, under its stem where no other module has that name."""
    name, other = path.stem, sys.modules.get(path.stem)
    if name in sys.stdlib_module_names or (other is not None and getattr(other, "__file__", None) != str(path)):
        name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{shown(path)} cannot be imported; give a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: its classes look there for their source
    spec.loader.exec_module(module)
    return module


def _searched_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
