"""Opens a TFLite file: its twin, its runtime, and what of its input it says itself."""

from dataclasses import dataclass
from pathlib import Path

from quantattack.deployed.tflite.graph import LIMITS, Graph, Value, read_graph
from quantattack.deployed.tflite.runtime import KERNELS, TfliteRuntime
from quantattack.deployed.tflite.trial import tried
from quantattack.deployed.tflite.twin import TfliteTwin
from quantattack.errors import InputError, check_count, unknown

_LARGEST = 1 << 31  # bytes: offsets of a flatbuffer reach no further
_RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))  # what pixels usually mean
_CHANNELS = (1, 3)


@dataclass(frozen=True, eq=False)
class LoadedTflite:
    """A TFLite file, opened.

    Arguments:
        twin: Its differentiable twin.
        runtime: The interpreter that judges.
        softmax: Whether the file ends in a softmax, which the twin's logits leave out.
        input_shape: Shape of one input.
        layout: "nhwc", "nchw" or "flat", as the input's shape has it.
        input_type: "int8", "uint8" or "float32".
        input_scale: Step of the input's grid; 0 for a float input.
        input_zero: Zero point of the input's grid; 0 for a float input.
        pixel_range: What black and white are to the input, if its grid, or that onto which the file quantizes a float
            input first, is that of one of the usual ranges; else None.
        classes: Number of classes.
        float_file: Whether nothing in the file is quantized.
    """

    twin: TfliteTwin
    runtime: TfliteRuntime
    softmax: bool
    input_shape: tuple[int, ...]
    layout: str
    input_type: str
    input_scale: float
    input_zero: int
    pixel_range: tuple[float, float] | None
    classes: int
    float_file: bool


def load_tflite(path: Path | str, *, kernels: str = "xnnpack", threads: int = 1) -> LoadedTflite:
    """Open a TFLite file.

    The file is checked before anything runs it, and the interpreter opens it first in a process of its own.

    Arguments:
        path: The file.
        kernels: What the interpreter runs it with: "xnnpack", its default, or "reference".
        threads: Threads of the interpreter.

    Raises:
        InputError: If it is no TFLite classifier that can be read and run, or the extra is missing.
    """
    if kernels not in KERNELS:
        raise unknown("kernels", kernels, KERNELS)
    check_count("threads", threads)
    _check_installed()
    path = Path(path)
    try:
        return _loaded(path, _bytes_of(path), kernels, threads)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error


def _loaded(path: Path, data: bytes, kernels: str, threads: int) -> LoadedTflite:
    graph = read_graph(data)
    TfliteTwin(graph).check_shapes(graph.input.shape)  # what is not read is refused before the interpreter sees it
    computed = tried(data, kernels)
    delegated = frozenset(at for at, node in enumerate(graph.nodes) if node.output.index in computed)
    twin = TfliteTwin(graph, delegated, kernels == "reference")
    runtime = TfliteRuntime(path, data, graph, kernels, threads, len(delegated))
    takes = graph.input
    scale, zero = (float(takes.scale[0]), int(takes.zero[0])) if takes.quantized else (0.0, 0)
    return LoadedTflite(
        twin=twin,
        runtime=runtime,
        softmax=twin.softmax,
        input_shape=takes.shape[1:],
        layout=_layout(takes.shape[1:]),
        input_type=takes.type,
        input_scale=scale,
        input_zero=zero,
        pixel_range=_range(_first_grid(graph)),
        classes=graph.output.shape[1],
        float_file=_is_float(graph),
    )


def _check_installed() -> None:
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError as error:
        raise InputError("TFLite files need ai-edge-litert: pip install 'quantattack[tflite]'") from error


def _bytes_of(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size >= _LARGEST:
            raise InputError(f"the file has {size} bytes, more than a TFLite file can have")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}") from error


def _layout(shape: tuple[int, ...]) -> str:
    if len(shape) != 3:
        return "flat"
    return "nchw" if shape[0] in _CHANNELS and shape[2] not in _CHANNELS else "nhwc"


def _range(value: Value) -> tuple[float, float] | None:
    """Return the usual range that the input's grid covers to within a step."""
    if not value.quantized:
        return None
    scale, zero = float(value.scale[0]), int(value.zero[0])
    low, high = (scale * (end - zero) for end in LIMITS[value.type])
    return next((span for span in _RANGES if abs(low - span[0]) <= scale and abs(high - span[1]) <= scale), None)


def _first_grid(graph: Graph) -> Value:
    """Return the first tensor on a grid where the file quantizes a float input itself, else the input."""
    made = [node.output for node in graph.nodes if node.name == "QUANTIZE" and graph.input in node.inputs]
    return made[0] if made else graph.input


def _is_float(graph: Graph) -> bool:
    return not any(node.output.quantized for node in graph.nodes) and not graph.input.quantized
