"""The builders of a twin's parts, by the name of the operator in a TFLite file."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from torch import nn

from quantattack.deployed.tflite.call import Call
from quantattack.deployed.tflite.operators.elementwise import difference, product, total
from quantattack.deployed.tflite.operators.lookup import (
    dequantize,
    hard_swish,
    leaky_relu,
    logistic,
    quantize,
    rectified,
    tanh,
)
from quantattack.deployed.tflite.operators.pooling import average, largest, mean, summed
from quantattack.deployed.tflite.operators.products import convolution, depthwise, fully_connected
from quantattack.deployed.tflite.operators.shaping import concatenation, padding, reshape, transpose
from quantattack.deployed.tflite.operators.softmaxes import log_softmax, softmax

Builder: TypeAlias = Callable[[Call], nn.Module]  # the module maps the inputs that are no constants to the output

BUILDERS: Mapping[str, Builder] = {
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "FULLY_CONNECTED": fully_connected,
    "ADD": total,
    "SUB": difference,
    "MUL": product,
    "AVERAGE_POOL_2D": average,
    "MAX_POOL_2D": largest,
    "MEAN": mean,
    "SUM": summed,
    "RELU": rectified,
    "RELU6": rectified,
    "RELU_N1_TO_1": rectified,
    "LEAKY_RELU": leaky_relu,
    "LOGISTIC": logistic,
    "TANH": tanh,
    "HARD_SWISH": hard_swish,
    "PAD": padding,
    "PADV2": padding,
    "RESHAPE": reshape,
    "SQUEEZE": reshape,
    "EXPAND_DIMS": reshape,
    "TRANSPOSE": transpose,
    "CONCATENATION": concatenation,
    "QUANTIZE": quantize,
    "DEQUANTIZE": dequantize,
    "SOFTMAX": softmax,
    "LOG_SOFTMAX": log_softmax,
}

ALL_INPUTS = ("ADD", "SUB", "MUL", "CONCATENATION")  # they take constants as they take computed tensors
FOLDED = ("SHAPE", "STRIDED_SLICE", "PACK")  # they compute the shape of a reshape, which the file states too
