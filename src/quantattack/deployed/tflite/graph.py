"""What a TFLite file says, read from its flatbuffer and checked: tensors, operators with their options, constants."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from quantattack.deployed.tflite.damage import check_integers, check_structure
from quantattack.errors import InputError

Constant = npt.NDArray[Any]

TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}
LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
_LARGEST = 1 << 28  # elements of one tensor: more than any classifier of images has
_LISTS = ("ReshapeOptions", "SqueezeOptions")  # options whose first field is a list
_FREE_OF_OPTIONS = {"RELU", "RELU6", "RELU_N1_TO_1", "LOGISTIC", "TANH", "PADV2", "SHAPE"}


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph.

    Arguments:
        index: Its number in the file.
        shape: Its shape, for one image.
        type: The type of its numbers, such as "int8".
        scale: The step of its integer grid, one for each channel or one in all; empty for a float tensor.
        zero: Zero point of each scale.
        axis: The dimension of the channels that have a scale each.
        data: What it holds if it is constant.
    """

    index: int
    shape: tuple[int, ...]
    type: str
    scale: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    zero: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    axis: int = 0
    data: Constant | None = None

    @property
    def quantized(self) -> bool:
        """Whether its numbers lie on an 8-bit grid."""
        return self.type in LIMITS and len(self.scale) > 0


@dataclass(frozen=True, eq=False)
class Node:
    """An operator of the graph.

    Arguments:
        name: The name of its code, such as "CONV_2D".
        inputs: Its inputs; None for one that is left out.
        output: Its output.
        options: Its options by name, such as "strideW".
    """

    name: str
    inputs: tuple[Value | None, ...]
    output: Value
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Graph:
    """The one graph of a file, with one input and one output.

    Arguments:
        nodes: Its operators, in the order in which they run.
        input: What goes in, with shape (1, ...).
        output: What comes out, with shape (1, k).
    """

    nodes: tuple[Node, ...]
    input: Value
    output: Value


def read_graph(data: bytes) -> Graph:
    """Return the graph of a TFLite file.

    Arguments:
        data: The file's bytes.

    Raises:
        InputError: If the file is no TFLite model, damaged, or no classifier of one image at a time.
    """
    from ai_edge_litert import schema_py_generated as schema

    check_structure(data)
    model = schema.Model.GetRootAs(data, 0)
    if model.SubgraphsLength() != 1:
        raise InputError(f"the file has {model.SubgraphsLength()} graphs; a classifier has one")
    graph = model.Subgraphs(0)
    ends = [_list(graph.InputsAsNumpy()), _list(graph.OutputsAsNumpy())]
    for what, indices in zip(("inputs", "outputs"), ends, strict=True):
        if len(indices) != 1:
            raise InputError(f"the file has {len(indices)} {what}; a classifier of images has one input and one output")
    values = [_value(model, graph.Tensors(index), index) for index in range(graph.TensorsLength())]
    nodes = tuple(_node(data, model, graph.Operators(index), values) for index in range(graph.OperatorsLength()))
    return _checked(Graph(nodes, _at(values, ends[0][0]), _at(values, ends[1][0])))


def _checked(graph: Graph) -> Graph:
    """Return a graph whose every operator takes what is there by then, and whose ends are a classifier's."""
    there, constant = {graph.input.index}, graph.input.data is not None or graph.output.data is not None
    for node in graph.nodes:
        late = [value.index for value in node.inputs if value and value.data is None and value.index not in there]
        if late or node.output.index in there or node.output.data is not None:
            raise InputError(f"the file is damaged: its {node.name} takes or gives a tensor out of order")
        there.add(node.output.index)
    if constant or graph.output.index not in there or not graph.nodes:
        raise InputError("the file computes nothing of its input")
    _check_ends(graph.input.shape, graph.output.shape)
    for value in (graph.input, graph.output):
        if value.type != "float32" and not value.quantized:
            raise InputError(f"the file takes or gives {value.type}; only float32, int8 and uint8 are read")
    return graph


def _check_ends(takes: tuple[int, ...], gives: tuple[int, ...]) -> None:
    if len(gives) != 2 or gives[0] != 1 or gives[1] < 2:
        raise InputError(f"the file is no classifier: its output has shape {gives}, not (1, classes)")
    if len(takes) < 2 or takes[0] != 1:
        raise InputError(f"the file takes inputs of shape {takes}; only files made for one image at a time are read")


def _value(model: Any, tensor: Any, index: int) -> Value:
    code = int(tensor.Type())
    if tensor.Sparsity() is not None or tensor.VariantTensorsLength():
        raise InputError(f"tensor {index} is sparse or a variant, which is not read")
    shape = tuple(int(size) for size in _list(tensor.ShapeAsNumpy()))
    kind = TYPES.get(code, f"type {code}")
    free = [int(size) for size in _list(tensor.ShapeSignatureAsNumpy())]
    if min(shape, default=1) < 1 or math.prod(shape) > _LARGEST or -1 in free[1:]:
        raise InputError(f"tensor {index} has shape {free or shape}; sizes must be fixed, but for the number of images")
    scale, zero, axis = _grid(tensor.Quantization(), index, shape)
    buffer = int(tensor.Buffer())
    if buffer >= model.BuffersLength():
        raise InputError(f"the file is damaged: tensor {index} names a buffer that is not there")
    held = _constant(model.Buffers(buffer), kind, shape, index)
    return Value(index, shape, kind, scale, zero, axis, held)


