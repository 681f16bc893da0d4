"""A deployed format for the tests: a network of ours with quantized pixels, logits and softmax, and two kernels."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.deployed.base import Artifact
from quantattack.deployed.loaded import LoadedFile
from quantattack.deployed.pixels import Quantized
from quantattack.deployed.readers import setting_of
from quantattack.deployed.rounding import clamp_through, round_through
from quantattack.nn.zoo import load_model

Write = Callable[..., Path]  # writes a file of the format into the test's folder
SUFFIX = ".fake"
LOGIT, PROBABILITY, TOP = 0.25, 1 / 256, 255 / 256


class FakeTwin(nn.Module):
    """The network with its pixels on 256 levels, its logits on steps of 0.25, and an 8-bit softmax.

    Arguments:
        network: The network.
        quantized: How it quantizes its pixels.
        softmax: Whether the softmax is there.
        shift: What is added to the logits before they are rounded.
        factor: What the logits are multiplied by: the larger, the more the softmax saturates.
    """

    def __init__(self, network: nn.Module, quantized: Quantized, softmax: bool, shift: float, factor: float) -> None:
        super().__init__()
        self.network, self.quantized, self.softmax = network, quantized, softmax
        self.shift, self.factor = shift, factor

    def forward(self, inputs: Tensor) -> Tensor:
        low, high = self.quantized.range
        scale = self.quantized.scale
        pixels = clamp_through(round_through(inputs / scale) * scale, low, high) / 255
        logits = self.factor * self.network(pixels.movedim(-1, 1))
        return round_through((logits + self.shift) / LOGIT) * LOGIT

    def outputs(self, inputs: Tensor) -> Tensor:
        if not self.softmax:
            return self(inputs)
        levels = round_through(self(inputs).softmax(1) / PROBABILITY)
        return clamp_through(levels * PROBABILITY, 0.0, TOP)


class FakeRuntime:
    """Runs the file; its other kernels add something before they round, so they are right on other images."""

    def __init__(self, path: Path, kernels: str) -> None:
        self.path, self.kernels = path, kernels
        text = path.read_bytes()
        self.about = json.loads(text)
        self.sha256 = hashlib.sha256(text).hexdigest()
        self.calls: list[int] = []
        shift = self.about["shift"] + (0.1 if kernels == "reference" else 0.0)
        self.network = made(self.about, shift)

    def __call__(self, inputs: Tensor) -> Tensor:
        self.calls.append(len(inputs))
        with torch.no_grad():
            return self.network.outputs(inputs)

    @property
    def artifact(self) -> Artifact:
        where = {"kernels": self.kernels, "processor": "one", "threads": "1"}
        return Artifact(self.path.name, "tflite", self.sha256, self.path.stat().st_size, "fake 1.0", where)

    def __deepcopy__(self, memo: dict[int, Any]) -> "FakeRuntime":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return FakeRuntime, (self.path, self.kernels)


def made(about: dict[str, Any], shift: float) -> FakeTwin:
    """Return the network of a file with a shift of its own."""
    quantized = Quantized("uint8", about["scale"], 0)
    twin = FakeTwin(load_model(about["network"]), quantized, about["softmax"], shift, about["factor"])
    return twin.eval()


def read_fake(path: Path, runtime: str | None) -> LoadedFile:
    """Read a file of the format."""
    judge = FakeRuntime(path, setting_of(runtime, "fake", ("default", "reference")))
    about = judge.about
    twin = made(about, 0.0)
    return LoadedFile(
        twin=twin if about["twin"] else None,
        runtime=judge,
        softmax=about["softmax"],
        takes=(8, 8, 1),
        layout="nhwc",
        quantized=twin.quantized if about["quantized"] else None,
        variants=("fake:reference",) if judge.kernels == "default" else (),
    )


def write_fake(path: Path, **settings: Any) -> Path:
    """Write a file of the format and return its path."""
    usual = {"network": "digits-float", "softmax": True, "shift": 0.0, "factor": 1.0, "scale": 1.0}
    path.write_text(json.dumps({**usual, "twin": True, "quantized": True, **settings}))
    return path
