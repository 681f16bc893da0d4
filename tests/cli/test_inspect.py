"""`quantattack inspect` says what is really quantized."""

import pytest
import torch
from torch import nn

from quantattack.cli import main


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["inspect", *arguments])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_a_binarized_network_is_binary_throughout(capsys: pytest.CaptureFixture[str]):
    code, out, _ = said(capsys, "digits-mdtanhs")
    assert code == 0
    assert out.count("2: -1, 1") >= 3
    assert "quantized: 100.0% of" in out


def test_a_float_network_is_not_quantized(capsys: pytest.CaptureFixture[str]):
    code, out, _ = said(capsys, "digits-float")
    assert code == 0
    assert "quantized: 0.0% of" in out


def test_a_wrong_name_is_one_line(capsys: pytest.CaptureFixture[str]):
    code, out, err = said(capsys, "digits-flaot")
    assert (code, out) == (2, "")
    assert err == "error: unknown model 'digits-flaot'; did you mean 'digits-float'?\n"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("cifar10-vgg5-mdtanhs", "on the loss of 0.02222 times its logits"),
        ("digits-mdtanhs", "on the loss of its logits as they are"),
        ("tests.cli.test_inspect:plain", "not stated"),
    ],
)
def test_the_scale_of_the_training_is_said(capsys: pytest.CaptureFixture[str], model: str, words: str):
    code, out, _ = said(capsys, model, "--data", "digits" if "cifar" not in model else "cifar10")
    assert code == 0
    assert f"training: {words}" in out


def test_many_levels_are_said_by_their_ends(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = said(capsys, "tests.cli.test_inspect:four_bits", "--data", "digits")
    assert code == 0
    assert all(part in out for part in ("15 levels, from", "-0.577 to 0.577"))
    assert len(out.splitlines()) < 10


def four_bits() -> nn.Module:
    """A network whose weights are rounded by hand to 15 levels."""
    layer = nn.Linear(64, 10)
    levels = torch.arange(640).reshape(10, 64) % 15 - 7
    layer.weight.data = levels * (0.577 / 7)
    return nn.Sequential(nn.Flatten(), layer).eval()


def plain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
