"""What to write where a name is no model's: the nearest name, and how each kind of model is named."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from quantattack.errors import InputError, unknown
from quantattack.models.python import SOURCE
from quantattack.nn import zoo
from quantattack.reading import is_file, shown

_MOST_FILES, _MOST_BYTES = 100, 1 << 20  # of a folder's Python files that are looked through
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
    """Return how what a Python file makes is named."""
    names = [name for name in made_in(path) if not name.startswith("_")]
    examples = " or ".join(f"{path}:{name}" for name in names[:3])
    return f"name what makes the model in {path}: {examples or f'{path}:function'}"


def _of_hub(name: str) -> str | None:
    if not _HUB.fullmatch(name):
        return None
    return (
        "nothing is downloaded by a hub's name: save the model's folder here, with config.json and model.safetensors, "
        "and give the folder"
    )


def made_in(path: Path) -> list[str]:
    """Return the names that a Python file defines at its top, without running it; none where it cannot be read."""
    try:
        text = path.read_bytes() if path.stat().st_size < _MOST_BYTES else b""
        return list(dict.fromkeys(_defined(ast.parse(text))))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
