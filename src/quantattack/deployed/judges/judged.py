"""A file that has no twin of its own, judged from the twin of the model that it was made of."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from quantattack.deployed.base import DeployedModel
from quantattack.deployed.judges.executorch import open_pte
from quantattack.deployed.judges.openvino import open_openvino
from quantattack.deployed.judges.runtime import FileRuntime
from quantattack.deployed.pixels import Pixels
from quantattack.deployed.torch_programs.load import adopted
from quantattack.errors import InputError

OPENERS = {".pte": open_pte, ".xml": open_openvino, ".onnx": open_openvino}


class BorrowedTwin(nn.Module):
    """The model that a file was made of, as its twin.

    Arguments:
        model: Maps the file's inputs to logits; in eval mode.
        softmax: Whether the file ends in a softmax that the model leaves out.
    """

    def __init__(self, model: nn.Module, softmax: bool = False) -> None:
        super().__init__()
        self.model, self.softmax = model, softmax
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(inputs)
        return logits

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return what the file would: probabilities where it ends in a softmax."""
        logits: Tensor = self.model(inputs)
        return logits.softmax(1) if self.softmax else logits


def open_judge(path: Path | str, **settings: Any) -> FileRuntime:
    """Return the runtime of a `.pte`, `.xml` or `.onnx` file; an `.onnx` file is run by OpenVINO.

    Arguments:
        path: The file.
        settings: Settings of the runtime: `precision` of OpenVINO.

    Raises:
        InputError: If the file is of another kind, its runtime is missing, or it cannot be opened.
    """
    opener = OPENERS.get(Path(path).suffix.lower())
    if opener is None:
        raise InputError(f"{path} is no {', '.join(OPENERS)} file, so there is no runtime that judges it alone")
    return opener(Path(path), **settings)


def judged(
    path: Path | str, twin: Any, pixels: Pixels | None = None, softmax: bool | None = None, **settings: Any
) -> DeployedModel:
    """Return a file as a model to attack: the model that it was made of is climbed, the file's runtime judges.

    Arguments:
        path: A `.pte` file (ExecuTorch), or a `.xml` or `.onnx` file (OpenVINO).
        twin: What the file was made of: the program of `convert_pt2e`, a deployed model, or a float model that takes
            the file's inputs.
        pixels: What pixels mean to the file; the twin's own, or images in [0, 1] as they are by default.
        softmax: Whether the file ends in a softmax; as the twin does by default.
        settings: Settings of the runtime: `precision` of OpenVINO.

    Raises:
        InputError: If the file cannot be opened, or the twin is no model.
    """
    runtime = open_judge(path, **settings)
    made_of = adopted(twin)
    if isinstance(made_of, DeployedModel) and made_of.twin is not None:
        ends = made_of.softmax if softmax is None else softmax
        climbed = made_of.twin if ends == made_of.softmax else BorrowedTwin(made_of.twin, ends)
        return DeployedModel(climbed, runtime, pixels or made_of.pixels, ends, takes=runtime.takes)
    if not isinstance(made_of, nn.Module):
        name = Path(path).name
        raise InputError(f"{name} has no gradient: give the model that it was made of, judged({name!r}, twin=model)")
    return DeployedModel(
        BorrowedTwin(made_of, bool(softmax)), runtime, pixels or Pixels(), bool(softmax), takes=runtime.takes
    )
