"""Loads an ONNX file: its twin, its judge, and what the file says about its pixels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from quantattack.deployed.onnx.ends import Levels, in_batches
from quantattack.deployed.onnx.file import MOST_BYTES, OnnxFile, read_file
from quantattack.deployed.onnx.graph import read_graph
from quantattack.deployed.onnx.runtime import OnnxRuntime, optimized_model
from quantattack.deployed.onnx.twin import OnnxTwin
from quantattack.errors import InputError
from quantattack.reading import message_of

_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class LoadedOnnx:
    """An ONNX file, loaded.

    Arguments:
        twin: The differentiable twin; maps the file's float inputs to logits.
        runtime: onnxruntime, which judges.
        softmax: Whether the file ends in a softmax, which the twin's logits leave out.
        input_shape: Shape of the inputs; none for an axis of any size, as the batch usually is.
        layout: "nchw", "nhwc" or "flat" as the shape tells; none if it does not.
        levels: Grid of the inputs, with the range that it covers; none for a file that does not round them first.
        integers: Whether the file itself takes integers, so that `levels` is all it can be shown.
        classes: How many classes there are.
        quantized: Whether anything in the file is quantized; else it is a float file, attacked as it is.
        metadata: What the file's maker wrote into it.
    """

    twin: OnnxTwin
    runtime: OnnxRuntime
    softmax: bool
    input_shape: tuple[int | None, ...]
    layout: str | None
    levels: Levels | None
    integers: bool
    classes: int
    quantized: bool
    metadata: Mapping[str, str]


def load_onnx(
    path: str | Path,
    *,
    level: str = "extended",
    threads: int | None = None,
    size: tuple[int, int] | None = None,
    most: int = MOST_BYTES,
) -> LoadedOnnx:
    """Load an ONNX file as a twin and a judge.

    The twin is made of the graph that onnxruntime runs at the judge's level, not of the file's, because it is that
    graph's numbers that count.

    Arguments:
        path: The file.
        level: How far the judge rewrites the graph: "off", "basic", "extended" or "all".
        threads: How many threads the judge uses; torch's number where none is given.
        size: Height and width of the images where the file leaves them open.
        most: Largest size of the file in bytes, external data included.

    Raises:
        InputError: If the file cannot be read or run, is no classifier, or has an operator without a twin.
    """
    file = read_file(path, most)
    graph = read_graph(optimized_model(file, level))
    shape, layout = _shape_of(file, size)
    twin = _guarded(lambda: OnnxTwin(graph), file).eval()
    if shape[0] is not None and not _takes_any_rows(twin, shape):
        twin = OnnxTwin(graph, shape[0]).eval()
    ends = twin.ends
    runtime = OnnxRuntime(file, level, threads, ends.input_levels if ends.integers else None, ends.output_levels)
    classes = _try_out(twin, runtime, shape, file)
    quantized = any("Linear" in node.operator or node.operator == "QGemm" for node in graph.nodes)
    metadata = {entry.key: entry.value for entry in file.model.metadata_props}
    return LoadedOnnx(
        twin, runtime, ends.softmax, shape, layout, ends.input_levels, ends.integers, classes, quantized, metadata
    )


def _guarded(build: Callable[[], OnnxTwin], file: OnnxFile) -> OnnxTwin:
    """What a damaged graph makes torch raise, as one line."""
    try:
        return build()
    except InputError:
        raise
    except Exception as error:  # attributes and constants of any kind may be wrong
        raise InputError(f"no twin of {file.path.name} can be built: {message_of(error)}") from None


def _shape_of(file: OnnxFile, size: tuple[int, int] | None) -> tuple[tuple[int | None, ...], str | None]:
    shape = file.ends[0].shape
    assert shape is not None  # what has no shape was refused
    if len(shape) == 2:
        return shape, "flat"
    layout = "nchw" if shape[1] in _CHANNELS else "nhwc" if shape[3] in _CHANNELS else None
    if size is not None:
        axes = (2, 3) if layout != "nhwc" else (1, 2)
        given = dict(zip(axes, size, strict=True))
        shape = tuple(stated or given.get(axis) for axis, stated in enumerate(shape))
    if any(axis is None for axis in shape[1:]):
        raise InputError(f"{file.path.name} takes inputs of shape {shape}; state the images' height and width")
    return shape, layout


def _try_out(twin: OnnxTwin, runtime: OnnxRuntime, shape: tuple[int | None, ...], file: OnnxFile) -> int:
    """Run both once and return the number of classes."""
    inputs = _random_inputs(shape, twin.ends.input_levels)
    outputs = runtime(inputs)
    if outputs.ndim != 2 or len(outputs) != len(inputs) or outputs.shape[1] < 2:
        raise InputError(f"{file.path.name} gives outputs of shape {tuple(outputs.shape)}, not (n, classes)")
    try:
        with torch.no_grad():
            found = (twin.outputs(inputs), twin(inputs))
    except Exception as error:  # a graph that torch cannot run as the runtime does
        raise InputError(f"the twin of {file.path.name} does not run: {message_of(error)}") from None
    if any(logits.shape != outputs.shape for logits in found):
        raise InputError(f"the twin of {file.path.name} gives other shapes than onnxruntime")
    return int(outputs.shape[1])


def _random_inputs(shape: tuple[int | None, ...], levels: Levels | None) -> Tensor:
    """Inputs of two batches, over the range that the file rounds to."""
    sizes = (2 * (shape[0] or 1), *(size or 1 for size in shape[1:]))
    values = torch.rand(sizes, generator=torch.Generator().manual_seed(0))
    return values if levels is None else levels.low + (levels.high - levels.low) * values


def _takes_any_rows(twin: OnnxTwin, shape: tuple[int | None, ...]) -> bool:
    """Whether rows shown together give what they give in batches of the size that the file states."""
    rows, inputs = shape[0] or 1, _random_inputs(shape, twin.ends.input_levels)
    try:
        with torch.no_grad():
            together = twin.outputs(inputs)
            apart = torch.cat([twin.outputs(batch) for batch in in_batches(inputs, rows)])
    except Exception:  # shapes of the fixed batch are written into the graph
        return False
    return together.shape == apart.shape and bool(torch.allclose(together, apart, rtol=1e-3, atol=1e-4))
