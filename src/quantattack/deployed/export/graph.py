"""ONNX graphs of networks: traced by torch, folded, stamped, and written so that equal networks give equal bytes."""

import io
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from quantattack.errors import InputError, one_line
from quantattack.types import Images

Proto: TypeAlias = Any  # onnx.ModelProto; the package has no types
OPSET = 17
INPUT, OUTPUT = "images", "logits"


def onnx_packages() -> tuple[Any, Any]:
    """Return the packages onnx and onnxruntime.

    Raises:
        InputError: If one of them is missing.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise InputError(f"ONNX files need {error.name}; pip install 'quantattack[onnx]'") from None
    return onnx, onnxruntime


def traced(network: nn.Module, images: Images) -> Proto:
    """Return the ONNX graph of a network, with any number of images in a batch.

    Arguments:
        network: A frozen network in eval mode.
        images: Some images with shape (n, ...), to trace it with.

    Raises:
        InputError: If torch cannot export the network.
    """
    onnx, _ = onnx_packages()
    buffer: Any = io.BytesIO()
    names: dict[str, Any] = {"input_names": [INPUT], "output_names": [OUTPUT]}
    names["dynamic_axes"] = {INPUT: {0: "n"}, OUTPUT: {0: "n"}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, on its exporters and on tracing
            torch.onnx.export(network, (images[:2],), buffer, dynamo=False, opset_version=OPSET, **names)
    except Exception as error:  # the exporter raises many kinds, and the network's own code runs inside it
        raise InputError(f"torch cannot export the network: {one_line(error)[:200]}") from None
    return onnx.load_from_string(buffer.getvalue())


def simplified(proto: Proto) -> Proto:
    """Return the graph with constants as initializers, BatchNorms folded, and spatial means as pooling.

    A BatchNorm is folded into the convolution or linear layer before it; past a max pooling too where every slope of
    it is positive, since rising functions and maxima commute.  Every other one stays.  For the same reason ReLU and
    Clip come before a max pooling, next to their convolution: onnxruntime's tool drops a ReLU after it otherwise.
    """
    onnx, _ = onnx_packages()
    folded = onnx.ModelProto()
    folded.CopyFrom(proto)
    _constants_to_initializers(folded.graph)
    for norm in [node for node in folded.graph.node if node.op_type == "BatchNormalization"]:
        _fold(folded.graph, norm)
    for activation in [node for node in folded.graph.node if node.op_type in ("Relu", "Clip")]:
        _before_pooling(folded.graph, activation)
    inferred = onnx.shape_inference.infer_shapes(folded)
    ranks = {info.name: len(info.type.tensor_type.shape.dim) for info in inferred.graph.value_info}
    for mean in [node for node in inferred.graph.node if node.op_type == "ReduceMean"]:
        if ranks.get(mean.input[0]) == 4:
            _pool(inferred.graph, mean)
    _drop_unused(inferred.graph)
    del inferred.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(inferred)


def stamped(proto: Proto, about: Mapping[str, str]) -> bytes:
    """Return a graph's bytes, with who made it and what is known of it; equal graphs give equal bytes.

    Arguments:
        proto: The graph.
        about: What is known of it, by name.
    """
    onnx, _ = onnx_packages()
    proto.producer_name, proto.producer_version = "quantattack", version("quantattack")
    proto.doc_string = proto.graph.doc_string = ""
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, dict(sorted(about.items())))
    onnx.checker.check_model(proto)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def initializers(graph: Any) -> dict[str, Any]:
    """Return the arrays of a graph's initializers, by name."""
    onnx, _ = onnx_packages()
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}


def attribute(node: Any, name: str, otherwise: Any = None) -> Any:
    """Return an attribute of a node."""
    onnx, _ = onnx_packages()
    return next((onnx.helper.get_attribute_value(found) for found in node.attribute if found.name == name), otherwise)


def _constants_to_initializers(graph: Any) -> None:
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = attribute(node, "value")
        if tensor is not None:
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
            graph.node.remove(node)


def _fold(graph: Any, norm: Any) -> None:
    """Fold a BatchNorm into the layer before it, where there is one that nothing else uses."""
    arrays = initializers(graph)
    if any(name not in arrays for name in norm.input[1:]):
        return
    scale, bias, mean, variance = (arrays[name].astype(np.float64) for name in norm.input[1:5])
    slope = scale / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
    below, layer = norm, _alone_before(graph, norm)
    if layer is not None and layer.op_type == "MaxPool" and bool((slope > 0).all()):
        below, layer = layer, _alone_before(graph, layer)
    if layer is None or not _takes(layer, arrays):
        return
    shift = bias - mean * slope
    if len(layer.input) > 2:
        shift = shift + slope * arrays[layer.input[2]]
    weight = arrays[layer.input[1]] * slope.reshape(-1, *[1] * (arrays[layer.input[1]].ndim - 1))
    names = [f"{layer.input[1]}.folded", f"{layer.input[1]}.shift"]
    _add(graph, names[0], weight)
    _add(graph, names[1], shift)
    layer.input[1:] = names
    if below is norm:
        layer.output[0] = norm.output[0]
    else:
        below.output[0] = norm.output[0]
    graph.node.remove(norm)


def _before_pooling(graph: Any, activation: Any) -> None:
    """Move a ReLU or Clip from behind a max pooling to before it."""
    pool = _alone_before(graph, activation)
    if pool is None or pool.op_type != "MaxPool":
        return
    between = pool.output[0]
    activation.input[0], pool.input[0] = pool.input[0], between
    activation.output[0], pool.output[0] = between, activation.output[0]
    moved = type(activation)()
    moved.CopyFrom(activation)
    graph.node.remove(activation)
    graph.node.insert(list(graph.node).index(pool), moved)


def _takes(layer: Any, arrays: Mapping[str, Any]) -> bool:
    """Whether slopes of its outputs can be folded into a layer's weights."""
    if layer.op_type not in ("Conv", "Gemm") or any(name not in arrays for name in layer.input[1:]):
        return False
    plain = all(attribute(layer, name, 1.0) == 1.0 for name in ("alpha", "beta"))
    return plain and (layer.op_type == "Conv" or attribute(layer, "transB", 0) == 1)


def _alone_before(graph: Any, node: Any) -> Any:
    """The node that makes another's first input, if nothing else uses it."""
    name = node.input[0]
    users = [other for other in graph.node if name in other.input]
    makers = [other for other in graph.node if name in other.output]
    if len(users) != 1 or len(makers) != 1 or name in [output.name for output in graph.output]:
        return None
    return makers[0]


def _add(graph: Any, name: str, values: Any) -> None:
    onnx, _ = onnx_packages()
    graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))


def _pool(graph: Any, mean: Any) -> None:
    """Put pooling in the place of a mean over height and width."""
    onnx, _ = onnx_packages()
    axes = attribute(mean, "axes")
    if axes is None or sorted(axis % 4 for axis in axes) != [2, 3]:
        return
    flat = attribute(mean, "keepdims", 1) == 0
    pooled = f"{mean.output[0]}.pooled" if flat else mean.output[0]
    nodes = [onnx.helper.make_node("GlobalAveragePool", [mean.input[0]], [pooled], f"{mean.name}.pool")]
    if flat:
        nodes.append(onnx.helper.make_node("Flatten", [pooled], [mean.output[0]], f"{mean.name}.flat", axis=1))
    place = list(graph.node).index(mean)
    graph.node.remove(mean)
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)


def _drop_unused(graph: Any) -> None:
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
