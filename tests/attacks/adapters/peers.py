"""Whether a peer's library is at hand: an absent one is a skip with a reason, or a failure in `make test-extras`."""

import importlib.util
import os

import pytest

MODULES = {
    "foolbox": ("foolbox", "numba"),
    "art": ("art",),
    "torchattacks": ("torchattacks",),
    "autoattack": ("pyautoattack",),
    "secml": ("secmlt",),
}


def need(extra: str) -> None:
    """Skip a test whose library is not installed, unless peers are required."""
    absent = [module for module in MODULES.get(extra, ()) if importlib.util.find_spec(module) is None]
    if absent and os.environ.get("QUANTATTACK_PEERS") == "required":
        pytest.fail(f"{', '.join(absent)} must be installed for make test-extras")
    if absent:
        pytest.skip(f"{', '.join(absent)} is not installed; make test-extras brings it")
