"""The real files, which lie under QUANTATTACK_DATA, and a small network that was built here."""

import os
from pathlib import Path

import pytest

from deployed.tflite.files import residual

FOLDER = Path(os.environ.get("QUANTATTACK_DATA", "")) / "mlperf-tiny"


@pytest.fixture(scope="session")
def real_file():
    """The path of one of MLPerf Tiny's files by its name."""

    def path(name):
        if not os.environ.get("QUANTATTACK_DATA") or not (FOLDER / name).is_file():
            pytest.skip(f"{name} is not under QUANTATTACK_DATA/mlperf-tiny")
        return FOLDER / name

    return path


@pytest.fixture
def small(tmp_path):
    """A small residual network with a softmax, as a file."""
    path = tmp_path / "small.tflite"
    path.write_bytes(residual())
    return path
