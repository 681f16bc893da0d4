"""Softmax of real numbers, and onnxruntime's of quantized ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from quantattack.deployed.onnx.call import Call, Grid, Part, applied
from quantattack.deployed.onnx.grid import through
from quantattack.deployed.onnx.operators.elementwise import scalar


def softmax(x: Tensor, axis: int, flat: bool, log: bool) -> Tensor:
    """Return Softmax or LogSoftmax.

    Arguments:
        x: Any tensor.
        axis: Over what to normalize; all axes from here on before opset 13.
        flat: Whether the opset is before 13.
        log: Whether to return logarithms.
    """
    rows = x.flatten(axis) if flat else x
    function = functional.log_softmax if log else functional.softmax
    return function(rows, dim=-1 if flat else axis).reshape(x.shape)


def softmax_of(call: Call) -> Part:
    """Return Softmax or LogSoftmax."""
    flat = call.opset < 13
    axis = int(call.attribute("axis", 1 if flat else -1))
    return applied(softmax, call, axis=axis, flat=flat, log=call.node.operator == "LogSoftmax")


class QuantizedSoftmax(nn.Module):
    """QLinearSoftmax: a table of exponentials, their sum one by one, a division, rounding.

    The derivative is that of the softmax of the real numbers.

    Arguments:
        x: Grid of the input.
        y: Grid of the output.
        axis: Over what to normalize; all axes from here on before opset 13.
        flat: Whether the opset is before 13.
    """

    def __init__(self, x: Grid, y: Grid, axis: int, flat: bool) -> None:
        super().__init__()
        self.x, self.y, self.axis, self.flat = x, y, axis, flat
        self.whole = float((1 / scalar(y.scale)).floor())  # the runtime rounds the output's levels per unit down

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(self.axis) if self.flat else x.movedim(self.axis, -1)
        smooth = ((rows - self.x.origin) * float(scalar(self.x.scale))).softmax(-1) / float(scalar(self.y.scale))
        levels = through(self._exact(rows.detach()), smooth + self.y.origin)
        return levels.reshape(x.shape) if self.flat else levels.movedim(-1, self.axis)

    def _exact(self, rows: Tensor) -> Tensor:
        powers = self._table(rows.shape[-1], rows)[(255 - rows.amax(-1, keepdim=True) + rows).long()]
        total = powers[..., 0]
        for column in range(1, rows.shape[-1]):  # in this order in float32, as the runtime adds
            total = total + powers[..., column]
        levels = (powers * self.whole / total[..., None]).round() + self.y.origin
        signed = self.y.low < 0  # the runtime clamps at 255, and what is then above 127 wraps around
        return torch.where(levels > self.y.high, levels - 256, levels) if signed else levels.clamp_max(self.y.high)

    def _table(self, count: int, like: Tensor) -> Tensor:
        """The exponentials of the 256 distances from the largest level, for rows of so many numbers."""
        step = scalar(self.x.scale).double()
        largest = torch.tensor(torch.finfo(torch.float32).max) / count
        shift = (largest.double().log() - 5).clamp_min(0) / step
        powers = ((torch.arange(256, dtype=torch.float64) - 255 + shift) * step).exp()
        return powers.float().to(like)


def quantized_softmax(call: Call) -> Part:
    """Return QLinearSoftmax."""
    opset = int(call.attribute("opset", call.opset))
    axis = int(call.attribute("axis", 1 if opset < 13 else -1))
    return Part(QuantizedSoftmax(call.grid(1, 2), call.grid(3, 4), axis, opset < 13), (call.name(0),))
