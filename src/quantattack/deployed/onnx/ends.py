"""What stands at the ends of a graph: the grid of the pixels, the softmax that the search leaves out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.deployed.onnx.call import Call, Grid
from quantattack.deployed.onnx.graph import Graph, Node
from quantattack.deployed.onnx.grid import LIMITS, to_grid
from quantattack.errors import InputError

_MOVES = ("Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")  # change no number
_PASSES = (*_MOVES, "QuantizeLinear", "DequantizeLinear", "Cast")  # may follow a softmax

# Positions of scale and zero point of the first input, and of the output.
_READS = {"DequantizeLinear": (1, 2), "QLinearConv": (1, 2), "QGemm": (1, 2), "QLinearMatMul": (1, 2)}
_READS |= dict.fromkeys(("QLinearAdd", "QLinearMul", "QLinearAveragePool", "QLinearGlobalAveragePool"), (1, 2))
_WRITES = {"QuantizeLinear": (1, 2), "QLinearConv": (6, 7), "QGemm": (7, 8), "QLinearMatMul": (6, 7)}
_WRITES |= {"QLinearAdd": (6, 7), "QLinearMul": (6, 7), "QLinearSoftmax": (3, 4), "QLinearSigmoid": (3, 4)}
_WRITES |= {"QLinearLeakyRelu": (3, 4), "QLinearAveragePool": (3, 4), "QLinearGlobalAveragePool": (3, 4)}


@dataclass(frozen=True)
class Levels:
    """The integer grid of a file's input or output: ``real = scale (level - zero)``.

    Arguments:
        kind: Type of the levels, such as "uint8".
        scale: Step between two levels, in units of the file's float inputs.
        zero: Level of the real 0.
    """

    kind: str
    scale: float
    zero: float

    @property
    def low(self) -> float:
        """The smallest number that the grid holds."""
        return self.scale * (LIMITS[self.kind][0] - self.zero)

    @property
    def high(self) -> float:
        """The largest number that the grid holds."""
        return self.scale * (LIMITS[self.kind][1] - self.zero)

    def quantize(self, values: Tensor) -> Tensor:
        """Return the levels of real numbers, rounded half to even, in their dtype, with derivative 1 / scale."""
        return to_grid(values / self.scale, self.zero, *LIMITS[self.kind])

    def dequantize(self, levels: Tensor) -> Tensor:
        """Return the real numbers of levels."""
        return (levels - self.zero) * self.scale


@dataclass(frozen=True)
class Ends:
    """What a twin must know of the ends of its graph.

    Arguments:
        logits: Name of the value that enters the softmax at the end; of the output where there is none.
        softmax: Whether there is one.
        logit_levels: Grid of the logits where they are levels.
        output_levels: Grid of the output where it is levels.
        input_levels: Grid of the input: what the file takes where it takes integers, else what it first rounds to.
        integers: Whether the file itself takes integers.
    """

    logits: str
    softmax: bool
    logit_levels: Levels | None
    output_levels: Levels | None
    input_levels: Levels | None
    integers: bool


def find_ends(graph: Graph) -> Ends:
    """Return what stands at the ends of a graph.

    Arguments:
        graph: The graph.

    Raises:
        InputError: If the input or output is of a type that no grid makes real numbers of.
    """
    producers = {name: node for node in graph.nodes for name in node.outputs}
    last = _last_softmax(graph, producers)
    output_levels = _output_levels(graph, producers)
    integers = graph.input.kind != "float"
    levels = _input_levels(graph, integers)
    if last is None:
        return Ends(graph.output.name, False, output_levels, output_levels, levels, integers)
    logit_levels = None
    if last.operator == "QLinearSoftmax":
        logit_levels = _levels(graph, last, (1, 2))
    return Ends(last.inputs[0], True, logit_levels, output_levels, levels, integers)


def _last_softmax(graph: Graph, producers: Mapping[str, Node]) -> Node | None:
    for node in _upwards(graph.output.name, producers):
        if node.operator in ("Softmax", "QLinearSoftmax"):
            return node
        if node.operator not in _PASSES:
            return None
    return None


def _upwards(name: str, producers: Mapping[str, Node]) -> Iterator[Node]:
    """Yield the node that makes a value, the one that makes its first input, and so on."""
    while name in producers:
        yield producers[name]
        name = producers[name].inputs[0] if producers[name].inputs else ""


def _output_levels(graph: Graph, producers: Mapping[str, Node]) -> Levels | None:
    if graph.output.kind == "float":
        return None
    for node in _upwards(graph.output.name, producers):
        if node.operator in _WRITES:
            return _levels(graph, node, _WRITES[node.operator])
        if node.operator not in _MOVES:
            break
    raise InputError(
        f"the output is {graph.output.kind} and states no scale; give a classifier with real-valued or quantized logits"
    )


def _input_levels(graph: Graph, integers: bool) -> Levels | None:
    found = _first_grid(graph, graph.input.name, _READS if integers else {"QuantizeLinear": (1, 2)})
    if found is None and integers:
        raise InputError(
            f"the input is {graph.input.kind} and states no scale; give a model whose input is float32, or quantized"
        )
    return found


def _first_grid(graph: Graph, name: str, readers: Mapping[str, tuple[int, int]]) -> Levels | None:
    """The grid that the first reader of a value states, through nodes that change no number."""
    for node in graph.nodes:
        if not node.inputs or node.inputs[0] != name:
            continue
        if node.operator in readers:
            return _levels(graph, node, readers[node.operator])
        if node.operator == "Cast" and graph.input.kind in LIMITS:
            return Levels(graph.input.kind, 1.0, 0.0)
        if node.operator in _MOVES:
            return _first_grid(graph, node.outputs[0], readers)
    return None


def _levels(graph: Graph, node: Node, positions: tuple[int, int]) -> Levels | None:
    grid: Grid = Call(node, graph.constants, graph.kinds, graph.opset).grid(*positions)
    if grid.scale.numel() != 1:
        return None
    kinds = {limits: kind for kind, limits in LIMITS.items()}
    return Levels(kinds[int(grid.low), int(grid.high)], float(grid.scale.flatten()[0]), grid.origin)


def to_rows(values: Tensor) -> Tensor:
    """Return logits with shape (n, k) of a tensor whose other axes have size 1."""
    return values.flatten(1) if values.ndim > 2 else values


def in_batches(values: Tensor, size: int) -> list[Tensor]:
    """Return the rows in batches of one size, the last padded with copies of its last row.

    Arguments:
        values: A tensor with shape (n, ...), n at least 1.
        size: How many rows each batch has.
    """
    missing = -len(values) % size
    rows = torch.cat([values, values[-1:].expand(missing, *values.shape[1:])]) if missing else values
    return [rows[first : first + size] for first in range(0, len(rows), size)]