def _grid(
    quantization: Any, index: int, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], int]:
    if quantization is None or not quantization.ScaleLength():
        return np.zeros(0, np.float32), np.zeros(0, np.int64), 0
    scale = np.array(quantization.ScaleAsNumpy(), np.float32)
    zero = np.array(_list(quantization.ZeroPointAsNumpy()), np.int64)
    axis = int(quantization.QuantizedDimension())
    if quantization.Details() is not None:
        raise InputError(f"tensor {index} is quantized in a way of its own, which is not read")
    sound = bool(np.isfinite(scale).all()) and float(scale.min()) >= np.finfo(np.float32).tiny
    fitting = len(scale) == 1 or (0 <= axis < len(shape) and shape[axis] == len(scale))
    if not sound or not fitting or len(zero) not in (0, 1, len(scale)):
        raise InputError(f"the file is damaged: tensor {index} has scales that are no scales")
    return scale, np.broadcast_to(zero if len(zero) else np.zeros(1, np.int64), scale.shape), axis


def _constant(buffer: Any, kind: str, shape: tuple[int, ...], index: int) -> Constant | None:
    if buffer.Offset() or buffer.Size():
        raise InputError("the file keeps its weights outside the flatbuffer, which is not read")
    if not buffer.DataLength():
        return None
    if kind not in TYPES.values():
        raise InputError(f"tensor {index} holds numbers of {kind}, which are not read")
    held = np.frombuffer(buffer.DataAsNumpy().tobytes(), np.uint8)
    if len(held) != math.prod(shape) * np.dtype(kind).itemsize:
        raise InputError(f"the file is damaged: tensor {index} holds {len(held)} bytes, its shape is {shape}")
    return held.view(kind).reshape(shape)


def _node(data: bytes, model: Any, operator: Any, values: list[Value]) -> Node:
    name = _name(model, int(operator.OpcodeIndex()))
    outputs = _list(operator.OutputsAsNumpy())
    if len(outputs) != 1:
        raise InputError(f"the file is damaged: its {name} gives {len(outputs)} tensors")
    inputs = tuple(None if index == -1 else _at(values, index) for index in _list(operator.InputsAsNumpy()))
    if operator.BuiltinOptions2() is not None:
        raise InputError(f"the file's {name} has options that are not read")
    return Node(name, inputs, _at(values, outputs[0]), _options(data, operator, name))


def _name(model: Any, index: int) -> str:
    from ai_edge_litert import schema_py_generated as schema

    if index >= model.OperatorCodesLength():
        raise InputError("the file is damaged: an operator names a code that is not there")
    code = model.OperatorCodes(index)
    number = max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))
    name = _names(schema.BuiltinOperator).get(number, f"operator {number}")
    if name == "CUSTOM":
        called = (code.CustomCode() or b"").decode(errors="replace")
        raise InputError(f"the file has the custom operator {called!r}; only TFLite's own are read")
    return name


def _options(data: bytes, operator: Any, name: str) -> Mapping[str, Any]:
    """Return the options of an operator by name; only those of operators that are read have to be known."""
    from ai_edge_litert import schema_py_generated as schema

    kind = _names(schema.BuiltinOptions).get(int(operator.BuiltinOptionsType()), "NONE")
    table = operator.BuiltinOptions()
    if table is None or kind == "NONE":
        return {}
    if kind in _LISTS:
        check_integers(data, int(table.Pos), 0)
    options = getattr(schema, kind)()
    options.Init(table.Bytes, table.Pos)
    if kind in _LISTS or name in _FREE_OF_OPTIONS:
        return {"kind": kind}
    unpacked = getattr(schema, f"{kind}T")()
    return {"kind": kind, **{key: _scalar(options, key) for key in vars(unpacked)}}


def _scalar(options: Any, key: str) -> Any:
    """Return an option that is a number; a list or a table, which no operator that is read has, is left out."""
    read = getattr(options, key[:1].upper() + key[1:], None)
    if read is None or getattr(read, "__code__", None) is None or read.__code__.co_argcount != 1:
        return None
    value = read()
    return value if isinstance(value, (bool, int, float)) else None


@cache
def _names(enumeration: type) -> Mapping[int, str]:
    """Return the names of one of the schema's enumerations by number."""
    return {number: name for name, number in vars(enumeration).items() if not name.startswith("_")}


def _at(values: list[Value], index: int) -> Value:
    if not 0 <= index < len(values):
        raise InputError("the file is damaged: an operator names a tensor that is not there")
    return values[index]


def _list(numbers: Any) -> list[int]:
    """Return a vector of the flatbuffer; where it is left out the reader gives 0."""
    return [] if isinstance(numbers, int) else [int(number) for number in numbers]
