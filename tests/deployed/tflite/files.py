"""Small TFLite files, and the comparison of a file's twin with the interpreter, for tests alone."""

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from deployed.tflite.writer import Writer
from quantattack.deployed.tflite.graph import read_graph
from quantattack.deployed.tflite.twin import TfliteTwin

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
HALVES = (0.5, 0.25, 0.125, 0.75, 0.1875)  # scales whose ratios make many halves


def interpreter(data, kernels="xnnpack", **settings):
    resolver = OpResolverType.BUILTIN_REF if kernels == "reference" else OpResolverType.AUTO
    made = Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=resolver, **settings)
    made.allocate_tensors()
    return made


def judged(data, rows, kernels="xnnpack"):
    """What the interpreter makes of inputs as the file stores them, row by row."""
    made = interpreter(data, kernels)
    taken, given = made.get_input_details()[0]["index"], made.get_output_details()[0]["index"]
    outputs = []
    for row in rows:
        made.set_tensor(taken, row[None])
        made.invoke()
        outputs.append(made.get_tensor(given))
    return np.concatenate(outputs)


def twin_of(data, kernels="xnnpack"):
    """The twin, with the same knowledge of the delegate as a loaded file's."""
    graph = read_graph(data)
    parts = interpreter(data, kernels, experimental_disable_delegate_node_fusion=True)._get_ops_details()
    computed = {int(index) for part in parts if part["op_name"] == "DELEGATE" for index in part["outputs"]}
    delegated = frozenset(at for at, node in enumerate(graph.nodes) if node.output.index in computed)
    twin = TfliteTwin(graph, delegated, kernels == "reference")
    twin.check_shapes(graph.input.shape)
    return graph, twin


def real(rows, value):
    """Stored numbers as real ones."""
    rows = torch.from_numpy(rows.astype(np.float32))
    return (rows - float(value.zero[0])) * float(value.scale[0]) if value.quantized else rows


def random_rows(graph, count, seed=0):
    """Inputs as the file stores them, over all that it can store."""
    rng, shape = np.random.default_rng(seed), (count, *graph.input.shape[1:])
    if graph.input.type == "float32":
        return rng.normal(0, 2, shape).astype(np.float32)
    low, high = LIMITS[graph.input.type]
    return rng.integers(low, high + 1, shape).astype(graph.input.type)


def steps_off(data, kernels="xnnpack", rows=None, count=6, seed=0):
    """By how many steps of the output's grid twin and interpreter differ, number by number."""
    graph, twin = twin_of(data, kernels)
    rows = random_rows(graph, count, seed) if rows is None else rows
    with torch.no_grad():
        searched = twin.outputs(real(rows, graph.input))
    difference = (searched - real(judged(data, rows, kernels), graph.output)).abs()
    return difference / (float(graph.output.scale[0]) if graph.output.quantized else 1.0)


def flat(writer, tensor, size, kind="int8", scale=None, zero=0):
    """End a file in a classifier's output, (1, size), and return its bytes."""
    shape = writer.tensor((2,), "int32", data=[1, size])
    output = writer.tensor((1, size), kind, scale, zero)
    writer.operator("RESHAPE", [tensor, shape], [output], schema.ReshapeOptionsT(newShape=[1, size]))
    return writer.bytes([0], [output])


def grid(rng, kind, halves):
    """A random grid: one of `HALVES`, or any."""
    scale = rng.choice(HALVES) if halves else np.exp(rng.normal(-3, 0.5))
    return float(np.float32(scale)), int(rng.integers(LIMITS[kind][0], LIMITS[kind][1] + 1))


