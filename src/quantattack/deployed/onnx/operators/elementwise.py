"""Quantized functions, pooling and concatenation, in the order of onnxruntime's kernels."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from quantattack.deployed.onnx.call import Call, Grid, Part
from quantattack.deployed.onnx.grid import Inputs, landed, to_grid
from quantattack.deployed.onnx.operators.pooling import average
from quantattack.deployed.onnx.operators.window import Window, window_of


def scalar(values: Tensor) -> Tensor:
    """Return the one number of a scale in float32."""
    return values.float().reshape(())


class QuantizedFunction(nn.Module):
    """An elementwise function between two grids, which the runtime keeps as a table of 256 numbers.

    Arguments:
        x: Grid of the input.
        y: Grid of the output.
        function: The function of real numbers.
    """

    def __init__(self, x: Grid, y: Grid, function: Callable[[Tensor], Tensor] | nn.Module) -> None:
        super().__init__()
        self.x_scale, self.y_scale = float(scalar(x.scale)), float(scalar(y.scale))
        self.zeros, self.low, self.high = (x.origin, y.origin), y.low, y.high
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        real = (x - self.zeros[0]) * self.x_scale
        return to_grid(self.function(real) / self.y_scale, self.zeros[1], self.low, self.high)


class Leaky(nn.Module):
    """Leaky ReLU.

    Arguments:
        slope: Slope of the negative side.
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, self.slope)


def quantized_leaky_relu(call: Call) -> Part:
    """Return QLinearLeakyRelu."""
    leaky = Leaky(float(call.attribute("alpha", 0.01)))
    return Part(QuantizedFunction(call.grid(1, 2), call.grid(3, 4), leaky), (call.name(0),))


def quantized_sigmoid(call: Call) -> Part:
    """Return QLinearSigmoid."""
    return Part(QuantizedFunction(call.grid(1, 2), call.grid(3, 4), torch.sigmoid), (call.name(0),))


class QuantizedAverage(nn.Module):
    """QLinearAveragePool: the mean of real numbers, the zero point added before the rounding.

    Arguments:
        x: Grid of the input.
        y: Grid of the output.
        window: Where the windows lie.
        settings: Whether padding counts, whether sizes are rounded up, and whether the channels come last.
    """

    def __init__(self, x: Grid, y: Grid, window: Window, settings: tuple[bool, bool, bool]) -> None:
        super().__init__()
        self.x_scale, self.y_scale = float(scalar(x.scale)), float(scalar(y.scale))
        self.zeros, self.low, self.high = (x.origin, y.origin), y.low, y.high
        self.window, (self.counted, self.ceil, self.last) = window, settings

    def forward(self, x: Tensor) -> Tensor:
        real = (x - self.zeros[0]) * self.x_scale
        mean = average(real.movedim(-1, 1) if self.last else real, self.window, self.counted, self.ceil)
        levels = to_grid(mean / self.y_scale + self.zeros[1], 0.0, self.low, self.high)
        return levels.movedim(1, -1) if self.last else levels


def quantized_average(call: Call) -> Part:
    """Return QLinearAveragePool."""
    named = ("count_include_pad", "ceil_mode", "channels_last")
    counted, ceil, last = (bool(call.attribute(name, 0)) for name in named)
    module = QuantizedAverage(call.grid(1, 2), call.grid(3, 4), window_of(call, ()), (counted, ceil, last))
    return Part(module, (call.name(0),))


class QuantizedGlobalAverage(nn.Module):
    """QLinearGlobalAveragePool: the integer sum times ``xs / (ys h w)``.

    Arguments:
        x: Grid of the input.
        y: Grid of the output.
        last: Whether the channels come last.
    """

    def __init__(self, x: Grid, y: Grid, last: bool) -> None:
        super().__init__()
        self.scales, self.last = (scalar(x.scale), scalar(y.scale)), last
        self.zeros, self.low, self.high = (x.origin, y.origin), y.low, y.high

    def forward(self, x: Tensor) -> Tensor:
        axes = list(range(1, x.ndim - 1)) if self.last else list(range(2, x.ndim))
        count = 1
        for axis in axes:
            count *= x.shape[axis]
        ratio = float(self.scales[0] / (self.scales[1] * float(count)))
        sums = (x - self.zeros[0]).sum(axes, keepdim=True)
        return to_grid(sums, self.zeros[1], self.low, self.high, ratio)


def quantized_global_average(call: Call) -> Part:
    """Return QLinearGlobalAveragePool."""
    last = bool(call.attribute("channels_last", 0))
    return Part(QuantizedGlobalAverage(call.grid(1, 2), call.grid(3, 4), last), (call.name(0),))


class Regrid(nn.Module):
    """Moves levels from one grid to another, as QLinearConcat does with each input.

    Arguments:
        x: Grid of the input.
        y: Grid of the output.
    """

    keeps = False

    def __init__(self, x: Grid, y: Grid) -> None:
        super().__init__()
        self.scales = float(scalar(x.scale)), float(scalar(y.scale))
        self.zeros, self.low, self.high = (x.origin, y.origin), y.low, y.high
        self.same = self.scales[0] == self.scales[1] and x.origin == y.origin

    def forward(self, x: Tensor) -> Tensor:
        return x if self.same else landed(self, (self.low, self.high), x)

    def levels(self, x: Tensor) -> Tensor:
        """Return the levels before they are clamped."""
        real = x * self.scales[0] if not self.zeros[0] else (x - self.zeros[0]).mul_(self.scales[0])
        return real.div_(self.scales[1]).round_().add_(self.zeros[1])

    def slopes(self, grad: Tensor, inputs: Inputs, needed: Sequence[bool]) -> tuple[Tensor | None, ...]:  # noqa: ARG002 -- linear in them
        """Return the derivative with respect to the input."""
        return (grad.mul_(self.scales[0] / self.scales[1]),)


class QuantizedConcat(nn.Module):
    """QLinearConcat.

    Arguments:
        pieces: What moves each input to the grid of the output.
        axis: Where to join them.
    """

    def __init__(self, pieces: list[Regrid], axis: int) -> None:
        super().__init__()
        self.pieces, self.axis = nn.ModuleList(pieces), axis

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat([piece(x) for piece, x in zip(self.pieces, inputs, strict=True)], self.axis)


def quantized_concat(call: Call) -> Part:
    """Return QLinearConcat, whose inputs come in threes after the output's scale and zero point."""
    y = call.grid(0, 1)
    starts = range(2, len(call.node.inputs), 3)
    pieces = [Regrid(call.grid(start + 1, start + 2), y) for start in starts]
    return Part(QuantizedConcat(pieces, int(call.attribute("axis", 0))), tuple(call.name(start) for start in starts))
