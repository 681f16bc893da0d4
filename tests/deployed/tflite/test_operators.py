"""Each operator alone against the interpreter, with scales that make many halves: what rounds, and where."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from deployed.tflite import fuzz
from deployed.tflite.files import HALVES, flat, grid, steps_off
from deployed.tflite.fuzz import JOINED
from deployed.tflite.writer import Writer
from quantattack.errors import InputError

KINDS, KERNELS = ("int8", "uint8"), ("xnnpack", "reference")
NEARLY = ("SOFTMAX", "LOG_SOFTMAX")  # under the reference kernels, which have a table of another kind
CASES = [
    (name, kind, kernels)
    for name in fuzz.NAMES
    for kind in KINDS
    for kernels in KERNELS
    if not fuzz.refused(name, kind, kernels) and not (name in NEARLY and kernels == "reference")
]


@pytest.mark.parametrize(("name", "kind", "kernels"), CASES)
def test_no_output_differs(name, kind, kernels):
    assert fuzz.off(name, kind, kernels).max() < 0.01


def test_what_the_reference_kernels_add_without_a_scale_is_refused():
    with pytest.raises(InputError, match="add them without their scale"):
        fuzz.off("SUM", "int8", "reference", cases=1)


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NEARLY)
def test_the_reference_softmax_is_off_by_a_step_at_most_and_rarely(name, kind):
    off = fuzz.off(name, kind, "reference", count=200)
    assert off.max() < 1.01
    assert (off > 0.01).mean() < 1e-3


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
