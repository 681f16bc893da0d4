"""A pickle is refused with the line that converts it, which is run here; its opcodes are read, and never run."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import quantattack as qa
from commands import command

SOURCE = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, images):
        return self.layer(images.flatten(1))
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a network whose class is in a file of the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("ownnet.py").write_text(SOURCE)
    yield __import__("ownnet").Net().eval()
    sys.modules.pop("ownnet", None)


def refusal(capsys: Any, *arguments: str) -> str:
    capsys.readouterr()
    assert command("inspect", "net.pt", "--data", "digits", *arguments) == 2
    line = str(capsys.readouterr().err)
    assert line.count("\n") == 1
    return line


def _old(what: Any, path: str) -> None:
    torch.save(what, path, _use_new_zipfile_serialization=False)


SAVED = {
    "whole": lambda net: torch.save(net, "net.pt"),
    "whole, old": lambda net: _old(net, "net.pt"),
    "tensors": lambda net: torch.save(net.state_dict(), "net.pt"),
    "tensors, old": lambda net: _old(net.state_dict(), "net.pt"),
    "checkpoint": lambda net: torch.save({"state_dict": net.state_dict(), "epoch": 3}, "net.pt"),
    "with settings": lambda net: torch.save({"model": net.state_dict(), "args": argparse.Namespace()}, "net.pt"),
    "script": lambda net: torch.jit.script(net).save("net.pt"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", SAVED)
@pytest.mark.parametrize("said", [(), ("--architecture", "ownnet:Net")])
def test_the_line_converts_it(how: str, said: tuple[str, ...], net: Any, capsys: Any):
    SAVED[how](net)
    line = refusal(capsys, *said)
    found = re.search(r'python -c "([^"]+)"', line)
    assert found, line
    exec(found.group(1), {})  # the line itself is what is tested
    name = re.search(r"then (\S+) --architecture (\S+)", line)
    assert name, line
    if said or "whole" in how:
        assert name.group(2) == "ownnet:Net"
    assert ("weights_only=True" in line) == ("tensors" in how or "checkpoint" in how)
    model = qa.load_model(name.group(1), architecture="ownnet:Net")
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(model(images), net(images))


def test_a_network_of_the_script_that_saved_it(net: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch):
    kind = type(net)
    kind.__module__ = "__main__"
    monkeypatch.setattr(sys.modules["__main__"], "Net", kind, raising=False)
    torch.save(net, "net.pt")
    line = refusal(capsys)
    assert "from my import Net; t = torch.load('net.pt', 'cpu', weights_only=False).state_dict()" in line
    assert "--architecture my.py:Net" in line


def test_layers_of_torch_alone_and_what_is_damaged(net: Any, capsys: Any):
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), "net.pt")
    assert "weights_only=False).state_dict()" in refusal(capsys)
    Path("net.pt").write_bytes(Path("net.pt").read_bytes()[:300])
    assert "is a pickle" in refusal(capsys)


def test_nothing_is_run(net: Any, capsys: Any):
    Path("net.pt").write_bytes(b"\x80\x02cos\nmkdir\n(X\x04\x00\x00\x00evilltR.")
    refusal(capsys)
    assert not Path("evil").exists()
