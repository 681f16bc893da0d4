"""Radii per channel on the command line: attacked, printed, verified, and refused in one line."""

import sys
from pathlib import Path

import numpy as np
import pytest

from commands import command
from quantattack.cli.names import threat_named
from quantattack.record.store import Store

SOURCE = """
import torch

def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3)).eval()
"""
RADII = "24/255:16/255:0"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (24, 3, 4, 4), dtype=np.uint8), rng.integers(0, 3, 24)
    np.savez(tmp_path / "colors.npz", images=images, labels=labels)
    (tmp_path / "colored_network.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "colored_network", raising=False)
    return tmp_path


ABOUT = ("colored_network:model", "--data", "colors.npz")


@pytest.mark.parametrize("pixels", [(), ("--pixels",)], ids=["real", "bytes"])
def test_they_are_attacked_printed_and_verified(
    pixels: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
):
    how = ("--attacks", "pgd[steps=5],square[queries=50]", "--save-images", "--out", "run", "--quiet", *pixels)
    assert command("evaluate", *ABOUT, "--radius", RADII, *how) == 0
    record = Store.load(place / "run").records()[0]
    assert record.threat["each"]["numbers"] == [24 / 255, 16 / 255, 0.0]
    assert record.column("pgd[steps=5]", "inside").all()
    record.store.close()
    capsys.readouterr()
    assert command("verify", "run") == 0
    assert "Linf per channel 24/255, 16/255, 0" in capsys.readouterr().out
    assert command("show", "run") == 0
    assert command("report", "run") == 0
    assert any("per channel 24/255, 16/255, 0" in page.read_text() for page in (place / "run").glob("*.html"))


def test_diagnose_takes_them(place: Path):
    assert command("diagnose", *ABOUT, "--radius", RADII, "--budget", "100") in (0, 3)


@pytest.mark.parametrize(
    ("radius", "says"),
    [("8/255:", "positive number"), ("0:0:0", "one above it"), ("0.1:0.2", "do not fit"), ("-1:1", "from 0 on")],
)
def test_what_cannot_be_is_one_line(radius: str, says: str, place: Path, capsys: pytest.CaptureFixture[str]):
    assert command("evaluate", *ABOUT, f"--radius={radius}", "--attacks", "fgsm", "--out", "run") == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_several_are_told_apart():
    threats = threat_named("linf", "0.1:0.2:0.3,0.1,0.1:0.2:0.3", "cifar10")
    assert [threat.each is None for threat in threats] == [False, True]
    assert threats[0].radius == 0.3
