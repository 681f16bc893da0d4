"""What to write where a name is no model's: the nearest name, and how each kind of model is named."""

import ast
import re
from collections.abc import Collection
from pathlib import Path

from quantattack.errors import InputError, unknown
from quantattack.models.python import SOURCE
from quantattack.nn import zoo
from quantattack.reading import is_file, shown

_MOST_FILES, _MOST_BYTES = 100, 1 << 20  # of a folder's Python files that are looked through
_MOST_NAMES = 6  # of a file that are listed
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
FOREIGN = {
    ".h5": "a Keras file",
    ".keras": "a Keras file",
    ".pb": "a TensorFlow graph",
    ".mlmodel": "a Core ML file",
    ".engine": "a TensorRT engine",
}


def no_model(name: str) -> InputError:
    """Return the error for a name that no model has, with what would have worked where that is known.

    Arguments:
        name: What was given in place of a model's name.
    """
    hint = _of_python(name) or _of_path(name) or _of_hub(name)
    return InputError(f"unknown model {shown(name)!r}; {hint}") if hint else unknown("model", name, zoo.names())


def _of_python(name: str) -> str | None:
    """Return how a name of Python code in the working directory is written out."""
    if not name.isidentifier():
        return None
    found = [f"{path}:{name}" for path in _sources() if name in made_in(path)]
    if found:
        return f"did you mean {' or '.join(map(repr, found[:3]))}?"
    own = Path(f"{name}{SOURCE}")
    return _of_source(own) if is_file(own) else None


def _sources() -> list[Path]:
    """Return the Python files of the working directory and of the folders in it, as seen from there."""
    here = Path()
    return [*sorted(here.glob(f"*{SOURCE}")), *sorted(here.glob(f"*/*{SOURCE}"))][:_MOST_FILES]


def _of_path(name: str) -> str | None:
    path = Path(name)
    if path.suffix == SOURCE and is_file(path):
        return _of_source(path)
    if path.suffix.lower() in FOREIGN:
        return f"{FOREIGN[path.suffix.lower()]} is not read; export the network to .onnx or .tflite"
    return f"there is no file {shown(name)}" if path.suffix else None


def _of_source(path: Path) -> str:
    """Return how what a Python file makes is named: what could be a network, judged by the source alone."""
    names = [name for name in models_in(path) if not name.startswith("_")]
    if not names:
        return f"write a function without arguments that returns the network, and name it: {path}:function"
    return f"name what makes the model in {path}: {' or '.join(f'{path}:{name}' for name in names[:_MOST_NAMES])}"


def _of_hub(name: str) -> str | None:
    if not _HUB.fullmatch(name):
        return None
    return (
        "nothing is downloaded by a hub's name: save the model's folder here, with config.json and model.safetensors, "
        "and give the folder"
    )


def made_in(path: Path) -> list[str]:
    """Return the names that a Python file defines at its top, without running it; none where it cannot be read."""
    return list(dict.fromkeys(name for node in _top_of(path) for name in _names_of(node)))


def models_in(path: Path) -> list[str]:
    """Return the names at the top of a Python file that could be networks, without running it.

    They are functions and derived classes that take no argument, where a function returns something, and variables that
    hold what such a thing makes.
    """
    nodes = _top_of(path)
    made = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return list(dict.fromkeys(name for node in nodes if _could_be(node, made) for name in _names_of(node)))


def callables_in(path: Path) -> list[str]:
    """Return the functions and classes at the top of a Python file, without running it."""
    nodes = _top_of(path)
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef) if node.name[0] != "_"]


def _top_of(path: Path) -> list[ast.stmt]:
    try:
        return ast.parse(path.read_bytes() if path.stat().st_size < _MOST_BYTES else b"").body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _names_of(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _could_be(node: ast.stmt, made: Collection[str]) -> bool:
    """Return whether a statement defines what could be a network.

    Arguments:
        node: The statement.
        made: The functions and classes of its file.
    """
    if isinstance(node, ast.FunctionDef):
        returns = any(isinstance(inner, ast.Return) and inner.value is not None for inner in ast.walk(node))
        return returns and _needs(node) == 0
    if isinstance(node, ast.ClassDef):
        makers = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        return bool(node.bases) and all(_needs(maker) <= 1 for maker in makers)
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
        called = ast.unparse(node.value.func).rpartition(".")[2]
        return called in made or called[:1].isupper() or "model" in called
    return False


def _needs(function: ast.FunctionDef) -> int:
    """Return how many arguments a function cannot be called without."""
    given = function.args
    of_names = sum(default is None for default in given.kw_defaults)
    return len(given.posonlyargs) + len(given.args) - len(given.defaults) + of_names
