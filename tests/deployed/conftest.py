"""What the tests of deployed models share: a fake format, registered for the test alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deployed.fake import SUFFIX, read_fake, write_fake
from quantattack.deployed.readers import READERS

Write = Callable[..., Path]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Write:
    """Writes a file of the fake format into the test's folder."""
    monkeypatch.setitem(READERS, SUFFIX, read_fake)
    return lambda name="model.fake", **settings: write_fake(tmp_path / name, **settings)
