"""Architectures by name, in float; ``quantize`` makes quantized networks of them."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from torch import nn

from quantattack.errors import InputError, unknown
from quantattack.nn.architectures.binary import ResNetBinary, VggBinary
from quantattack.nn.architectures.dense import DenseNet
from quantattack.nn.architectures.mobile import MobileNetV2
from quantattack.nn.architectures.plain import Coarse, DaaFashion, LeNet, MadryMnist, Perceptron, Small
from quantattack.nn.architectures.resnet import resnet8, resnet18, resnet50
from quantattack.nn.architectures.vgg import Vgg
from quantattack.nn.architectures.wide import WideResNet

ARCHITECTURES: Mapping[str, Callable[..., nn.Module]] = {
    "small": Small,
    "coarse": Coarse,
    "perceptron": Perceptron,
    "lenet": LeNet,
    "madry-mnist": MadryMnist,
    "daa-fashion": DaaFashion,
    "vgg": Vgg,
    "resnet-8": resnet8,
    "resnet-18": resnet18,
    "resnet-50": resnet50,
    "densenet-121": DenseNet,
    "mobilenet-v2": MobileNetV2,
    "resnet-binary": ResNetBinary,
    "vgg-binary": VggBinary,
    "madry-wide": WideResNet,
}


def build(name: str, settings: Mapping[str, Any]) -> nn.Module:
    """Return a new float network.

    Arguments:
        name: A name of ``ARCHITECTURES``.
        settings: The builder's arguments.

    Raises:
        InputError: If the name is unknown or a setting is not the builder's.

    """
    if name not in ARCHITECTURES:
        raise unknown("architecture", name, ARCHITECTURES)
    builder = ARCHITECTURES[name]
    for setting in settings:
        if setting not in signature(builder).parameters:
            raise unknown(f"setting of architecture {name}", setting, signature(builder).parameters)
    try:
        return builder(**settings)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"architecture {name} cannot be built: {str(error).splitlines()[0]}") from None