def residual(seed=0, kind="int8", size=8, channels=8, classes=5, softmax=True, mean=True, float_ends=False):
    """A small residual network as deployed: convolutions, a sum, a mean or a pool, a layer, and a softmax."""
    rng, writer = np.random.default_rng(seed), Writer()
    low = LIMITS[kind][0]
    given = writer.tensor((1, size, size, 3), "float32") if float_ends else None
    inputs = writer.tensor((1, size, size, 3), kind, 1 / 255, low)
    if float_ends:
        writer.operator("QUANTIZE", [given], [inputs], schema.QuantizeOptionsT())
    first = convolved(writer, rng, inputs, 3, channels, size, kind, 1 / 255, 0.02, low, "relu")
    second = convolved(writer, rng, first, channels, channels, size, kind, 0.02, 0.05, low + 128, "none")
    joined = writer.tensor((1, size, size, channels), kind, 0.04, low)
    writer.operator("ADD", [first, second], [joined], schema.AddOptionsT(fusedActivationFunction=1), 2)
    pooled, scale, zero = _pooled(writer, joined, size, channels, kind, mean)
    weight = rng.integers(-127, 128, (classes, channels))
    layer = fully_connected(writer, pooled, weight, kind, scale, zero, 0.05, low + 128)
    if not softmax:
        return writer.bytes([inputs], [layer])
    output = writer.tensor((1, classes), kind, 1 / 256, low)
    writer.operator("SOFTMAX", [layer], [output], schema.SoftmaxOptionsT(beta=1.0), 2)
    if not float_ends:
        return writer.bytes([inputs], [output])
    real_output = writer.tensor((1, classes), "float32")
    writer.operator("DEQUANTIZE", [output], [real_output], schema.DequantizeOptionsT(), 2)
    return writer.bytes([given], [real_output])


def _pooled(writer, joined, size, channels, kind, mean):
    low = LIMITS[kind][0]
    if mean:
        axes = writer.tensor((2,), "int32", data=[1, 2])
        pooled = writer.tensor((1, channels), kind, 0.02, low)
        writer.operator("MEAN", [joined, axes], [pooled], schema.ReducerOptionsT(keepDims=False), 2)
        return pooled, 0.02, low
    options = schema.Pool2DOptionsT(padding=1, strideH=size, strideW=size, filterHeight=size, filterWidth=size)
    pooled = writer.tensor((1, 1, 1, channels), kind, 0.04, low)
    writer.operator("AVERAGE_POOL_2D", [joined], [pooled], options, 2)
    return pooled, 0.04, low


def convolved(writer, rng, inputs, taken, given, size, kind, scale, step, zero, activation):
    """Add a 3x3 convolution with a scale for each channel (int8) or one in all (uint8), and return its output."""
    each = given if kind == "int8" else 1
    scales = np.exp(rng.normal(-5, 0.3, each)).astype(np.float32)
    weight = rng.integers(-127, 128, (given, 3, 3, taken)) + (0 if kind == "int8" else 128)
    kernel = writer.tensor(weight.shape, kind, scales, 0 if kind == "int8" else 128, data=weight)
    bias = rng.integers(-3000, 3000, given)
    biases = writer.tensor((given,), "int32", scales * np.float32(scale), data=bias)
    output = writer.tensor((1, size, size, given), kind, step, zero)
    options = schema.Conv2DOptionsT(
        padding=0, strideW=1, strideH=1, fusedActivationFunction={"none": 0, "relu": 1}[activation]
    )
    writer.operator("CONV_2D", [inputs, kernel, biases], [output], options, 3)
    return output


def fully_connected(writer, inputs, weight, kind, scale, zero, step, given_zero):
    """Add a fully connected layer, and return its output."""
    shift = 0 if kind == "int8" else 128
    kernel = writer.tensor(weight.shape, kind, 0.01, shift, data=np.clip(weight + shift, *LIMITS[kind]))
    biases = writer.tensor((len(weight),), "int32", 0.01 * scale, data=np.arange(len(weight)) * 50)
    output = writer.tensor((1, len(weight)), kind, step, given_zero)
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=0)
    writer.operator("FULLY_CONNECTED", [inputs, kernel, biases], [output], options, 4)
    return output
