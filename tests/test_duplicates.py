"""No two places of the package share ten code lines or more, be it under other names.

Left out is what is no logic: docstrings, comments, imports, lists of exported names, lines of brackets alone, and the
signature of the attack call, which every attack shares by design.
"""

import ast
import io
import keyword
import re
import tokenize
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import quantattack

ROOT = Path(quantattack.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LEAST = 10
NAME = re.compile(r"\b[A-Za-z_]\w*\b")
ATTACK_CALL = {"labels", "start", "rng", "radius"}  # the arguments by which its signature is known

# Pairs of files that still share a run of lines; what does not any more may not stay here.
KNOWN: set[tuple[str, str]] = set()


def logic(path: Path) -> list[tuple[int, str]]:
    """The lines of a file that hold logic, each with its number in the file."""
    text = path.read_text(encoding="utf-8")
    left_out = {n for node in ast.walk(ast.parse(text)) for n in no_logic(node)}
    lines: dict[int, str] = defaultdict(str)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            lines[token.start[0]] += f" {token.string}"
    return [(n, line) for n, line in lines.items() if n not in left_out and any(map(str.isalnum, line))]


def no_logic(node: ast.AST) -> range:
    """The numbers of the lines of a node that are no logic, if it has any."""
    if isinstance(node, ast.Import | ast.ImportFrom) or exports(node):
        return range(node.lineno, node.end_lineno + 1)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
        return range(node.lineno, node.end_lineno + 1)
    if isinstance(node, ast.FunctionDef) and {argument.arg for argument in node.args.args} >= ATTACK_CALL:
        return range(node.lineno, node.body[0].lineno)
    return range(0)


def exports(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
    )


def renamed(lines: list[str]) -> tuple[str, ...]:
    """Lines with their names numbered in the order in which they come: what is the same but for its names is equal."""
    numbers: dict[str, int] = {}

    def number(name: re.Match[str]) -> str:
        word = name.group()
        return word if keyword.iskeyword(word) else f"n{numbers.setdefault(word, len(numbers))}"

    return tuple(NAME.sub(number, line) for line in lines)


def shared(files: dict[str, list[tuple[int, str]]], least: int = LEAST) -> dict[tuple[str, str], list[str]]:
    """The runs of equal lines between any two places, by the two files."""
    places: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for name, lines in files.items():
        for start in range(len(lines) - least + 1):
            run = lines[start : start + least]
            places[renamed([text for _, text in run])].append((name, run[0][0]))
    pairs: dict[tuple[str, str], list[str]] = defaultdict(list)
    for equal in places.values():
        for (name, line), (other, there) in pairwise(equal):
            pairs[name, other].append(f"{name}:{line} ~ {other}:{there}")
    return dict(pairs)


def test_no_two_places_share_ten_lines():
    pairs = shared({str(path.relative_to(ROOT)): logic(path) for path in FILES})
    assert {pair: runs for pair, runs in pairs.items() if pair not in KNOWN} == {}
    assert KNOWN - set(pairs) == set(), "these share nothing by now: take them from the list"


def test_a_copy_is_found_whatever_its_names_and_comments(tmp_path):
    body = "".join(f"    x{n} = f(x{n - 1}, {n})\n" for n in range(1, 11))
    (tmp_path / "a.py").write_text(f'def a(x0):\n    """A."""\n{body}')
    copy = body.replace("x", "y").replace("y0", "x0")
    (tmp_path / "b.py").write_text(f"import os\n\n\ndef b(*x0):\n    # more\n{copy}    return 1\n")
    (tmp_path / "c.py").write_text(f"def c(x0):\n{body.replace(', 5)', ', 0)')}")
    files = {name: logic(tmp_path / f"{name}.py") for name in "abc"}
    assert shared(files) == {("a", "b"): ["a:3 ~ b:6"]}
    assert shared({"a": files["a"] + files["c"]}) == {}
    assert set(shared({"a": files["a"] + files["b"]})) == {("a", "a")}
