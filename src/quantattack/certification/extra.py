"""The solvers of the extra `certify`, imported where they are used."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from quantattack.errors import InputError

CP_SAT, HIGHS = "ortools", "highspy"


def cp_model() -> Any:
    """Return the module of CP-SAT."""
    return _solver("ortools.sat.python.cp_model", "CP-SAT (ortools)")


def highs() -> Any:
    """Return the module of HiGHS."""
    return _solver("highspy", "HiGHS (highspy)")


def has_solvers() -> bool:
    """Return whether the extra `certify` is installed."""
    return all(find_spec(package) is not None for package in (CP_SAT, HIGHS))


def solver_version(package: str) -> str:
    """Return a solver with its version, as records state it."""
    return f"{package} {version(package)}"


@contextmanager
def silence() -> Iterator[None]:
    """Send what compiled code prints on standard output nowhere."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _solver(module: str, words: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(f"complete search needs {words}: pip install 'quantattack[certify]'") from None
