"""Quantizers of weights and activations; each is a frozen dataclass with its source and equations."""

from quantattack.nn.quantizers.base import Quantizer, Tempered, Values, project, sign
from quantattack.nn.quantizers.binary import BinaryConnect, BnnWaq, GdTanh, MdTanhS, Sign, Xnor
from quantattack.nn.quantizers.multilevel import Ternary, Uniform, UniformActivation

WEIGHTS: tuple[type, ...] = (BinaryConnect, GdTanh, MdTanhS, BnnWaq, Xnor, Ternary, Uniform)
ACTIVATIONS: tuple[type, ...] = (Sign, UniformActivation)

__all__ = [
    "ACTIVATIONS",
    "WEIGHTS",
    "BinaryConnect",
    "BnnWaq",
    "GdTanh",
    "MdTanhS",
    "Quantizer",
    "Sign",
    "Tempered",
    "Ternary",
    "Uniform",
    "UniformActivation",
    "Values",
    "Xnor",
    "project",
    "sign",
]
