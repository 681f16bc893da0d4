"""`quantattack export-onnx`: a file, what it is worth in three lines, and one line where it cannot be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import quantattack as qa
from quantattack.cli import main

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUANTATTACK_DATA", raising=False)


def run(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(("export-onnx", *arguments))
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def notes(path: str) -> dict[str, str]:
    return {entry.key.removeprefix("quantattack."): entry.value for entry in onnx.load(path).metadata_props}


def test_a_float_file(capsys: Any):
    code, out, said = run(capsys, "digits-float", "net.onnx")
    assert (code, said) == (0, "")
    assert "on 200 test images" in out
    assert "8-bit" not in out
    assert "net.onnx:" in out
    assert notes("net.onnx")["network"] == "digits-float"


def test_an_8_bit_file_is_calibrated_on_the_training_images(capsys: Any):
    form = ("--int8", "qoperator", "--activations", "u8", "--weights", "u8", "--per-channel", "--images", "100")
    code, out, said = run(capsys, "digits-mdtanhs", "net.onnx", *form)
    assert (code, said) == (0, "")
    assert "qoperator u8u8 per channel: predicts what the network does on 100.0%" in out
    assert "100.0% of the 8-bit weights are exactly the network's" in out
    found = notes("net.onnx")
    assert (found["data"], found["calibration"], found["quantization"]) == (
        "digits",
        "100 images",
        "qoperator u8u8 per channel",
    )


def test_it_is_calibrated_on_images_of_ones_own(capsys: Any):
    grey = np.full((3, 1, 8, 8), 128, np.uint8)
    np.savez("mine.npz", images=grey, labels=np.arange(3))
    assert run(capsys, "digits-mdtanhs", "own.onnx", "--int8", "qdq", "--calibrate", "mine.npz")[0] == 0
    assert run(capsys, "digits-mdtanhs", "train.onnx", "--int8", "qdq")[0] == 0
    assert notes("own.onnx")["calibration"] == "3 images"
    assert Path("own.onnx").read_bytes() != Path("train.onnx").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("digits-none", "net.onnx"), "unknown model 'digits-none'"),
        (("digits-float", "net.pb"), "must end in .onnx"),
        (("digits-float", "net.onnx", "--int8", "qqd"), "did you mean 'qdq'"),
        (("digits-float", "net.onnx", "--int8", "qdq", "--weights", "s4"), "unknown 8-bit type 's4'"),
        (("digits-float", "net.onnx", "--per-channel"), "go with --int8"),
        (("digits-float", "net.onnx", "--int8", "qdq", "--images", "0"), "--images must be a whole number from 1"),
        (("cifar10-vgg5-float", "net.onnx", "--int8", "qdq"), "or calibrate on other images: --calibrate"),
        (("cifar10-vgg5-float", "net.onnx"), "cifar10 needs its files"),
    ],
)
def test_what_cannot_be_exported_is_one_line(capsys: Any, arguments: tuple[str, ...], words: str):
    code, out, said = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert words in said
    assert not list(Path.cwd().glob("*.onnx"))


def test_weights_alone_and_what_pixels_mean_go_into_the_file(capsys: Any):
    Path("my.py").write_text(
        "from torch import nn\n"
        "def net(width=10):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, width))\n"
        "def model():\n    return net().eval()\n"
    )
    images, labels = qa.load_data("digits")
    np.savez("mine.npz", images=images[:40].numpy(), labels=labels[:40].numpy())
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    save_file(network.state_dict(), "weights.safetensors")
    how = ("--mean", "0.3", "--std", "0.37", "--range", "0,2", "--data", "mine.npz")
    code, _, _ = run(capsys, "weights.safetensors", "net.onnx", "--architecture", "my.py:net[width=10]", *how)
    assert code == 0
    wanted = network((2 * images[:40] - 0.3) / 0.37)
    with torch.no_grad():
        assert torch.allclose(qa.load_model("net.onnx")(images[:40]), wanted, atol=1e-4)
    assert run(capsys, "my.py:model", "other.onnx", "--layout", "flat", "--data", "mine.npz")[0] == 0
    for wrong in (("--mean", "0.3"), ("--architecture", "lenet")):
        code, _, said = run(capsys, "digits-float", "wrong.onnx", *wrong)
        assert (code, said.count("\n")) == (2, 1)
