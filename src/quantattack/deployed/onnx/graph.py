"""The graph of an ONNX model as plain data: nodes, constants, and the types of its ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantattack.deployed.onnx.grid import LIMITS
from quantattack.errors import InputError

DOMAINS = ("", "ai.onnx", "com.microsoft")


@dataclass(frozen=True)
class Node:
    """One node of a graph.

    Arguments:
        operator: The operator's name.
        domain: The operator's domain; empty for ONNX's own.
        name: The node's name, for messages.
        inputs: Names of its input values; an empty name is an input that is left out.
        outputs: Names of its output values.
        attributes: Its attributes, tensors among them as torch tensors.
    """

    operator: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """The input or the output of a graph.

    Arguments:
        name: The value's name.
        kind: Element type, such as "float" or "uint8".
        shape: Its axes; none for an axis of any size, and no shape at all where the file states none.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Graph:
    """A graph with one input and one output.

    Arguments:
        nodes: The nodes in the order in which they run.
        constants: The weights by name: numbers of 8 bits and fewer, and of 16 bits, as float32 on their integer grid.
        kinds: The element type of each constant.
        input: The input.
        output: The output.
        opset: Version of ONNX's own operators.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Tensor]
    kinds: Mapping[str, str]
    input: End
    output: End
    opset: int


def kind_name(kind: int) -> str:
    """Return the name of an ONNX element type, such as "float" or "uint8".

    Arguments:
        kind: Number of the element type.
    """
    import onnx

    return str(onnx.TensorProto.DataType.Name(kind)).lower()


def end_of(value: Any) -> End:
    """Return an input or output of an ONNX graph as plain data.

    Arguments:
        value: A `ValueInfoProto`.

    Raises:
        InputError: If it is no tensor.
    """
    if not value.type.HasField("tensor_type"):
        raise InputError(f"{value.name!r} is no tensor; give a classifier with one tensor in and one out")
    tensor = value.type.tensor_type
    sizes = [size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else None for size in tensor.shape.dim]
    return End(value.name, kind_name(tensor.elem_type), tuple(sizes) if tensor.HasField("shape") else None)


def ends_of(graph: Any) -> tuple[End, End]:
    """Return the one input and the one output of an ONNX graph.

    Arguments:
        graph: A `GraphProto`.

    Raises:
        InputError: If it has several of either.
    """
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [end_of(value) for value in graph.input if value.name not in weights]
    outputs = [end_of(value) for value in graph.output]
    for found, what in ((inputs, "inputs"), (outputs, "outputs")):
        if len(found) != 1:
            names = ", ".join(end.name for end in found[:4]) or "none"
            raise InputError(f"the model has {len(found)} {what} ({names}); give a classifier with one of each")
    return inputs[0], outputs[0]


def read_graph(model: Any) -> Graph:
    """Return the graph of an ONNX model.

    Arguments:
        model: A `ModelProto`, its weights inside.

    Raises:
        InputError: If it has several inputs or outputs, or weights of a type that is not supported.
    """
    constants = {tensor.name: (_tensor(tensor), kind_name(tensor.data_type)) for tensor in model.graph.initializer}
    nodes = tuple(_node(node) for node in model.graph.node)
    values = {name: value for name, (value, _) in constants.items()}
    kinds = {name: kind for name, (_, kind) in constants.items()}
    return Graph(nodes, values, kinds, *ends_of(model.graph), opset_of(model))


def opset_of(model: Any) -> int:
    """Return the version of ONNX's own operators that a model uses.

    Arguments:
        model: A `ModelProto`.
    """
    return int(max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1))


def _node(node: Any) -> Node:
    attributes = {attribute.name: _attribute(attribute) for attribute in node.attribute}
    domain = "" if node.domain == "ai.onnx" else node.domain
    return Node(node.op_type, domain, node.name, tuple(node.input), tuple(node.output), attributes)


def _attribute(attribute: Any) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return _tensor(value) if isinstance(value, onnx.TensorProto) else value


def _tensor(tensor: Any) -> Tensor:
    import onnx

    kind = kind_name(tensor.data_type)
    if kind in LIMITS:
        return torch.from_numpy(onnx.numpy_helper.to_array(tensor).astype(np.float32))
    if kind not in ("float", "double", "int32", "int64", "bool"):
        raise InputError(f"weights of type {kind} ({tensor.name!r}) are not supported; save the model in float32")
    return torch.from_numpy(np.array(onnx.numpy_helper.to_array(tensor)))  # a copy: the file's bytes cannot be written
