"""onnxruntime as the judge of an ONNX file, and the graph that it runs."""

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantattack.deployed.base import Artifact
from quantattack.deployed.onnx.ends import Levels, in_batches, to_rows
from quantattack.deployed.onnx.file import OnnxFile, read_file
from quantattack.deployed.processor import features
from quantattack.errors import InputError, unknown
from quantattack.reading import message_of

LEVELS = {"off": "DISABLE_ALL", "basic": "ENABLE_BASIC", "extended": "ENABLE_EXTENDED", "all": "ENABLE_ALL"}
_PREFIX = re.compile(
    r"^(\[ONNXRuntimeError\] : \d+ : \w+ : )?(Load model from .*? failed:)?(This is an invalid model\. )?"
)
PROVIDER = "CPUExecutionProvider"


def open_session(path: Path | str, level: str, threads: int, optimized: Path | None = None) -> Any:
    """Return an onnxruntime session of a file.

    Arguments:
        path: The file, which passed all checks.
        level: How far the runtime rewrites the graph: "off", "basic", "extended" or "all".
        threads: How many threads one call uses.
        optimized: Where to save the graph that is run, or nowhere.

    Raises:
        InputError: If there is no such level, or onnxruntime refuses the file.
    """
    import onnxruntime

    if level not in LEVELS:
        raise unknown("optimization level", level, LEVELS)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{LEVELS[level]}")
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the cores to torch
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[PROVIDER])
    except Exception as error:  # onnxruntime raises errors of its own classes
        raise InputError(f"onnxruntime refuses {Path(path).name}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """What onnxruntime says, without its codes and paths."""
    return message_of(ValueError(_PREFIX.sub("", str(error))))


def optimized_model(file: OnnxFile, level: str) -> Any:
    """Return the model that onnxruntime runs at a level, as a `ModelProto`.

    What goes beyond "extended" are layouts of one processor: the same operators in another order of memory.

    Arguments:
        file: The file.
        level: The judge's level.

    Raises:
        InputError: If onnxruntime refuses the file.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        open_session(file.path, "extended" if level == "all" else level, 1, path)
        model = onnx.load(str(path), load_external_data=False)
        try:
            onnx.load_external_data_for_model(model, str(file.path.parent))  # what was not rewritten stays where it was
        except Exception as error:  # onnx raises errors of several classes
            raise InputError(f"cannot read the external data of {file.path.name}: {message_of(error)}") from None
        return model


class OnnxRuntime:
    """Runs an ONNX file in onnxruntime; deep copies share it, and a pickled one opens its file again.

    Arguments:
        file: The file, which passed all checks.
        level: How far the runtime rewrites the graph: "off", "basic", "extended" or "all".
        threads: How many threads one call uses; torch's number where none is given.
        input_levels: Grid of the input where the file takes integers.
        output_levels: Grid of the output where it gives integers.
    """

    def __init__(
        self,
        file: OnnxFile,
        level: str = "extended",
        threads: int | None = None,
        input_levels: Levels | None = None,
        output_levels: Levels | None = None,
    ) -> None:
        import onnxruntime

        self.path, self.level = file.path, level
        self.threads = torch.get_num_threads() if threads is None else threads
        self.input_levels, self.output_levels = input_levels, output_levels
        self.input, self.output = file.ends
        settings = {"level": level, "provider": PROVIDER, "processor": features()}
        settings |= {f"external data {name}": digest for name, digest in file.external.items()}
        version = f"onnxruntime {onnxruntime.__version__}"
        self._artifact = Artifact(file.path.name, "onnx", file.sha256, file.bytes, version, settings)
        self._session = open_session(file.path, level, self.threads)

    @property
    def artifact(self) -> Artifact:
        """The file and what runs it."""
        return self._artifact

    def __call__(self, inputs: Tensor) -> Tensor:
        check_shape(inputs, self.input.shape)
        values = inputs.detach().float().cpu()
        if self.input_levels is not None:
            values = self.input_levels.quantize(values)
        array = np.ascontiguousarray(values.numpy().astype(_NUMPY[self.input.kind], copy=False))
        size = None if self.input.shape is None else self.input.shape[0]
        batches = [torch.from_numpy(array)] if size is None else in_batches(torch.from_numpy(array), size)
        outputs = torch.cat([self._run(batch) for batch in batches])[: len(inputs)]
        real = outputs if self.output_levels is None else self.output_levels.dequantize(outputs)
        return to_rows(real).to(inputs.device)

    def _run(self, batch: Tensor) -> Tensor:
        try:
            (outputs,) = self._session.run([self.output.name], {self.input.name: batch.numpy()})
        except Exception as error:  # onnxruntime raises errors of its own classes
            raise InputError(f"onnxruntime cannot run {self.path.name}: {_reason(error)}") from None
        return torch.from_numpy(np.asarray(outputs, np.float32))

    def __deepcopy__(self, memo: object) -> "OnnxRuntime":
        return self

    def __reduce__(self) -> Any:
        grids = (self.input_levels, self.output_levels)
        return _reopen, (str(self.path.resolve()), self._artifact.sha256, self.level, self.threads, *grids)

    def __repr__(self) -> str:
        return f"OnnxRuntime({self._artifact.name}, level={self.level!r})"


_NUMPY: dict[str, Any] = {
    "float": np.float32,
    "uint8": np.uint8,
    "int8": np.int8,
    "uint16": np.uint16,
    "int16": np.int16,
}


def check_shape(inputs: Tensor, shape: tuple[int | None, ...] | None) -> None:
    """Raise InputError unless inputs fit what a file takes, whatever the number of rows.

    Arguments:
        inputs: The inputs.
        shape: The file's input shape; none for an axis of any size.

    Raises:
        InputError: If they do not fit.
    """
    if shape is None:
        return
    fits = inputs.ndim == len(shape) and all(
        size in (None, given) for size, given in zip(shape[1:], inputs.shape[1:], strict=True)
    )
    if not fits:
        raise InputError(f"the model takes inputs of shape {shape}, not {tuple(inputs.shape)}; nothing is resized")


def _reopen(path: str, sha256: str, level: str, threads: int, *levels: Levels | None) -> OnnxRuntime:
    """Open a pickled runtime's file again, unless it has changed."""
    file = read_file(path)
    if file.sha256 != sha256:
        raise InputError(f"{path} has changed since the run began; give the file that the run began with")
    return OnnxRuntime(file, level, threads, *levels)
