"""A deployed model: a differentiable twin gives the gradient, the runtime that runs the file gives the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from quantattack.deployed.pixels import Pixels
from quantattack.types import Images, Logits

_CHANCE_OF_NOTHING = 1 / 512  # half a quantum of an 8-bit softmax: what is below it is rounded to 0


@dataclass(frozen=True)
class Artifact:
    """What is known of a deployed file and of what runs it; it belongs to the identity of a run.

    Arguments:
        name: The file's name without its folder.
        format: "onnx", "tflite", "pt2e", "executorch" or "openvino".
        sha256: The file's SHA-256 in hexadecimal; that of the weights for a model in memory.
        bytes: The file's size.
        runtime: Name and version of the runtime that judges, such as "onnxruntime 1.32.0".
        settings: What else decides its numbers: optimization level, kernels, execution provider.
    """

    name: str
    format: str
    sha256: str
    bytes: int
    runtime: str
    settings: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Runtime(Protocol):
    """Runs a deployed file; deep copies share it, and a pickled one opens its file again."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the file's outputs, float32 with shape (n, k), for its float inputs with shape (n, ...)."""

    @property
    def artifact(self) -> Artifact:
        """The file and what runs it."""


class Twin(Protocol):
    """The file's graph as torch operations with straight-through derivatives, an `nn.Module`."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the logits with shape (n, k): the outputs, or what enters the softmax at the end if there is one."""

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the file with shape (n, k), the softmax at the end included."""


class DeployedModel(nn.Module):
    r"""One model of a twin and a runtime: maps images in [0, 1] with shape (n, c, h, w) to logits with shape (n, k).

    With gradients enabled and images that require them, the twin runs; otherwise the runtime.  So an attack climbs the
    twin, and whatever is judged, counted, shown or saved asks the runtime.  Where the file ends in a softmax, the
    twin's logits are what enters it, and the runtime's probabilities p become :math:`\log \max(p, q / 2)`, with q the
    quantum of the output: the same order of the classes, and the same ties.

    Arguments:
        twin: The differentiable twin, a module.
        runtime: What runs the file, and judges.
        pixels: What pixels mean to the file.
        softmax: Whether the file ends in a softmax.
    """

    def __init__(self, twin: nn.Module, runtime: Runtime, pixels: Pixels, softmax: bool = False) -> None:
        super().__init__()
        self.twin, self.runtime, self.pixels, self.softmax = twin, runtime, pixels, softmax
        self.eval()

    @property
    def twinned(self) -> bool:
        """Whether gradient and verdict come from two implementations; see `gradients.Twinned`."""
        return True

    @property
    def artifact(self) -> Artifact:
        """The file and what runs it."""
        return self.runtime.artifact

    def forward(self, images: Images) -> Logits:
        if torch.is_grad_enabled() and images.requires_grad:
            logits: Tensor = self.twin(self.pixels(images))
            return logits
        return self.judge(images)

    def judge(self, images: Images) -> Logits:
        """Return the runtime's logits for images, in their dtype; log-probabilities where the file ends in a softmax.

        Arguments:
            images: Images in [0, 1] with shape (n, c, h, w).
        """
        with torch.no_grad():
            outputs = self.runtime(self.pixels(images.float()))
            return (outputs.clamp_min(_CHANCE_OF_NOTHING).log() if self.softmax else outputs).to(images)

    def extra_repr(self) -> str:
        """Return what decides the verdict, so that the checksum of the model covers it."""
        return f"{self.artifact!r}, {self.pixels!r}, softmax={self.softmax}"


class Outputs(nn.Module):
    """The outputs of a deployed file as an ordinary attack climbs them: the softmax at the end included.

    Arguments:
        model: The deployed model.
    """

    def __init__(self, model: DeployedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Images) -> Logits:
        model = self.model
        if not (torch.is_grad_enabled() and images.requires_grad):
            return model.judge(images)
        outputs: Tensor = model.twin.outputs(model.pixels(images))  # type: ignore[operator]
        return outputs.clamp_min(_CHANCE_OF_NOTHING).log() if model.softmax else outputs
