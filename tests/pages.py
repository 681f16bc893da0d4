"""What a page of the documentation tells its reader to write and to run."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantattack.cli import main

ROOT = Path(__file__).parents[1]
UNTRUSTED = 3  # the exit status of `diagnose` where a number cannot be trusted


def blocks(text: str) -> list[tuple[str, str]]:
    """The kind and the text of each fenced block."""
    return re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The commands of a page's `sh` blocks."""
    lines = [line for kind, block in blocks(text) if kind == "sh" for line in block.strip().splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


def files(text: str) -> Iterator[tuple[str, str]]:
    """The name and the text of each block that is a file: its first line is a comment with the name."""
    for _, block in blocks(text):
        if named := re.match(r"# (\w+\.\w+)\n", block):
            yield named[1], block


def fewer(command: list[str], few: str) -> list[str]:
    """The same command on fewer images, at the first of its radii."""
    cut = {"--images": lambda _: few, "--radius": lambda radii: radii.partition(",")[0]}
    pairs = zip(["", *command], command, strict=False)
    return [cut[before](word) if before in cut else word for before, word in pairs]


def run(command: list[str], few: str) -> str:
    """Run one `quantattack` command of a page, which must succeed, and return what it printed."""
    tool, *arguments = fewer(command, few)
    assert tool == "quantattack", command
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as end:
        main(arguments)
    assert (end.value.code or 0) in ((0, UNTRUSTED) if arguments[0] == "diagnose" else (0,)), command
    return said.getvalue()
