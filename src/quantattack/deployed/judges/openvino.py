"""OpenVINO: its own `.xml` files, and `.onnx` files as OpenVINO runs them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quantattack.deployed.base import Artifact
from quantattack.deployed.facts import checksum_of_file
from quantattack.deployed.judges.runtime import FileRuntime, files_of
from quantattack.errors import InputError
from quantattack.reading import first_line


def open_openvino(path: Path, precision: str = "f32") -> FileRuntime:
    """Return the runtime of a file that OpenVINO runs on the CPU.

    Arguments:
        path: A `.xml` file with its `.bin` beside it, or a `.onnx` file.
        precision: Precision of what is not quantized; OpenVINO's own default, bf16 on some processors, is another
            network there.

    Raises:
        InputError: If OpenVINO is missing, or the file is none, is damaged, or is no classifier of float images.
    """
    files = files_of(path)
    try:
        import openvino
    except ImportError as error:
        raise InputError(
            f"OpenVINO is missing or does not load ({first_line(error)}): pip install 'quantattack[openvino]'"
        ) from None
    core = openvino.Core()
    try:
        model = core.read_model(path)
        rows = _rows(path.name, model)
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    except RuntimeError as error:
        raise InputError(f"{path.name} is no model that OpenVINO reads, or is damaged ({first_line(error)})") from None
    sizes = sum(file.stat().st_size for file in files)
    settings = {"device": "CPU", "precision": precision}
    runtime = f"openvino {openvino.__version__.partition('-')[0]}"
    about = Artifact(path.name, "openvino", checksum_of_file(*files), sizes, runtime, settings)
    shape = model.inputs[0].partial_shape
    takes = tuple(None if size.is_dynamic else int(size.get_length()) for size in list(shape)[1:])
    return FileRuntime(_Compiled(compiled), about, rows, takes, path, open_openvino, (precision,))


class _Compiled:
    """A compiled model."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def __call__(self, inputs: Tensor) -> Tensor:
        outputs = torch.from_numpy(self._compiled(inputs.numpy())[0].copy())
        if outputs.ndim != 2 or len(outputs) != len(inputs):
            raise InputError(f"the model returns {tuple(outputs.shape)} for {len(inputs)} images; not (n, classes)")
        return outputs.float()


def _rows(name: str, model: Any) -> int | None:
    """Return how many images a model takes at once; None for any number."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        counts = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise InputError(f"{name} has {counts}; convert a model that maps images to logits alone")
    kind = model.inputs[0].element_type.get_type_name()
    if kind != "f32":
        raise InputError(f"{name} takes inputs of type {kind}; convert the model with float inputs")
    batch = model.inputs[0].partial_shape[0]
    return None if batch.is_dynamic else int(batch.get_length())
