"""The interpreter that runs a TFLite file and judges."""

from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from quantattack.deployed.base import Artifact
from quantattack.deployed.processor import features
from quantattack.deployed.tflite.graph import Graph, Value, read_graph
from quantattack.deployed.tflite.greeting import without_greeting
from quantattack.deployed.tflite.grid import grid_of
from quantattack.deployed.tflite.opening import ROWS
from quantattack.deployed.tflite.quantization import input_levels
from quantattack.errors import InputError

Rows: TypeAlias = npt.NDArray[Any]

KERNELS = ("xnnpack", "reference")


class TfliteRuntime:
    """Runs a TFLite file with the interpreter; deep copies share it, and a pickled one opens its file again.

    Arguments:
        path: The file.
        data: Its bytes.
        graph: What it says.
        kernels: "xnnpack", the default of the interpreter, or "reference".
        threads: Threads of the interpreter.
        delegated: How many of the operators XNNPACK runs.

    Raises:
        InputError: If the interpreter refuses the file.
    """

    def __init__(self, path: Path, data: bytes, graph: Graph, kernels: str, threads: int, delegated: int) -> None:
        self.path, self.kernels, self.threads, self.delegated = path.resolve(), kernels, threads, delegated
        self.data, self.takes, self.gives = data, graph.input, graph.output
        self.operators = len(graph.nodes)
        self.single = self._session(1)
        # the reference kernels gain nothing by it
        self.several = self._batched() if kernels == "xnnpack" else None

    @property
    def artifact(self) -> Artifact:
        """The file and what runs it."""
        settings = {
            "kernels": self.kernels,
            "delegate": f"{self.delegated} of {self.operators} operators" if self.delegated else "none",
            "threads": str(self.threads),
            "processor": features(),
        }
        name, size = self.path.name, len(self.data)
        return Artifact(name, "tflite", sha256(self.data).hexdigest(), size, litert(), settings)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the file's outputs, float32 with shape (n, k).

        Arguments:
            inputs: The file's float inputs with shape (n, ...).

        Raises:
            InputError: If they are not of the shape that the file takes.
        """
        if tuple(inputs.shape[1:]) != self.takes.shape[1:]:
            raise InputError(
                f"{self.path.name} takes inputs of shape {self.takes.shape[1:]}, not {tuple(inputs.shape[1:])}"
            )
        outputs = self._run(self._stored(inputs.detach().cpu()))
        return _real(outputs, self.gives).to(inputs.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> "TfliteRuntime":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (str(self.path), sha256(self.data).hexdigest(), self.kernels, self.threads, self.delegated)
        return reopened, arguments

    def _run(self, rows: Rows) -> Rows:
        several = len(rows) // ROWS * ROWS if self.several is not None else 0
        parts = [self.several(rows[at : at + ROWS]) for at in range(0, several, ROWS)] if self.several else []
        parts += [self.single(rows[at : at + 1]) for at in range(several, len(rows))]
        return np.concatenate(parts) if parts else np.zeros((0, *self.gives.shape[1:]), self.gives.type)

    def _stored(self, inputs: Tensor) -> Rows:
        """Return inputs as the file stores them: float32, or 8-bit levels with their zero point."""
        if self.takes.type == "float32":
            return inputs.float().contiguous().numpy()
        grid = grid_of(self.takes, "input")
        levels = input_levels(inputs, grid) + grid.zero
        return levels.contiguous().numpy().astype(self.takes.type)

    def _session(self, rows: int) -> "_Session":
        with without_greeting():
            return _Session(opened(self.data, self.kernels, self.threads), rows)

    def _batched(self) -> "_Session | None":
        """Return a session for several images at once, if its outputs are the same bit by bit as not all are."""
        shape = (2 * ROWS, *self.takes.shape[1:])
        random = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        rows = self._stored(_real(_spread(random, self.takes), self.takes))
        try:
            session = self._session(ROWS)
            together = np.concatenate([session(rows[:ROWS]), session(rows[ROWS:])])
        except (RuntimeError, ValueError):  # its shapes are fixed, as those of a reshape may be
            return None
        alone = np.concatenate([self.single(rows[at : at + 1]) for at in range(len(rows))])
        return session if together.shape == alone.shape and together.tobytes() == alone.tobytes() else None


class _Session:
    """An interpreter for a number of images at once."""

    def __init__(self, interpreter: Any, rows: int) -> None:
        self.interpreter = interpreter
        taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        self.input, self.output = taken["index"], given["index"]
        if rows != 1:
            interpreter.resize_tensor_input(self.input, [rows, *taken["shape"][1:]])
            interpreter.allocate_tensors()

    def __call__(self, rows: Rows) -> Rows:
        self.interpreter.set_tensor(self.input, rows)
        self.interpreter.invoke()
        outputs: Rows = self.interpreter.get_tensor(self.output)
        return outputs


def opened(data: bytes, kernels: str, threads: int) -> Any:
    """Return an interpreter of a file.

    Arguments:
        data: The file's bytes.
        kernels: "xnnpack" or "reference".
        threads: Its threads.

    Raises:
        InputError: If it refuses the file.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_REF if kernels == "reference" else OpResolverType.AUTO
    try:
        interpreter = Interpreter(model_content=data, num_threads=threads, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"the interpreter refuses the file: {str(error).splitlines()[0]}") from error
    return interpreter


def reopened(path: str, checksum: str, kernels: str, threads: int, delegated: int) -> TfliteRuntime:
    """Open a file again in another process.

    Arguments:
        path: The file.
        checksum: The SHA-256 that it must have.
        kernels: "xnnpack" or "reference".
        threads: Threads of the interpreter.
        delegated: How many of the operators XNNPACK runs.

    Raises:
        InputError: If it is gone, or another file by now.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be opened again: {error.strerror}") from error
    if sha256(data).hexdigest() != checksum:
        raise InputError(f"{path} has changed since it was loaded; load it again")
    return TfliteRuntime(Path(path), data, read_graph(data), kernels, threads, delegated)


def litert() -> str:
    """Return the name and version of the runtime."""
    return f"ai-edge-litert {version('ai-edge-litert')}"


def _real(rows: Rows, value: Value) -> Tensor:
    if value.type == "float32":
        return torch.from_numpy(rows.astype(np.float32))
    grid = grid_of(value, "output")
    # the difference first, in whole numbers: the same product as the twin's
    return torch.from_numpy(rows.astype(np.float32) - np.float32(grid.zero)) * grid.scale


def _spread(random: Tensor, value: Value) -> Rows:
    """Return numbers in [0, 1) as stored inputs over the whole range of an 8-bit tensor, or to 255 of a float one."""
    if value.type == "float32":
        return (255 * random).numpy()
    grid = grid_of(value, "input")
    return (random * 256).floor().numpy() + grid.low + grid.zero
