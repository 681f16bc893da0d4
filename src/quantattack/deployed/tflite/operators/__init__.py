"""The builders of a twin's parts, by the name of the operator in a TFLite file."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from torch import nn

from quantattack.deployed.tflite.call import Call
from quantattack.deployed.tflite.operators.elementwise import JOINED
from quantattack.deployed.tflite.operators.lookup import FUNCTIONS
from quantattack.deployed.tflite.operators.pooling import POOLED
from quantattack.deployed.tflite.operators.products import PRODUCTS
from quantattack.deployed.tflite.operators.shaping import MOVED
from quantattack.deployed.tflite.operators.softmaxes import SOFTMAXES

Builder: TypeAlias = Callable[[Call], nn.Module]  # the module maps the inputs that are no constants to the output

BUILDERS: Mapping[str, Builder] = {**PRODUCTS, **JOINED, **POOLED, **FUNCTIONS, **MOVED, **SOFTMAXES}

ALL_INPUTS = ("ADD", "SUB", "MUL", "CONCATENATION")  # they take constants as they take computed tensors
FOLDED = ("SHAPE", "STRIDED_SLICE", "PACK")  # they compute the shape of a reshape, which the file states too
