"""Which function makes the part of which operator."""

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from quantattack.deployed.onnx.call import Call, Part, applied
from quantattack.deployed.onnx.graph import Node
from quantattack.deployed.onnx.operators import (
    activations,
    arithmetic,
    blocks,
    elementwise,
    normalization,
    pairs,
    pooling,
    products,
    quantized,
    reductions,
    shapes,
    softmax,
)
from quantattack.deployed.onnx.operators.activations import with_settings
from quantattack.deployed.onnx.operators.reductions import reduce_by
from quantattack.deployed.onnx.surrogate import sign_through
from quantattack.errors import InputError

Builder = Callable[[Call], Part]

CONTRIBUTED = "com.microsoft"

ONNX: Mapping[str, Builder] = {
    "Abs": with_settings(torch.abs),
    "Add": with_settings(torch.add),
    "And": with_settings(arithmetic.both),
    "AveragePool": pooling.average_pool,
    "BatchNormalization": normalization.batch_normalization_of,
    "Cast": arithmetic.cast,
    "Ceil": with_settings(activations.ceiled),
    "Celu": with_settings(activations.celu, "alpha"),
    "Clip": activations.clip_of,
    "Concat": with_settings(shapes.concat, "axis"),
    "ConstantOfShape": shapes.filled_of,
    "Conv": products.convolution,
    "Cos": with_settings(torch.cos),
    "DepthToSpace": with_settings(shapes.to_space, "blocksize", "mode"),
    "DequantizeLinear": quantized.dequantize,
    "Div": with_settings(arithmetic.divide),
    "Dropout": with_settings(shapes.identity),
    "Einsum": lambda call: applied(products.einsum, call, equation=str(call.attribute("equation", ""))),
    "Elu": with_settings(activations.elu, "alpha"),
    "Equal": with_settings(torch.eq),
    "Erf": with_settings(torch.erf),
    "Exp": with_settings(torch.exp),
    "Expand": with_settings(shapes.expand),
    "Flatten": with_settings(shapes.flatten, "axis"),
    "Floor": with_settings(activations.floored),
    "Gather": with_settings(shapes.gather, "axis"),
    "Gelu": with_settings(activations.gelu, "approximate"),
    "Gemm": products.gemm,
    "GlobalAveragePool": with_settings(pooling.global_average),
    "GlobalMaxPool": with_settings(pooling.global_largest),
    "Greater": with_settings(arithmetic.greater),
    "GreaterOrEqual": with_settings(arithmetic.greater_or_equal),
    "GroupNormalization": with_settings(normalization.group_normalization, "num_groups", "epsilon"),
    "HardSigmoid": with_settings(activations.hard_sigmoid, "alpha", "beta"),
    "HardSwish": with_settings(functional.hardswish),
    "Identity": with_settings(shapes.identity),
    "InstanceNormalization": with_settings(normalization.instance_normalization, "epsilon"),
    "LayerNormalization": with_settings(normalization.layer_normalization, "axis", "epsilon"),
    "LeakyRelu": with_settings(activations.leaky_relu, "alpha"),
    "Less": with_settings(arithmetic.less),
    "LessOrEqual": with_settings(arithmetic.less_or_equal),
    "Log": with_settings(torch.log),
    "LogSoftmax": softmax.softmax_of,
    "LpNormalization": with_settings(normalization.lp_normalization, "axis", "p"),
    "LRN": with_settings(normalization.local_response, "size", "alpha", "beta", "bias"),
    "MatMul": with_settings(products.matrix_product),
    "Max": with_settings(arithmetic.largest),
    "MaxPool": pooling.max_pool,
    "Mean": with_settings(arithmetic.mean),
    "Min": with_settings(arithmetic.smallest),
    "Mish": with_settings(functional.mish),
    "Mul": with_settings(torch.mul),
    "Neg": with_settings(torch.neg),
    "Not": with_settings(arithmetic.opposite),
    "Or": with_settings(arithmetic.either),
    "Pad": shapes.pad_of,
    "Pow": with_settings(arithmetic.power),
    "PRelu": with_settings(activations.prelu),
    "QLinearConv": quantized.quantized_convolution,
    "QLinearMatMul": quantized.quantized_matrix_product,
    "QuantizeLinear": quantized.quantize,
    "Range": with_settings(shapes.count),
    "Reciprocal": with_settings(torch.reciprocal),
    "ReduceL1": reduce_by(reductions.absolute),
    "ReduceL2": reduce_by(reductions.size),
    "ReduceLogSumExp": reduce_by(reductions.log_sum_exp),
    "ReduceMax": reduce_by(reductions.largest),
    "ReduceMean": reduce_by(reductions.mean),
    "ReduceMin": reduce_by(reductions.smallest),
    "ReduceProd": reduce_by(reductions.product),
    "ReduceSum": reduce_by(reductions.total),
    "ReduceSumSquare": reduce_by(reductions.squares),
    "Relu": with_settings(torch.relu),
    "Reshape": shapes.reshape_of,
    "RMSNormalization": with_settings(normalization.simplified_layer_normalization, "axis", "epsilon"),
    "Round": with_settings(activations.rounded),
    "Selu": with_settings(activations.selu, "alpha", "gamma"),
    "Shape": with_settings(shapes.shape_of, "start", "end"),
    "Sigmoid": with_settings(torch.sigmoid),
    "Sign": with_settings(sign_through),
    "SimplifiedLayerNormalization": with_settings(normalization.simplified_layer_normalization, "axis", "epsilon"),
    "Sin": with_settings(torch.sin),
    "Size": with_settings(shapes.size_of),
    "Slice": with_settings(shapes.cut, "starts", "ends", "axes"),
    "Softmax": softmax.softmax_of,
    "Softplus": with_settings(functional.softplus),
    "Softsign": with_settings(functional.softsign),
    "SpaceToDepth": with_settings(shapes.to_depth, "blocksize"),
    "Split": shapes.split,
    "Sqrt": with_settings(torch.sqrt),
    "Squeeze": with_settings(shapes.squeeze, "axes"),
    "Sub": with_settings(torch.sub),
    "Sum": with_settings(arithmetic.total),
    "Tanh": with_settings(torch.tanh),
    "ThresholdedRelu": with_settings(activations.thresholded_relu, "alpha"),
    "Tile": with_settings(shapes.tile),
    "Transpose": with_settings(shapes.transpose, "perm"),
    "Unsqueeze": with_settings(shapes.unsqueeze, "axes"),
    "Where": with_settings(arithmetic.choose),
    "Xor": with_settings(arithmetic.differ),
}


