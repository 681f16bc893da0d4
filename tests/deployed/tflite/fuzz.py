"""Files of one operator each, with random sizes and options, and scales that make many halves when rescaled."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from deployed.tflite.files import LIMITS, flat, grid, steps_off
from deployed.tflite.writer import ACTIVATIONS, Writer

JOINED = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT}
AXES = [(1, 2), (1,), (2,), (3,), (2, 3), (1, 2), (-2, -3), (1, 3)]


def every_level(kind):
    """One row with every number that the type has."""
    return np.arange(LIMITS[kind][0], LIMITS[kind][1] + 1).astype(kind)[None]


def function(rng, name, kind, case, gives=None):
    """A function of one number, at every level."""
    gives = gives or kind
    low = LIMITS[gives][0]
    fixed = {"LOGISTIC": (1 / 256, low), "TANH": (1 / 128, low + 128)}
    alpha = 0.125 if case % 2 else float(rng.uniform(0, 1))
    options = {
        "QUANTIZE": schema.QuantizeOptionsT(),
        "HARD_SWISH": schema.HardSwishOptionsT(),
        "LEAKY_RELU": schema.LeakyReluOptionsT(alpha=alpha),
    }
    writer = Writer()
    inputs = writer.tensor((1, 256), kind, *grid(rng, kind, case % 2))
    output = writer.tensor((1, 256), gives, *(fixed.get(name) or grid(rng, gives, case % 2)))
    version = 1 if name in ("HARD_SWISH", "RELU_N1_TO_1") else 2
    writer.operator(name, [inputs], [output], options.get(name), version)
    return writer.bytes([inputs], [output]), every_level(kind)


def to_the_other_type(rng, name, kind, case):
    """QUANTIZE from int8 to uint8 or back, at every level."""
    return function(rng, "QUANTIZE", kind, case, "uint8" if kind == "int8" else "int8")


def to_levels(rng, name, kind, case):
    """QUANTIZE of float numbers, at every half and at random, and DEQUANTIZE back."""
    scale, zero = grid(rng, kind, case % 2)
    writer = Writer()
    inputs, output = writer.tensor((1, 512), "float32"), writer.tensor((1, 512), "float32")
    levels = writer.tensor((1, 512), kind, scale, zero)
    writer.operator("QUANTIZE", [inputs], [levels], schema.QuantizeOptionsT())
    writer.operator("DEQUANTIZE", [levels], [output], schema.DequantizeOptionsT(), 2)
    halves = (np.arange(-256, 256, dtype=np.float32) + 0.5) * np.float32(scale)
    rows = np.stack([halves, rng.normal(0, 60 * scale, 512).astype(np.float32)])
    return writer.bytes([inputs], [output]), rows


def joined(rng, name, kind, case):
    """A sum, difference or product, at every pair of levels."""
    left, right, given = (grid(rng, kind, case % 2) for _ in range(3))
    if name == "MUL":
        given = (float(np.float32(given[0] * left[0] * 60)), given[1])
    writer = Writer()
    inputs = writer.tensor((1, 1, 256), kind, *left)
    other = writer.tensor((1, 256, 1), kind, *right, data=every_level(kind).reshape(1, 256, 1))
    output = writer.tensor((1, 256, 256), kind, *given)
    writer.operator(name, [inputs, other], [output], JOINED[name](fusedActivationFunction=case % 2), 2)
    return flat(writer, output, 65536, kind, *given), every_level(kind)[None]


def weighted(rng, name, kind, case):
    """A file with one convolution or layer of random sizes, strides, padding, dilation and activation."""
    taken, given = int(rng.choice([1, 3, 8])), int(rng.choice([4, 8]))
    size, stride, padding = (int(rng.choice(some)) for some in ([1, 3, 5], [1, 2], [0, 1]))
    dilation = int(rng.choice([1, 2])) if stride == 1 and size == 3 else 1
    if name == "DEPTHWISE_CONV_2D":
        given = taken * int(rng.choice([1, 2]))
    shape = {
        "CONV_2D": (given, size, size, taken),
        "DEPTHWISE_CONV_2D": (1, size, size, given),
        "FULLY_CONNECTED": (given, 64 * taken),
    }[name]
    terms = size * size if name == "DEPTHWISE_CONV_2D" else int(np.prod(shape[1:]))
    each = given if kind == "int8" and name != "FULLY_CONNECTED" and rng.random() < 0.7 else 1
    halves = case % 2
    scale = 0.5 if halves else float(np.float32(np.exp(rng.normal(-3, 0.7))))
    scales = np.full(each, 0.25, np.float32) if halves else np.exp(rng.normal(-4, 0.5, each)).astype(np.float32)
    step = float(
        np.float32(2.0 ** np.round(np.log2(8 * terms**0.5)) if halves else scale * scales.mean() * 70 * terms**0.5)
    )
    low, high = LIMITS[kind]
    zeros = rng.integers(low, high + 1, 2)
    shift = 0 if kind == "int8" else int(rng.integers(1, 255))
    writer = Writer()
    inputs = writer.tensor((1, 8, 8, taken), kind, scale, zeros[0])
    weight = rng.integers(-127 if kind == "int8" else 0, high + 1, shape)
    axis = 3 if name == "DEPTHWISE_CONV_2D" else 0
    kernel = writer.tensor(shape, kind, scales, shift, data=weight, axis=axis)
    biases = writer.tensor((given,), "int32", scales * np.float32(scale), data=rng.integers(-2000, 2000, given))
    activation = int(rng.choice(list(ACTIVATIONS.values())))
    span = (size - 1) * dilation + 1
    side = -(-8 // stride) if padding == 0 else (8 - span) // stride + 1
    window = {"padding": padding, "strideW": stride, "strideH": stride, "fusedActivationFunction": activation}
    window |= {"dilationWFactor": dilation, "dilationHFactor": dilation}
    options = {
        "CONV_2D": lambda: schema.Conv2DOptionsT(**window),
        "DEPTHWISE_CONV_2D": lambda: schema.DepthwiseConv2DOptionsT(depthMultiplier=given // taken, **window),
        "FULLY_CONNECTED": lambda: schema.FullyConnectedOptionsT(fusedActivationFunction=activation),
    }[name]()
    out = (1, given) if name == "FULLY_CONNECTED" else (1, side, side, given)
    output = writer.tensor(out, kind, step, zeros[1])
    version = 1 if kind == "uint8" else 4 if name == "FULLY_CONNECTED" else 3
    writer.operator(name, [inputs, kernel, biases], [output], options, version)
    return flat(writer, output, int(np.prod(out)), kind, step, int(zeros[1])), None


def pooled(rng, name, kind, case):
    """A pool of random size, stride, padding and activation."""
    size, stride, padding = (int(rng.integers(*some)) for some in ((2, 5), (1, 3), (0, 2)))
    side = -(-8 // stride) if padding == 0 else (8 - size) // stride + 1
    there, writer = grid(rng, kind, False), Writer()
    inputs = writer.tensor((1, 8, 8, 3), kind, *there)
    output = writer.tensor((1, side, side, 3), kind, *there)
    options = schema.Pool2DOptionsT(
        padding=padding,
        strideW=stride,
        strideH=stride,
        filterWidth=size,
        filterHeight=size,
        fusedActivationFunction=case % 2,
    )
    writer.operator(name, [inputs], [output], options, 2)
    return flat(writer, output, 3 * side * side, kind, *there), None


def reduced(rng, name, kind, case):
    """A mean or sum over random dimensions, kept or not, between two grids or on one."""
    axes = AXES[case % len(AXES)]
    shape = (1, int(rng.integers(2, 9)), int(rng.integers(2, 9)), 5)
    taken, given = grid(rng, kind, case % 2), grid(rng, kind, case % 2)
    given = taken if case % 3 == 2 else given
    summed, keep = {axis % 4 for axis in axes}, bool(case % 2)
    kept = [size for axis, size in enumerate(shape) if axis not in summed]
    out = [1 if axis in summed else size for axis, size in enumerate(shape)] if keep else kept
    writer = Writer()
    inputs, output = writer.tensor(shape, kind, *taken), writer.tensor(out, kind, *given)
    along = writer.tensor((len(axes),), "int32", data=axes)
    writer.operator(name, [inputs, along], [output], schema.ReducerOptionsT(keepDims=keep), 2)
    return flat(writer, output, int(np.prod(kept)), kind, *given), None


def softmax(rng, name, kind, case):
    """A softmax or its logarithm over 2, 10 or 100 classes."""
    classes, scale = (2, 10, 100)[case % 3], float(np.float32(np.exp(rng.normal(-2, 1))))
    low, high = LIMITS[kind]
    given = (1 / 256, low) if name == "SOFTMAX" else (16 / 256, high)
    beta = schema.SoftmaxOptionsT(beta=0.5 if case % 2 else 1.0)
    writer = Writer()
    inputs = writer.tensor((1, classes), kind, scale, int(rng.integers(low, high)))
    output = writer.tensor((1, classes), kind, *given)
    options = beta if name == "SOFTMAX" else schema.LogSoftmaxOptionsT()
    writer.operator(name, [inputs], [output], options, 2)
    return writer.bytes([inputs], [output]), None


MAKERS = {  # what makes a file of each operator
    **dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH"), function),
    "QUANTIZE": function,
    "QUANTIZE to the other type": to_the_other_type,
    "QUANTIZE of floats, DEQUANTIZE": to_levels,
    **dict.fromkeys(("ADD", "SUB", "MUL"), joined),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), weighted),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), pooled),
    **dict.fromkeys(("MEAN", "SUM"), reduced),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), softmax),
}
NAMES = tuple(MAKERS)


def refused(name, kind, kernels):
    """Whether the file is not read: the reference kernels add int8 numbers without their scale."""
    return (name, kind, kernels) == ("SUM", "int8", "reference")


def off(name, kind, kernels, cases=8, count=16):
    """By how many steps twin and interpreter differ on random files of one operator, number by number."""
    rng, found = np.random.default_rng(0), []
    for case in range(cases):
        data, rows = MAKERS[name](rng, name, kind, case)
        found.append(steps_off(data, kernels, rows, count, case).flatten().numpy())
    return np.concatenate(found)
