"""The Python that a stranger's model is made of: of equal weights and layers, two may compute different things."""

import ast
import hashlib
import inspect
from collections.abc import Iterator
from functools import partial
from textwrap import dedent
from typing import Any

from torch import nn

from quantattack.evaluation.reach import seen_modules
from quantattack.types import Model

_INSTALLED = ("site-packages", "dist-packages")  # code of packages: their versions are recorded, and it is much


def source_digest(model: Model) -> str:
    """Return a digest of the source of the classes and functions that a model is made of; empty if none can be read.

    Code of installed packages does not count, nor do comments, docstrings and white space.

    Arguments:
        model: The model.
    """
    texts = sorted({text for part in _parts(model) if (text := _source(part))})
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8] if texts else ""


def _parts(model: Model) -> Iterator[Any]:
    yield from {type(module) for _, module in seen_modules(model)}
    while isinstance(model, partial):
        model = model.func
    if not isinstance(model, nn.Module):
        yield model if hasattr(model, "__code__") or hasattr(model, "__func__") else type(model)


def _source(part: Any) -> str:
    """Return the source of a class or a function in one form; empty for a package's, and where there is none."""
    if str(getattr(part, "__module__", "")).partition(".")[0] == "quantattack":
        return ""
    try:
        if any(folder in (inspect.getsourcefile(part) or "") for folder in _INSTALLED):
            return ""
        text = inspect.getsource(part)  # slow: only of what counts
    except (OSError, TypeError):
        return ""
    try:
        return _normal(ast.parse(dedent(text)))
    except (SyntaxError, ValueError, RecursionError):  # a lambda in the middle of an expression
        return " ".join(text.split())


def _normal(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
