"""An adversarial training that is killed by kill -9, by the command: the same network, bit for bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """
name: mine
data: digits
architecture: small
options: {width: 4}
weights: MdTanhS
training: {epochs: 6, batch_size: 128, rate: {peak: 0.01}, augment: shift}
adversarial: {radius: 0.1, step_size: 0.05, steps: 3}
"""


def training(folder: Path, name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "quantattack", "train", str(folder / "recipe.yaml"), "--out", str(folder / name)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def finished(process: "subprocess.Popen[str]") -> list[str]:
    said = process.communicate()[1].splitlines()
    assert process.returncode == 0, said
    return [line for line in said if "test images" in line]  # a slow machine says how far an epoch is, too


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_killed_training_ends_with_the_same_network_bit_for_bit(tmp_path: Path):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    whole = training(tmp_path, "whole.safetensors")
    killed = training(tmp_path, "killed.safetensors")
    assert killed.stderr is not None
    while not killed.stderr.readline().startswith("epoch 2/6"):
        assert killed.poll() is None
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed.safetensors").exists()
    assert (tmp_path / "killed.safetensors.state").exists()
    again = finished(training(tmp_path, "killed.safetensors"))
    assert len(finished(whole)) == 6
    assert 0 < len(again) <= 4  # it went on from where it was killed
    assert not (tmp_path / "killed.safetensors.state").exists()
    files = [(tmp_path / name).read_bytes() for name in ("whole.safetensors", "killed.safetensors")]
    assert files[0] == files[1]
