"""Convolutions and the fully connected layer: sums of products of integers, exact, then rescaled."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from quantattack.deployed.tflite.call import Call
from quantattack.deployed.tflite.finish import Cut, Finish, Fixed, Floated
from quantattack.deployed.tflite.operators.windows import Window, window_of

_EXACT = 2.0**24  # below it every integer is a float32


class Product(nn.Module):
    """Holds a layer's weights, and how its sum becomes levels.

    Arguments:
        weight: Weights, their zero point subtracted, with the output channels first.
        bias: One number for each output channel, or none.
        finish: What follows the sum.
        wide: Whether the sum may leave the integers that float32 holds, and is made in float64.
        late: Whether the bias alone may, and is added in float64 after the sum.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, finish: Finish, wide: bool, late: bool) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.finish, self.wide, self.late = finish, wide, late

    def operands(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return inputs, weights and bias in the dtype of the sum; no bias where it comes late."""
        bias = None if self.late else self.bias
        if not self.wide:
            return inputs, self.weight, bias
        return inputs.double(), self.weight.double(), None if bias is None else bias.double()

    def finished(self, sums: Tensor) -> Tensor:
        """Return the layer's output for its sums, the channels in the last dimension."""
        if self.late and self.bias is not None:
            sums = sums.double() + self.bias.double()
            # one rounding to float32, as the kernel has it; fixed point takes the integer itself
            sums = sums.to(self.weight.dtype) if isinstance(self.finish, Floated) else sums
        return self.finish(sums)


class Convolution(Product):
    """A convolution of NHWC tensors with the weights of a `Product`.

    Arguments:
        window: Strides, dilation and padding.
        groups: Groups of channels.
        product: Arguments of `Product`.
    """

    def __init__(self, window: Window, groups: int, *product: object) -> None:
        super().__init__(*product)  # type: ignore[arg-type]
        self.window, self.groups = window, groups

    def forward(self, inputs: Tensor) -> Tensor:
        values, weight, bias = self.operands(inputs)
        values, padding = self.window.padded(values.permute(0, 3, 1, 2))
        stride, dilation = self.window.stride, self.window.dilation
        sums = F.conv2d(values, weight, bias, stride, padding, dilation, self.groups)
        return self.finished(sums.permute(0, 2, 3, 1))


class Linear(Product):
    """A fully connected layer with the weights of a `Product`.

    Arguments:
        shape: The output's shape without the batch.
        product: Arguments of `Product`.
    """

    def __init__(self, shape: tuple[int, ...], *product: object) -> None:
        super().__init__(*product)  # type: ignore[arg-type]
        self.shape = shape

    def forward(self, inputs: Tensor) -> Tensor:
        values, weight, bias = self.operands(inputs)
        sums = F.linear(values.reshape(len(inputs), -1, weight.shape[1]), weight, bias)
        return self.finished(sums.reshape(len(inputs), *self.shape))


def convolution(call: Call) -> nn.Module:
    """Return the part of CONV_2D."""
    kernel, taken = _kernel(call), call.value(0).shape
    channels = kernel.shape[3]
    if len(taken) != 4 or channels == 0 or taken[3] % channels:
        raise call.refused("has weights that do not fit its input")
    groups = taken[3] // channels
    if kernel.shape[0] % groups:
        raise call.refused("has groups that do not fit its output")
    window = window_of(call, kernel.shape[1:3])
    return Convolution(window, groups, *_parts(call, kernel.permute(0, 3, 1, 2)))


def depthwise(call: Call) -> nn.Module:
    """Return the part of DEPTHWISE_CONV_2D."""
    kernel, taken = _kernel(call), call.value(0).shape
    if len(taken) != 4 or kernel.shape[0] != 1 or kernel.shape[3] % taken[3]:
        raise call.refused("has weights that do not fit its input")
    window = window_of(call, kernel.shape[1:3])
    return Convolution(window, taken[3], *_parts(call, kernel.permute(3, 0, 1, 2), axis=3))


def fully_connected(call: Call) -> nn.Module:
    """Return the part of FULLY_CONNECTED."""
    if call.option("weightsFormat") != 0:
        raise call.refused("has weights in another format")
    weight = _kernel(call, dimensions=2)
    if np.prod(call.value(0).shape) % weight.shape[1] or call.output.shape[-1] != weight.shape[0]:
        raise call.refused("has weights that do not fit its input")
    return Linear(call.output.shape[1:], *_parts(call, weight))


def _kernel(call: Call, dimensions: int = 4) -> Tensor:
    """Return the weights with their zero point subtracted.

    Raises:
        InputError: If they are quantized where the input is not, or the other way round.
    """
    value, data = call.value(1), call.constant(1)
    if call.is_float and value.type != "float32":
        raise call.refused(f"takes float inputs and {value.type} weights (dynamic range)")
    if not call.is_float and value.type != call.value(0).type:
        raise call.refused(f"takes {call.value(0).type} inputs and {value.type} weights")
    if data.ndim != dimensions:
        raise call.refused(f"has weights of {data.ndim} dimensions")
    weight = torch.from_numpy(data.astype(np.float32))
    if call.is_float:
        return weight
    if len(value.zero) > 1 and value.zero.any():
        raise call.refused("has a zero point for each channel of its weights")
    return weight - float(value.zero[0] if len(value.zero) else 0)


def _parts(call: Call, weight: Tensor, axis: int = 0) -> tuple[Tensor, Tensor | None, Finish, bool, bool]:
    """Return the arguments of `Product` for weights with the output channels first."""
    bias, weight = _bias(call, len(weight)), weight.contiguous()
    if call.is_float:
        return weight, bias, Cut(call.activation), False, False
    taken = call.takes(0)
    wide = _largest(weight, None, taken.low, taken.high) >= _EXACT
    late = not wide and _largest(weight, bias, taken.low, taken.high) >= _EXACT
    return weight, bias, _finish(call, len(weight), axis), wide, late


def _finish(call: Call, channels: int, axis: int) -> Finish:
    taken, given, scales = call.takes(0), call.gives.cut(call.activation), call.value(1).scale
    if len(scales) not in (1, channels) or (len(scales) > 1 and call.value(1).axis != axis):
        raise call.refused("has weights with scales that do not fit its channels")
    if call.delegated:
        return Floated(np.float32(taken.scale) * scales / np.float32(given.scale), given)
    once = call.reference and call.node.name == "FULLY_CONNECTED"
    return Fixed(taken.scale * scales.astype(np.float64) / given.scale, given, once=once)


def _bias(call: Call, channels: int) -> Tensor | None:
    if len(call.node.inputs) < 3 or call.node.inputs[2] is None:
        return None
    data = call.constant(2)
    if data.dtype != (np.float32 if call.is_float else np.int32) or data.shape != (channels,):
        raise call.refused(f"has a bias of {data.dtype} with shape {data.shape}")
    exact = call.is_float or np.abs(data.astype(np.float64)).max() < _EXACT
    return torch.from_numpy(data.astype(np.float32 if exact else np.float64))


def _largest(weight: Tensor, bias: Tensor | None, low: float, high: float) -> float:
    """Return the largest magnitude that a sum of products can have on its way, in any order of its terms."""
    terms = torch.stack([weight.double() * low, weight.double() * high]).flatten(2)
    upper, lower = terms.amax(0).clamp_min(0).sum(1), (-terms.amin(0)).clamp_min(0).sum(1)
    added = 0.0 if bias is None else bias.double().abs()
    return float((torch.maximum(upper, lower) + added).max())


PRODUCTS = {"CONV_2D": convolution, "DEPTHWISE_CONV_2D": depthwise, "FULLY_CONNECTED": fully_connected}