def _fused_matrix_product(call: Call) -> Part:
    if call.attribute("transBatchA", 0) or call.attribute("transBatchB", 0):
        raise call.refuse("flips batch axes, which is not supported")
    flips = bool(call.attribute("transA", 0)), bool(call.attribute("transB", 0))
    return applied(products.fused_matrix_product, call, alpha=float(call.attribute("alpha", 1.0)), flips=flips)


MICROSOFT: Mapping[str, Builder] = {
    "QLinearAdd": pairs.quantized_add,
    "QLinearMul": pairs.quantized_mul,
    "QLinearConcat": elementwise.quantized_concat,
    "QLinearLeakyRelu": elementwise.quantized_leaky_relu,
    "QLinearSigmoid": elementwise.quantized_sigmoid,
    "QLinearSoftmax": softmax.quantized_softmax,
    "QLinearAveragePool": elementwise.quantized_average,
    "QLinearGlobalAveragePool": elementwise.quantized_global_average,
    "QGemm": quantized.quantized_gemm,
    "QuantizeLinear": quantized.quantize,
    "DequantizeLinear": quantized.dequantize,
    "FusedConv": lambda call: products.convolution(call, activations.fused_activation(call)),
    "FusedGemm": lambda call: products.gemm(call, activations.fused_activation(call)),
    "FusedMatMul": _fused_matrix_product,
    "MatMulNBits": blocks.blockwise_matrix_product,
    "Gelu": with_settings(activations.gelu),
    "BiasGelu": with_settings(activations.bias_gelu),
    "FastGelu": with_settings(activations.fast_gelu),
    "QuickGelu": with_settings(activations.quick_gelu, "alpha"),
    "SkipLayerNormalization": with_settings(normalization.skip_layer_normalization, "epsilon"),
}

_DYNAMIC = (
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "ConvInteger",
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
    "DynamicQuantizeLSTM",
)


def builder_of(node: Node) -> Builder:
    """Return what makes the part of a node.

    Arguments:
        node: The node.

    Raises:
        InputError: If its operator is not known, with its name; none is guessed.
    """
    if node.operator in _DYNAMIC:
        raise InputError(
            f"{node.operator} quantizes by the batch's own numbers, so that a verdict depends on the other images; "
            "quantize the model statically"
        )
    table = {"": ONNX, CONTRIBUTED: MICROSOFT}.get(node.domain, {})
    if node.operator not in table:
        name = f"{node.domain}.{node.operator}" if node.domain else node.operator
        raise InputError(f"the operator {name} has no twin; export the model without it")
    return table[node.operator]
