"""Each operator alone against the interpreter, with scales that make many halves: what rounds, and where."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from deployed.tflite.files import HALVES, LIMITS, flat, grid, steps_off
from deployed.tflite.writer import ACTIVATIONS, Writer

KINDS, KERNELS = ("int8", "uint8"), ("xnnpack", "reference")
JOINED = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT}


def every_level(kind):
    """One row with every number that the type has."""
    return np.arange(LIMITS[kind][0], LIMITS[kind][1] + 1).astype(kind)[None]


def unary(name, kind, taken, given, options=None, version=1, gives=None):
    writer = Writer()
    inputs = writer.tensor((1, 256), kind, *taken)
    output = writer.tensor((1, 256), gives or kind, *given)
    writer.operator(name, [inputs], [output], options, version)
    return writer.bytes([inputs], [output])


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE"]
)
def test_functions_of_one_number_at_every_level(name, kind, kernels):
    rng, low = np.random.default_rng(0), LIMITS[kind][0]
    fixed = {"LOGISTIC": (1 / 256, low), "TANH": (1 / 128, low + 128)}
    options = {"QUANTIZE": schema.QuantizeOptionsT(), "HARD_SWISH": schema.HardSwishOptionsT()}.get(name)
    for case in range(10):
        if name == "LEAKY_RELU":
            options = schema.LeakyReluOptionsT(alpha=0.125 if case % 2 else float(rng.uniform(0, 1)))
        given = fixed.get(name) or grid(rng, kind, case % 2)
        version = 1 if name in ("HARD_SWISH", "RELU_N1_TO_1") else 2
        data = unary(name, kind, grid(rng, kind, case % 2), given, options, version)
        assert steps_off(data, kernels, every_level(kind)).max() < 0.01


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("kind", "gives"), [("int8", "uint8"), ("uint8", "int8")])
def test_one_type_to_the_other_at_every_level(kind, gives, kernels):
    rng = np.random.default_rng(0)
    for case in range(8):
        taken, given = grid(rng, kind, case % 2), grid(rng, gives, case % 2)
        data = unary("QUANTIZE", kind, taken, given, schema.QuantizeOptionsT(), 2, gives)
        assert steps_off(data, kernels, every_level(kind)).max() < 0.01


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
def test_float_numbers_to_levels_and_back(kind, kernels):
    rng = np.random.default_rng(0)
    for case in range(6):
        scale, zero = grid(rng, kind, case % 2)
        writer = Writer()
        inputs = writer.tensor((1, 512), "float32")
        levels = writer.tensor((1, 512), kind, scale, zero)
        output = writer.tensor((1, 512), "float32")
        writer.operator("QUANTIZE", [inputs], [levels], schema.QuantizeOptionsT())
        writer.operator("DEQUANTIZE", [levels], [output], schema.DequantizeOptionsT(), 2)
        halves = (np.arange(-256, 256, dtype=np.float32) + 0.5) * np.float32(scale)
        rows = np.stack([halves, rng.normal(0, 60 * scale, 512).astype(np.float32)])
        assert steps_off(writer.bytes([inputs], [output]), kernels, rows).max() / scale < 0.01


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", JOINED)
def test_sums_and_products_at_every_pair_of_levels(name, kind, kernels):
    rng = np.random.default_rng(0)
    for case in range(4):
        left, right, given = (grid(rng, kind, case % 2) for _ in range(3))
        if name == "MUL":
            given = (float(np.float32(given[0] * left[0] * 60)), given[1])
        writer = Writer()
        inputs = writer.tensor((1, 1, 256), kind, *left)
        other = writer.tensor((1, 256, 1), kind, *right, data=every_level(kind).reshape(1, 256, 1))
        output = writer.tensor((1, 256, 256), kind, *given)
        options = JOINED[name](fusedActivationFunction=case % 2)
        writer.operator(name, [inputs, other], [output], options, 2)
        data = flat(writer, output, 65536, kind, *given)
        assert steps_off(data, kernels, every_level(kind)[None]).max() < 0.01


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", JOINED)
def test_two_computed_tensors(name, kind, kernels):
    rng, writer = np.random.default_rng(1), Writer()
    left, right, given = (grid(rng, kind, False) for _ in range(3))
    inputs = writer.tensor((1, 4, 4, 3), kind, *left)
    other, output = writer.tensor((1, 4, 4, 3), kind, *right), writer.tensor((1, 4, 4, 3), kind, *given)
    writer.operator("QUANTIZE", [inputs], [other], schema.QuantizeOptionsT(), 2)
    writer.operator(name, [inputs, other], [output], JOINED[name](fusedActivationFunction=0), 2)
    assert steps_off(flat(writer, output, 48, kind, *given), kernels, count=20).max() < 0.01


def convolution(rng, name, kind, case):
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
    return flat(writer, output, int(np.prod(out)), kind, step, int(zeros[1]))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_products_with_weights(name, kind, kernels):
    rng = np.random.default_rng(0)
    for case in range(14):
        off = steps_off(convolution(rng, name, kind, case), kernels, count=8, seed=case)
        assert off.max() < 0.01, f"case {case}: {(off > 0.01).float().mean():%}"


def test_a_sum_that_float32_does_not_hold():
    rng, writer = np.random.default_rng(0), Writer()
    inputs = writer.tensor((1, 64, 64), "int8", 0.1, -128)
    weight = writer.tensor((8, 4096), "int8", 0.1, data=np.full((8, 4096), 127) - rng.integers(0, 2, (8, 4096)))
    biases = writer.tensor((8,), "int32", 0.01, data=[1, -(2**30), 2**24 + 1, -(2**26) - 3, 0, 5, 7, 2**23])
    output = writer.tensor((1, 8), "int8", 0.01 * 2**20, -20)
    writer.operator("FULLY_CONNECTED", [inputs, weight, biases], [output], schema.FullyConnectedOptionsT(), 4)
    assert steps_off(writer.bytes([inputs], [output]), count=40).max() < 0.01


def test_a_bias_that_float32_does_not_hold_comes_after_the_sum():
    rng, writer = np.random.default_rng(0), Writer()
    inputs = writer.tensor((1, 4, 4, 4), "int8", 0.1, -128)
    scales = np.array([0.1, 1e-7, 0.1, 3e-7], np.float32)
    kernel = writer.tensor((4, 1, 1, 4), "int8", scales, data=rng.integers(-127, 128, (4, 1, 1, 4)))
    biases = writer.tensor((4,), "int32", scales, data=[100, 2**30, -500, -(2**27) - 1])
    output = writer.tensor((1, 4, 4, 4), "int8", 30.0, -20)
    options = schema.Conv2DOptionsT(padding=0, strideW=1, strideH=1)
    writer.operator("CONV_2D", [inputs, kernel, biases], [output], options, 3)
    assert steps_off(flat(writer, output, 64, "int8", 30.0, -20), count=40).max() < 0.01


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools(name, kind, kernels):
    rng = np.random.default_rng(0)
    for case in range(8):
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
        assert steps_off(flat(writer, output, 3 * side * side, kind, *there), kernels, seed=case).max() < 0.01


@pytest.mark.parametrize(("kernels", "name"), [("xnnpack", "MEAN"), ("xnnpack", "SUM"), ("reference", "MEAN")])
@pytest.mark.parametrize("kind", KINDS)
def test_means_and_sums(name, kind, kernels):
    rng = np.random.default_rng(0)
    for case, axes in enumerate([(1, 2), (1,), (2,), (3,), (2, 3), (1, 2), (-2, -3), (1, 3)]):
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
        data = flat(writer, output, int(np.prod(kept)), kind, *given)
        assert steps_off(data, kernels, count=16, seed=case).max() < 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "most"), [("SOFTMAX", 0.01), ("LOG_SOFTMAX", 0.01)])
def test_softmaxes(name, most, kind):
    rng, (low, high) = np.random.default_rng(0), LIMITS[kind]
    for classes in (2, 10, 100):
        for beta in (1.0, 0.5):
            scale = float(np.float32(np.exp(rng.normal(-2, 1))))
            given = (1 / 256, low) if name == "SOFTMAX" else (16 / 256, high)
            options = schema.SoftmaxOptionsT(beta=beta) if name == "SOFTMAX" else schema.LogSoftmaxOptionsT()
            writer = Writer()
            inputs = writer.tensor((1, classes), kind, scale, int(rng.integers(low, high)))
            output = writer.tensor((1, classes), kind, *given)
            writer.operator(name, [inputs], [output], options, 2)
            assert steps_off(writer.bytes([inputs], [output]), count=200, seed=classes).max() < most


def test_the_reference_softmax_is_off_by_a_step_at_most_and_rarely():
    writer = Writer()
    inputs, output = writer.tensor((1, 10), "int8", 0.15, 3), writer.tensor((1, 10), "int8", 1 / 256, -128)
    writer.operator("SOFTMAX", [inputs], [output], schema.SoftmaxOptionsT(beta=1.0), 2)
    off = steps_off(writer.bytes([inputs], [output]), "reference", count=2000)
    assert off.max() < 1.01
    assert (off > 0.01).float().mean() < 1e-3


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
def test_operators_that_only_move_numbers(kind, kernels):
    rng, writer = np.random.default_rng(0), Writer()
    there = grid(rng, kind, False)

    def tensor(*shape):
        return writer.tensor(shape, kind, *there)

    inputs = tensor(1, 4, 5, 3)
    padded, turned, grown, back, joined = (
        tensor(*shape) for shape in ((1, 6, 8, 3), (1, 3, 8, 6), (1, 1, 3, 8, 6), (1, 3, 8, 6), (1, 3, 16, 6))
    )
    widths = writer.tensor((4, 2), "int32", data=[[0, 0], [1, 1], [1, 2], [0, 0]])
    writer.operator("PAD", [inputs, widths], [padded], schema.PadOptionsT(), 2)
    order = writer.tensor((4,), "int32", data=[0, 3, 2, 1])
    writer.operator("TRANSPOSE", [padded, order], [turned], schema.TransposeOptionsT(), 2)
    axis = writer.tensor((1,), "int32", data=[1])
    writer.operator("EXPAND_DIMS", [turned, axis], [grown], schema.ExpandDimsOptionsT())
    writer.operator("SQUEEZE", [grown], [back], schema.SqueezeOptionsT(squeezeDims=[1]))
    held = writer.tensor((1, 3, 8, 6), kind, *there, data=rng.integers(0, 100, (1, 3, 8, 6)))
    writer.operator("CONCATENATION", [back, held], [joined], schema.ConcatenationOptionsT(axis=2), 2)
    assert steps_off(flat(writer, joined, 288, kind, *there), kernels).max() == 0


def test_padding_with_a_number_of_its_own():
    writer = Writer()
    inputs, output = writer.tensor((1, 4, 4, 2), "int8", 0.5, 3), writer.tensor((1, 6, 6, 2), "int8", 0.5, 3)
    widths = writer.tensor((4, 2), "int32", data=[[0, 0], [1, 1], [1, 1], [0, 0]])
    filler = writer.tensor((1,), "int8", 0.5, 3, data=[-100])
    writer.operator("PADV2", [inputs, widths, filler], [output], schema.PadV2OptionsT(), 2)
    assert steps_off(flat(writer, output, 72, "int8", 0.5, 3)).max() == 0


def test_a_shape_that_the_file_computes_is_folded():
    writer = Writer()
    inputs = writer.tensor((1, 4, 4, 2), "int8", 0.5, 3)
    shape, first, packed = writer.tensor((4,), "int32"), writer.tensor((), "int32"), writer.tensor((2,), "int32")
    begin, end, step = (writer.tensor((1,), "int32", data=[number]) for number in (0, 1, 1))
    rest = writer.tensor((), "int32", data=32)
    output = writer.tensor((1, 32), "int8", 0.5, 3)
    writer.operator("SHAPE", [inputs], [shape], schema.ShapeOptionsT(outType=2))
    slicing = schema.StridedSliceOptionsT(shrinkAxisMask=1)
    writer.operator("STRIDED_SLICE", [shape, begin, end, step], [first], slicing)
    writer.operator("PACK", [first, rest], [packed], schema.PackOptionsT(valuesCount=2, axis=0))
    writer.operator("RESHAPE", [inputs, packed], [output], schema.ReshapeOptionsT())
    assert steps_off(writer.bytes([inputs], [output])).max() == 0


def test_every_float_operator():
    rng, writer = np.random.default_rng(0), Writer()

    def step(name, inputs, shape, options=None, version=1):
        output = writer.tensor(shape, "float32")
        writer.operator(name, inputs, [output], options, version)
        return output

    inputs = writer.tensor((1, 8, 8, 3), "float32")
    kernel = writer.tensor((4, 3, 3, 3), "float32", data=rng.normal(0, 0.3, (4, 3, 3, 3)))
    biases = writer.tensor((4,), "float32", data=rng.normal(0, 0.3, 4))
    window = {"padding": 0, "strideW": 1, "strideH": 1}
    values = step("CONV_2D", [inputs, kernel, biases], (1, 8, 8, 4), schema.Conv2DOptionsT(**window))
    single = writer.tensor((1, 3, 3, 4), "float32", data=rng.normal(0, 0.3, (1, 3, 3, 4)))
    each = schema.DepthwiseConv2DOptionsT(depthMultiplier=1, fusedActivationFunction=3, **window)
    values = step("DEPTHWISE_CONV_2D", [values, single, biases], (1, 8, 8, 4), each)
    held = writer.tensor((1, 1, 1, 4), "float32", data=rng.normal(0, 1, (1, 1, 1, 4)))
    for name in JOINED:
        values = step(name, [values, held], (1, 8, 8, 4), JOINED[name](fusedActivationFunction=0))
    for name in ("RELU_N1_TO_1", "LOGISTIC", "TANH", "RELU", "RELU6"):
        values = step(name, [values], (1, 8, 8, 4))
    values = step("LEAKY_RELU", [values], (1, 8, 8, 4), schema.LeakyReluOptionsT(alpha=0.1))
    values = step("HARD_SWISH", [values], (1, 8, 8, 4), schema.HardSwishOptionsT())
    pool = {"padding": 0, "strideW": 2, "strideH": 2, "filterWidth": 3, "filterHeight": 3}
    values = step("AVERAGE_POOL_2D", [values], (1, 4, 4, 4), schema.Pool2DOptionsT(**pool))
    values = step("MAX_POOL_2D", [values], (1, 2, 2, 4), schema.Pool2DOptionsT(**pool))
    last = writer.tensor((1,), "int32", data=[2])
    values = step("SUM", [values, last], (1, 2, 1, 4), schema.ReducerOptionsT(keepDims=True))
    both = writer.tensor((2,), "int32", data=[1, 2])
    values = step("MEAN", [values, both], (1, 4), schema.ReducerOptionsT(keepDims=False))
    weight = writer.tensor((5, 4), "float32", data=rng.normal(0, 3, (5, 4)))
    values = step("FULLY_CONNECTED", [values, weight, -1], (1, 5), schema.FullyConnectedOptionsT())
    values = step("LOG_SOFTMAX", [values], (1, 5), schema.LogSoftmaxOptionsT())
    values = step("SOFTMAX", [values], (1, 5), schema.SoftmaxOptionsT(beta=2.0))
    assert steps_off(writer.bytes([inputs], [values]), count=20).max() < 1e-5


def test_weights_of_half_precision_are_read():
    rng, writer = np.random.default_rng(0), Writer()
    inputs = writer.tensor((1, 16), "float32")
    half = writer.tensor((4, 16), "float16", data=rng.normal(0, 1, (4, 16)))
    weight, output = writer.tensor((4, 16), "float32"), writer.tensor((1, 4), "float32")
    writer.operator("DEQUANTIZE", [half], [weight], schema.DequantizeOptionsT())
    writer.operator("FULLY_CONNECTED", [inputs, weight, -1], [output], schema.FullyConnectedOptionsT())
    assert steps_off(writer.bytes([inputs], [output])).max() < 1e-4


def test_the_scales_of_the_fuzz_make_halves():
    ratios = {one / other for one in HALVES for other in HALVES}
    assert any(ratio * 3 % 1 == 0.5 for ratio in ratios)
