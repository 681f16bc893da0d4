"""Functions stay small: 8 code lines in the median, 9 of 10 under 25; files under 400 lines."""

import ast
from pathlib import Path
from statistics import median

import quantattack

FILES = sorted(Path(quantattack.__file__).parent.rglob("*.py"))


def code_lines(function: ast.FunctionDef, source: list[str]) -> int:
    """Lines of a function that hold code: no docstring, no comments, no blank lines, no decorators."""
    start = function.body[0].lineno
    skipped: set[int] = set()
    if ast.get_docstring(function) is not None:
        skipped = set(range(start, (function.body[0].end_lineno or start) + 1))
    lines = range(function.lineno, (function.end_lineno or function.lineno) + 1)
    return sum(
        1 for n in lines if n not in skipped and source[n - 1].strip() and not source[n - 1].strip().startswith("#")
    )


def sizes() -> dict[str, int]:
    found = {}
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{path.name}:{node.lineno} {node.name}"] = code_lines(node, text.splitlines())
    return found


def test_functions_are_small():
    found = sizes()
    assert len(found) > 200
    assert median(found.values()) <= 8
    large = {name: size for name, size in found.items() if size >= 25}
    assert len(large) <= len(found) / 10, large


def test_files_are_short():
    long = {path.name: count for path in FILES if (count := len(path.read_text(encoding="utf-8").splitlines())) >= 400}
    assert not long
