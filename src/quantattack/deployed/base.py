"""A deployed model: a differentiable twin gives the gradient, the runtime that runs the file gives the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from quantattack.deployed.pixels import Pixels, Quantized
from quantattack.errors import InputError
from quantattack.types import Images, Logits

_PLACE = ("processor", "threads")  # settings that say where a file runs: noted in a record, no part of its identity
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
        settings: What else decides its numbers: optimization level, kernels, execution provider; and where it runs,
            under "processor" and "threads", which are no part of the identity.
    """

    name: str
    format: str
    sha256: str
    bytes: int
    runtime: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What decides the verdicts, as text: all but the file's name and where it runs."""
        decisive = {key: value for key, value in sorted(self.settings.items()) if key not in _PLACE}
        return f"{self.format} {self.sha256}, {self.runtime}, {decisive}"


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


class OfImages(nn.Module):
    """A relative of a file in the place of its twin: a network that takes images in [0, 1], as an attack shows them.

    Arguments:
        model: The network that the file was made of, or another relative; maps images to logits.
        softmax: Whether the file ends in a softmax.
    """

    def __init__(self, model: nn.Module, softmax: bool = False) -> None:
        super().__init__()
        self.model, self.softmax = model, softmax

    def forward(self, images: Images) -> Logits:
        logits: Tensor = self.model(images)
        return logits

    def outputs(self, images: Images) -> Tensor:
        """Return what the file would return for images: the softmax at the end included."""
        logits: Tensor = self(images)
        return logits.softmax(1) if self.softmax else logits


class DeployedModel(nn.Module):
    r"""One model of a twin and a runtime: maps images in [0, 1] with shape (n, c, h, w) to logits with shape (n, k).

    With gradients enabled and images that require them, the twin runs; otherwise the runtime.  So an attack climbs the
    twin, and whatever is judged, counted, shown or saved asks the runtime.  Where the file ends in a softmax, the
    twin's logits are what enters it, and the runtime's probabilities p become :math:`\log \max(p, q / 2)`, with q the
    quantum of an 8-bit output: the same order of the classes, and the same ties.

    Arguments:
        twin: The differentiable twin, a module; None where there is none, and no gradient.
        runtime: What runs the file, and judges.
        pixels: What pixels mean to the file.
        softmax: Whether the file ends in a softmax.
        takes: Shape of one input of the file, None where a size is free; None where any shape is taken.
        quantized: How the file quantizes its input, where it does so first; None for a float input.
        is_float: Whether nothing in the file is quantized.
        variants: Other runtimes of the same file, which `file` opens it under.
        file: Opens the file again, also under another runtime; None for a model in memory.
    """

    def __init__(
        self,
        twin: nn.Module | None,
        runtime: Runtime,
        pixels: Pixels,
        softmax: bool = False,
        *,
        takes: tuple[int | None, ...] | None = None,
        quantized: Quantized | None = None,
        is_float: bool = False,
        variants: tuple[str, ...] = (),
        file: Any = None,
    ) -> None:
        super().__init__()
        self.twin, self.runtime, self.pixels, self.softmax = twin, runtime, pixels, softmax
        self.takes, self.quantized, self.is_float = takes, quantized, is_float
        self.variants, self.file = variants, file
        self._relatives: tuple[nn.Module, ...] = ()  # in a tuple, so that it is no part of this model
        self.float_name: str | None = None
        self.eval()

    @property
    def twinned(self) -> bool:
        """Whether gradient and verdict come from two implementations; see `gradients.is_twinned`."""
        return True

    @property
    def artifact(self) -> Artifact:
        """The file and what runs it."""
        return self.runtime.artifact

    @property
    def float_model(self) -> nn.Module | None:
        """The float network that the file was made of, if it was given; no part of this model."""
        return next(iter(self._relatives), None)

    def relate(self, float_model: nn.Module, name: str | None = None) -> None:
        """Take a float network from which attacks are transferred; it gives the gradient where the file has no twin.

        Arguments:
            float_model: The float network that the file was made of; maps images in [0, 1] to logits.
            name: Its name.
        """
        self._relatives, self.float_name = (float_model,), name
        if self.twin is None:
            self.twin = OfImages(float_model, self.softmax).eval()

    def forward(self, images: Images) -> Logits:
        if torch.is_grad_enabled() and images.requires_grad and self.twin is not None:
            logits: Tensor = self.twin(self.shown(images))
            return logits
        return self.judge(images)

    def shown(self, images: Images) -> Tensor:
        """Return what the twin is shown for images: the file's inputs, or for a relative the images themselves."""
        return images if isinstance(self.twin, OfImages) else self.inputs(images)

    def inputs(self, images: Images) -> Tensor:
        """Return the file's inputs for images.

        Arguments:
            images: Images in [0, 1] with shape (n, c, h, w).

        Raises:
            InputError: If the images have another size than the file takes.
        """
        inputs = self.pixels(images)
        shape = tuple(inputs.shape[1:])
        if self.takes is not None and not _fits(shape, self.takes):
            takes = " x ".join("any" if size is None else str(size) for size in self.takes)
            raise InputError(
                f"{self.artifact.name} takes inputs of {takes}, these images give {' x '.join(map(str, shape))}; "
                "take images of its size (they are not resized: that would be another model) or state --layout"
            )
        return inputs

    def judge(self, images: Images) -> Logits:
        """Return the runtime's logits for images, in their dtype; log-probabilities where the file ends in a softmax.

        Arguments:
            images: Images in [0, 1] with shape (n, c, h, w).
        """
        return self.as_logits(self.returned(images)).to(images)

    def returned(self, images: Images) -> Tensor:
        """Return what the runtime returns for images: the file's outputs in float32, with shape (n, k)."""
        with torch.no_grad():
            return self.runtime(self.inputs(images.detach().float()).cpu())

    def as_logits(self, outputs: Tensor) -> Logits:
        """Return the file's outputs as logits: their logarithm where they are probabilities."""
        return outputs.clamp_min(_CHANCE_OF_NOTHING).log() if self.softmax else outputs

    def extra_repr(self) -> str:
        """Return what decides the verdict, so that the checksum of the model covers it."""
        return f"{self.artifact.identity}, {self.pixels!r}, softmax={self.softmax}"


def _fits(shape: tuple[int, ...], takes: tuple[int | None, ...]) -> bool:
    return len(shape) == len(takes) and all(want in (None, size) for size, want in zip(shape, takes, strict=True))


class Outputs(nn.Module):
    """The outputs of a deployed file as an ordinary attack climbs them: the softmax at the end included.

    Arguments:
        model: The deployed model.
    """

    def __init__(self, model: DeployedModel) -> None:
        super().__init__()
        self.model = model
        self.eval()

    @property
    def twinned(self) -> bool:
        """Whether gradient and verdict come from two implementations; see `gradients.is_twinned`."""
        return True

    def forward(self, images: Images) -> Logits:
        model = self.model
        if not (torch.is_grad_enabled() and images.requires_grad) or model.twin is None:
            return model.judge(images)
        outputs: Tensor = model.twin.outputs(model.shown(images))  # type: ignore[operator]
        return model.as_logits(outputs)


def deployed_in(model: Any) -> DeployedModel | None:
    """Return the deployed model that a model is or wraps; None where there is none.

    Arguments:
        model: A model, or a wrapper around one.
    """
    modules = model.modules() if isinstance(model, nn.Module) else ()
    return next((module for module in modules if isinstance(module, DeployedModel)), None)
