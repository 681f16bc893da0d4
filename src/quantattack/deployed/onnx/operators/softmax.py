"""Softmax of real numbers, and onnxruntime's of quantized ones."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from quantattack.deployed.onnx.call import Call, Grid, Part, applied
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


class _Shares(torch.autograd.Function):
    """Levels of a quantized softmax as they are, and before they are rounded, with the derivative of the softmax."""

    generate_vmap_rule = True

    @staticmethod
    def forward(softmax: "QuantizedSoftmax", rows: Tensor) -> tuple[Tensor, Tensor]:
        shares = softmax.shares(rows)
        return softmax.landed(shares), shares

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.softmax = inputs[0]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        (shares,), (grad, other) = ctx.saved_tensors, grads
        if grad is None:
            return None, None if other is None else ctx.softmax.slopes(other, shares)
        grad = grad * ctx.softmax.stretch
        return None, ctx.softmax.slopes(grad if other is None else grad + other, shares)


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
        self.step = float(scalar(x.scale))
        self.whole = float((1 / scalar(y.scale)).floor())  # the runtime rounds the output's levels per unit down
        self.stretch = 1 / (float(scalar(y.scale)) * self.whole)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(self.axis) if self.flat else x.movedim(self.axis, -1)
        if torch.is_grad_enabled() and x.requires_grad:
            levels: Tensor = _Shares.apply(self, rows)[0]  # type: ignore[no-untyped-call]
        else:
            levels = self.landed(self.shares(rows))
        return levels.reshape(x.shape) if self.flat else levels.movedim(-1, self.axis)

    def shares(self, rows: Tensor) -> Tensor:
        """Return the softmax of levels over the last axis, in steps of the output."""
        places = (rows + (255 - rows.amax(-1, keepdim=True))).long()
        powers = self._table(rows.shape[-1], rows).index_select(0, places.flatten()).reshape(rows.shape)
        first, *others = powers.movedim(-1, 0).contiguous()
        total = first.clone()
        for column in others:  # in this order in float32, as the runtime adds
            total = total.add_(column)
        return powers.mul_(self.whole).div_(total[..., None])

    def landed(self, shares: Tensor) -> Tensor:
        """Return shares on the grid of the output."""
        return shares.round().add_(self.y.origin).clamp(self.y.low, self.y.high)

    def slopes(self, grad: Tensor, shares: Tensor) -> Tensor:
        """Return the derivative with respect to the levels of the input.

        Arguments:
            grad: Derivative with respect to the shares.
            shares: The shares.
        """
        mean = (grad * shares).sum(-1, keepdim=True) / self.whole
        return (grad - mean) * shares * self.step

    def _table(self, count: int, like: Tensor) -> Tensor:
        """The exponentials of the 256 distances from the largest level, for rows of so many numbers."""
        step = scalar(self.x.scale).double()
        largest = torch.tensor(torch.finfo(torch.float32).max) / count
        shift = (largest.log().double() - 5).clamp_min(0) / step
        powers = ((torch.arange(256, dtype=torch.float64) - 255 + shift) * step).exp()
        return powers.float().to(like)


def quantized_softmax(call: Call) -> Part:
    """Return QLinearSoftmax."""
    opset = int(call.attribute("opset", call.opset))
    axis = int(call.attribute("axis", 1 if opset < 13 else -1))
    return Part(QuantizedSoftmax(call.grid(1, 2), call.grid(3, 4), axis, opset < 13), (call.name(0),))
