"""The table of modules that have bounds: each class with the function that makes its part."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.certification import linear
from quantattack.certification.activations import Clip, MaxPool, Steps
from quantattack.certification.parts import UNIT, Part
from quantattack.errors import InputError
from quantattack.nn.architectures.plain import Affine
from quantattack.nn.layers import Normalize, Projection, Slot
from quantattack.nn.quantizers import Sign, UniformActivation

Maker = Callable[[Any, tuple[int, ...]], Part]


def _pooling(module: nn.MaxPool2d, shape: tuple[int, ...]) -> MaxPool:  # noqa: ARG001
    if module.dilation not in (1, (1, 1)) or module.ceil_mode:
        raise InputError("a max pooling with dilation or ceil_mode has no bound here")
    kernel, stride, padding = (_pair(value) for value in (module.kernel_size, module.stride, module.padding))
    return MaxPool(kernel, stride, padding)


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _quantized(module: Projection, shape: tuple[int, ...]) -> Steps:  # noqa: ARG001
    quantizer = module.current()
    if isinstance(quantizer, Sign):
        zero = torch.zeros(1, dtype=torch.float64)
        return Steps(zero, torch.tensor([-1.0, 1.0], dtype=torch.float64), zero)
    if isinstance(quantizer, UniformActivation):
        return _uniform(quantizer)
    raise InputError(
        f"the quantizer {quantizer.name} of activations has no bound here; Sign and UniformActivation have"
    )


def _uniform(quantizer: UniformActivation) -> Steps:
    """Return an activation of k bits: its levels are computed as it is run, its thresholds lie half way between."""
    count = 2**quantizer.bits
    step = quantizer.high / (count - 1)
    values: Tensor = quantizer.hard(torch.arange(count, dtype=torch.float32) * step)
    thresholds = (torch.arange(count - 1, dtype=torch.float64) + 0.5) * step
    return Steps(thresholds, values.double(), 4 * UNIT * thresholds)


def _same(module: nn.Module, shape: tuple[int, ...]) -> linear.Linear:  # noqa: ARG001
    return linear.unchanged()


TABLE: Mapping[type[nn.Module], Maker] = {
    nn.Conv2d: linear.convolution,
    nn.Linear: linear.dense,
    nn.BatchNorm1d: linear.normalization,
    nn.BatchNorm2d: linear.normalization,
    Normalize: linear.pixels,
    Affine: linear.affine,
    nn.AvgPool2d: linear.mean_pooling,
    nn.AdaptiveAvgPool2d: linear.whole_mean,
    nn.Flatten: lambda module, shape: _flat(module, shape),
    nn.Identity: _same,
    Slot: _same,
    nn.Dropout: _same,
    nn.Dropout2d: _same,
    nn.ReLU: lambda module, shape: Clip(),  # noqa: ARG005
    nn.ReLU6: lambda module, shape: Clip(0.0, 6.0),  # noqa: ARG005
    nn.Hardtanh: lambda module, shape: _clip(module, shape),
    nn.MaxPool2d: _pooling,
    Projection: _quantized,
}


def _clip(module: nn.Hardtanh, shape: tuple[int, ...]) -> Clip:  # noqa: ARG001
    """Return a Hardtanh, whose ends float32 rounds."""
    bottom, top = torch.tensor([module.min_val, module.max_val], dtype=torch.float32).tolist()
    return Clip(bottom, top)


def _flat(module: nn.Flatten, shape: tuple[int, ...]) -> linear.Linear:
    if module.start_dim != 1 or module.end_dim not in (-1, len(shape) - 1):
        raise InputError("a flatten of some dimensions has no bound here; flatten all but the first")
    return linear.flattened(shape)


def part_of(name: str, module: nn.Module, shape: tuple[int, ...]) -> Part:
    """Return how a module is bounded.

    Arguments:
        name: The module's name in the network.
        module: The module, in eval mode.
        shape: Shape of its input, with one image.

    Raises:
        InputError: If there is no bound of it.
    """
    make = TABLE.get(type(module))
    if make is None:
        known = ", ".join(sorted(kind.__name__ for kind in TABLE))
        raise InputError(f"no bound is known of {name} ({type(module).__name__}); there are bounds of {known}")
    try:
        return make(module, shape)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
