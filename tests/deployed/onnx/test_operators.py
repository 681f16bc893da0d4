"""Quantized operators against onnxruntime's kernels, with scales that make ties: no output differs."""

import numpy as np
import pytest
import torch

from quantattack.deployed.onnx.call import Call
from quantattack.deployed.onnx.graph import read_graph
from quantattack.deployed.onnx.operators.table import builder_of

SCALES = (2.0**-7, 2.0**-6, 3 * 2.0**-8, 0.5, 0.25, 0.1, 1 / 3, 0.0173)
SEEDS = range(6)
CONTRIBUTED = "com.microsoft"


def both(operator, inputs, constants, order, domain="", **attributes):
    """What onnxruntime and the twin's module give for one operator of these inputs, as float arrays."""
    import onnx
    import onnxruntime

    helper, kind = onnx.helper, lambda array: onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    node = helper.make_node(operator, list(order), ["out"], domain=domain, **attributes)
    entries = [helper.make_tensor_value_info(name, kind(array), array.shape) for name, array in inputs.items()]
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    results = [onnx.ValueInfoProto(name="out")]
    graph = helper.make_graph([node], "one", entries, results, weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIBUTED, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (judged,) = session.run(None, inputs)
    del model.graph.input[1:], model.graph.output[:]  # a graph with one input and one output is read
    model.graph.output.append(helper.make_tensor_value_info("out", 1, None))
    read = read_graph(model)
    part = builder_of(read.nodes[0])(Call(read.nodes[0], read.constants, read.kinds, read.opset))
    values = {name: torch.from_numpy(array.astype(np.float32)) for name, array in inputs.items()}
    given = [values[name] if name in values else read.constants.get(name) for name in part.takes]
    with torch.no_grad():
        found = part.module(*given)
    return judged.astype(np.float32), found.numpy()


class Draw:
    """Random levels, scales and zero points of one type."""

    def __init__(self, seed, kind):
        self.random, self.kind = np.random.default_rng(seed), np.dtype(kind)
        self.low, self.high = np.iinfo(self.kind).min, np.iinfo(self.kind).max

    def levels(self, *shape):
        return self.random.integers(self.low, self.high + 1, shape).astype(self.kind)

    def scale(self, *shape):
        return self.random.choice(SCALES, shape).astype(np.float32)

    def zero(self):
        return np.array(self.random.integers(self.low, self.high + 1), self.kind)

    def grid(self, name):
        return {f"{name}_scale": self.scale(), f"{name}_zero": self.zero()}


KINDS = pytest.mark.parametrize("kind", ["uint8", "int8"])


def assert_equal(pair):
    judged, found = pair
    assert judged.size > 100
    assert np.array_equal(judged, found), f"{(judged != found).sum()} of {judged.size} differ"


@KINDS
@pytest.mark.parametrize("operator", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize(
    "shapes", [((4, 6, 9, 7), (4, 6, 9, 7)), ((4, 6, 9, 7), (6, 1, 1)), ((1, 6, 1, 1), (4, 6, 9, 7))]
)
def test_sums_and_products_of_two_inputs(operator, kind, shapes):
    for seed in SEEDS:
        draw = Draw(seed, kind)
        inputs = {"a": draw.levels(*shapes[0]), "b": draw.levels(*shapes[1])}
        constants = {**draw.grid("a"), **draw.grid("b"), **draw.grid("c")}
        order = ("a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "c_scale", "c_zero")
        assert_equal(both(operator, inputs, constants, order, CONTRIBUTED))


def any_scale(draw, low=0.01, high=0.1):
    return draw.random.uniform(low, high, ()).astype(np.float32)


@pytest.mark.parametrize("swapped", [False, True])
def test_sums_of_every_pair_of_levels(swapped):
    levels = np.arange(256).astype(np.uint8)
    inputs = {"a": np.repeat(levels, 256).reshape(256, 256), "b": np.tile(levels, 256).reshape(256, 256)}
    if swapped:  # one number for each row, which the kernel takes as its second input
        inputs["a"] = levels[:, None]
    for seed in range(20):
        draw = Draw(seed, "uint8")
        constants = {f"{name}_scale": any_scale(draw) for name in "abc"}
        constants |= {f"{name}_zero": draw.zero() for name in "abc"}
        order = ("a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "c_scale", "c_zero")
        assert_equal(both("QLinearAdd", inputs, constants, order, CONTRIBUTED))


@pytest.mark.parametrize("classes", [10, 65, 100])
def test_softmax_of_many_numbers_with_any_scale(classes):
    for seed in range(3):
        draw = Draw(seed, "uint8")
        constants = {"x_scale": any_scale(draw), "x_zero": draw.zero(), "y_zero": np.array(0, "uint8")}
        constants["y_scale"] = any_scale(draw, 0.002, 0.004)
        inputs = {"x": (draw.random.normal(size=(800, classes)) * 30 + 128).clip(0, 255).astype(np.uint8)}
        order = ("x", "x_scale", "x_zero", "y_scale", "y_zero")
        assert_equal(both("QLinearSoftmax", inputs, constants, order, CONTRIBUTED, axis=-1, opset=13))


@KINDS
@pytest.mark.parametrize("weights", ["int8", "uint8"])
@pytest.mark.parametrize("geometry", [(8, 3, 1, 1, 1), (8, 3, 2, 1, 8), (6, 1, 1, 0, 1), (8, 5, 2, 2, 2)])
def test_convolutions(kind, weights, geometry):
    channels, kernel, stride, pad, groups = geometry
    if (kind, weights) == ("int8", "uint8"):
        pytest.skip("onnxruntime has no such kernel")
    for seed in SEEDS:
        draw, heavy = Draw(seed, kind), Draw(seed + 100, weights)
        zero = np.zeros((), "int8") if weights == "int8" else heavy.zero()
        constants = {
            **draw.grid("x"),
            "w": heavy.levels(10 if groups == 1 else channels, channels // groups, kernel, kernel),
            "w_scale": heavy.scale(10 if groups == 1 else channels) if weights == "int8" else heavy.scale(),
            "w_zero": np.zeros(10 if groups == 1 else channels, "int8") if weights == "int8" else zero,
            "y_scale": np.float32(heavy.random.choice((8.0, 16.0, 10.0))).reshape(()),
            "y_zero": draw.zero(),
            "bias": heavy.random.integers(-5000, 5000, 10 if groups == 1 else channels).astype(np.int32),
        }
        order = ("x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "bias")
        settings = {"pads": [pad] * 4, "strides": [stride] * 2, "group": groups, "kernel_shape": [kernel] * 2}
        assert_equal(both("QLinearConv", {"x": draw.levels(3, channels, 11, 10)}, constants, order, **settings))


@KINDS
@pytest.mark.parametrize("inputs", [24, 3000])
def test_matrix_products_also_where_float32_would_round(kind, inputs):
    for seed in SEEDS:
        draw, heavy = Draw(seed, kind), Draw(seed + 50, "int8")
        constants = {
            **draw.grid("x"),
            "w": heavy.levels(20, inputs),
            "w_scale": heavy.scale(20),
            "w_zero": np.zeros(20, "int8"),
            "bias": heavy.random.integers(-(2**28), 2**28, 20).astype(np.int32),
            "y_scale": np.float32(64 * inputs / 24).reshape(()),
            "y_zero": draw.zero(),
        }
        order = ("x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "bias", "y_scale", "y_zero")
        inputs_ = {"x": draw.levels(17, inputs)}
        assert_equal(both("QGemm", inputs_, constants, order, CONTRIBUTED, transB=1))
        assert_equal(both("QGemm", inputs_, constants, order[:7], CONTRIBUTED, transB=1, alpha=0.5))


@pytest.mark.parametrize("inner", [16, 300])
def test_matrix_products_of_two_inputs(inner):
    for seed in SEEDS:
        draw = Draw(seed, "uint8")
        constants = {**draw.grid("a"), **draw.grid("b"), "y_scale": np.float32(32.0).reshape(()), "y_zero": draw.zero()}
        order = ("a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "y_scale", "y_zero")
        inputs = {"a": draw.levels(2, 3, 9, inner), "b": draw.levels(2, 3, inner, 8)}
        assert_equal(both("QLinearMatMul", inputs, constants, order))


@KINDS
def test_concatenation(kind):
    for seed in SEEDS:
        draw = Draw(seed, kind)
        constants = {**draw.grid("y"), **draw.grid("a"), **draw.grid("b")}
        order = ("y_scale", "y_zero", "a", "a_scale", "a_zero", "b", "b_scale", "b_zero")
        inputs = {"a": draw.levels(2, 5, 6, 6), "b": draw.levels(2, 7, 6, 6)}
        assert_equal(both("QLinearConcat", inputs, constants, order, CONTRIBUTED, axis=1))


@KINDS
@pytest.mark.parametrize("operator", ["QLinearLeakyRelu", "QLinearSigmoid", "QLinearGlobalAveragePool"])
def test_functions_of_one_input(operator, kind):
    settings = {"QLinearLeakyRelu": {"alpha": 0.125}, "QLinearGlobalAveragePool": {"channels_last": 0}}
    for seed in SEEDS:
        draw = Draw(seed, kind)
        order = ("x", "x_scale", "x_zero", "y_scale", "y_zero")
        constants = {**draw.grid("x"), **draw.grid("y")}
        pair = both(
            operator, {"x": draw.levels(20, 9, 8, 8)}, constants, order, CONTRIBUTED, **settings.get(operator, {})
        )
        assert_equal(pair)


@KINDS
@pytest.mark.parametrize("counted", [0, 1])
def test_average_pooling(kind, counted):
    for seed in SEEDS:
        draw = Draw(seed, kind)
        constants = {**draw.grid("x"), **draw.grid("y")}
        settings = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "count_include_pad": counted}
        order = ("x", "x_scale", "x_zero", "y_scale", "y_zero")
        assert_equal(
            both("QLinearAveragePool", {"x": draw.levels(2, 5, 9, 8)}, constants, order, CONTRIBUTED, **settings)
        )


@KINDS
def test_softmax(kind):
    for seed in SEEDS:
        draw = Draw(seed, kind)
        constants = {"x_scale": draw.scale(), "x_zero": draw.zero(), "y_scale": np.float32(1 / 256).reshape(())}
        constants["y_zero"] = np.array(draw.low, draw.kind)
        order = ("x", "x_scale", "x_zero", "y_scale", "y_zero")
        inputs = {"x": draw.levels(200, 10)}
        assert_equal(both("QLinearSoftmax", inputs, constants, order, CONTRIBUTED, axis=-1, opset=13))


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16"])
def test_quantization_rounds_ties_to_even_and_clamps(kind):
    for seed in SEEDS:
        draw = Draw(seed, kind)
        scale, opset = draw.scale(), CONTRIBUTED if kind.endswith("16") else ""
        values = (scale * draw.random.integers(-140000, 140000, (50, 40)) / 2).astype(np.float32)
        constants = {"scale": scale, "zero": draw.zero()}
        assert_equal(both("QuantizeLinear", {"x": values}, constants, ("x", "scale", "zero"), opset))
        assert_equal(both("DequantizeLinear", {"x": draw.levels(50, 40)}, constants, ("x", "scale", "zero"), opset))


def test_quantization_along_an_axis():
    draw = Draw(0, "int8")
    constants = {"scale": draw.scale(6), "zero": draw.levels(6)}
    values = draw.random.normal(size=(5, 6, 7)).astype(np.float32)
    assert_equal(both("QuantizeLinear", {"x": values}, constants, ("x", "scale", "zero"), axis=1))


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0]])
@pytest.mark.parametrize("counted", [0, 1])
def test_real_average_pooling_adds_in_the_runtimes_order(pads, counted):
    draw = Draw(1, "uint8")
    values = (draw.levels(4, 5, 9, 8) * np.float32(0.0173)).astype(np.float32)
    settings = {"kernel_shape": [3, 3], "strides": [1, 2], "pads": pads, "count_include_pad": counted}
    assert_equal(both("AveragePool", {"x": values}, {}, ("x",), **settings))


REAL = {
    "Conv-same": ("Conv", {"x": (2, 4, 9, 8)}, {"w": (6, 4, 3, 2)}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "Conv-dilated": ("Conv", {"x": (2, 4, 9, 8)}, {"w": (6, 2, 3, 3)}, {"dilations": [2, 2], "group": 2}),
    "Conv-one-axis": ("Conv", {"x": (2, 4, 20)}, {"w": (6, 4, 3)}, {"pads": [1, 2]}),
    "MaxPool": ("MaxPool", {"x": (2, 4, 9, 8)}, {}, {"kernel_shape": [3, 2], "pads": [0, 1, 1, 0], "strides": [2, 2]}),
    "MaxPool-ceil": ("MaxPool", {"x": (2, 4, 9, 8)}, {}, {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    "Gemm": ("Gemm", {"x": (9, 12)}, {"w": (20, 12), "b": (20,)}, {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    "Softmax": ("Softmax", {"x": (9, 4, 12)}, {}, {"axis": 1}),
    "LogSoftmax": ("LogSoftmax", {"x": (9, 4, 12)}, {}, {}),
    "HardSigmoid": ("HardSigmoid", {"x": (9, 40)}, {}, {"alpha": 0.3}),
    "HardSwish": ("HardSwish", {"x": (9, 40)}, {}, {}),
    "Elu": ("Elu", {"x": (9, 40)}, {}, {"alpha": 0.7}),
    "Selu": ("Selu", {"x": (9, 40)}, {}, {}),
    "Celu": ("Celu", {"x": (9, 40)}, {}, {"alpha": 0.7}),
    "PRelu": ("PRelu", {"x": (9, 5, 4)}, {"w": (5, 1)}, {}),
    "Softplus": ("Softplus", {"x": (9, 40)}, {}, {}),
    "Erf": ("Erf", {"x": (9, 40)}, {}, {}),
    "Sign": ("Sign", {"x": (9, 40)}, {}, {}),
    "Round": ("Round", {"x": (9, 40)}, {}, {}),
    "Transpose": ("Transpose", {"x": (3, 4, 5, 6)}, {}, {"perm": [0, 2, 3, 1]}),
    "Flatten": ("Flatten", {"x": (3, 4, 5, 6)}, {}, {"axis": 2}),
    "DepthToSpace": ("DepthToSpace", {"x": (3, 8, 5, 6)}, {}, {"blocksize": 2}),
    "SpaceToDepth": ("SpaceToDepth", {"x": (3, 4, 6, 6)}, {}, {"blocksize": 2}),
    "ReduceMean": ("ReduceMean", {"x": (30, 8, 5, 6)}, {}, {"axes": [2, 3], "keepdims": 0}),
    "ReduceL2": ("ReduceL2", {"x": (30, 8, 5, 6)}, {}, {"axes": [1], "keepdims": 1}),
    "LayerNormalization": ("LayerNormalization", {"x": (9, 4, 12)}, {"w": (12,), "b": (12,)}, {"epsilon": 1e-3}),
    "InstanceNormalization": ("InstanceNormalization", {"x": (9, 4, 12)}, {"w": (4,), "b": (4,)}, {}),
    "LRN": ("LRN", {"x": (2, 8, 5, 6)}, {}, {"size": 3, "alpha": 0.1}),
    "LpNormalization": ("LpNormalization", {"x": (9, 4, 12)}, {}, {"axis": 1, "p": 2}),
    "GlobalMaxPool": ("GlobalMaxPool", {"x": (30, 8, 5, 6)}, {}, {}),
    "Einsum": ("Einsum", {"x": (9, 12)}, {"w": (20, 12)}, {"equation": "nd,kd->nk"}),
    "Where": ("Max", {"x": (9, 40)}, {"w": (9, 40)}, {}),
}


@pytest.mark.parametrize("name", REAL)
def test_operators_of_real_numbers(name):
    operator, inputs, constants, attributes = REAL[name]
    random = np.random.default_rng(0)
    drawn = {key: random.normal(size=shape).astype(np.float32) for key, shape in (inputs | constants).items()}
    weights = {key: drawn[key] for key in constants}
    judged, found = both(operator, {"x": drawn["x"]}, weights, tuple(drawn), **attributes)
    assert judged.shape == found.shape
    assert judged.size > 100
    assert np.abs(judged - found).max() < 2e-5
