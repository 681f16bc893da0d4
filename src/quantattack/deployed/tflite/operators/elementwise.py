"""Sums, differences and products of two tensors, in the fixed point of XNNPACK or of TFLite's own kernels."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantattack.deployed.tflite.call import Call
from quantattack.deployed.tflite.finish import Cut, Finish, Fixed, Floated
from quantattack.deployed.tflite.fixed_point import multiplier, scaled
from quantattack.deployed.tflite.grid import Grid, within

_BITS = 20  # of the larger multiplier of a sum, and of the fraction that TFLite's own sum carries


class FloatSum(nn.Module):
    """A sum or difference of float tensors.

    Arguments:
        sign: 1 for the sum, -1 for the difference.
        finish: The activation.
    """

    def __init__(self, sign: int, finish: Finish) -> None:
        super().__init__()
        self.sign, self.finish = sign, finish

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.finish(torch.add(left, right, alpha=self.sign))


class FloatProduct(nn.Module):
    """A product of tensors, rescaled where they are quantized.

    Arguments:
        finish: The activation, or the rescaling.
    """

    def __init__(self, finish: Finish) -> None:
        super().__init__()
        self.finish = finish

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.finish(left * right)


class _Joined(torch.autograd.Function):
    """A sum that was computed without a derivative, with that of the real sum within the output's ends."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        left: Tensor,  # noqa: ARG004 -- its derivative is what is taken
        right: Tensor,  # noqa: ARG004
        value: Tensor,  # noqa: ARG004
        levels: Tensor,
        ratios: tuple[float, float],  # noqa: ARG004
        grid: Grid,  # noqa: ARG004
    ) -> Tensor:
        return levels.view_as(levels)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG004 -- torch calls it so
        left, right, value, _, ctx.ratios, ctx.grid = inputs
        ctx.shapes = left.shape, right.shape
        ctx.save_for_backward(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        slope = within(grads[0], ctx.saved_tensors[0], ctx.grid)
        left = (slope * ctx.ratios[0]).sum_to_size(ctx.shapes[0])
        return left, slope.mul_(ctx.ratios[1]).sum_to_size(ctx.shapes[1]), None, None, None, None


class LevelSum(nn.Module):
    r"""A sum or difference of quantized tensors.

    XNNPACK: :math:`(m_a a + m_b b + 2^{s-1}) / 2^s`, rounded down, the larger multiplier with 21 bits.

    Arguments:
        left: The first input's grid.
        right: The second input's grid.
        given: The output's grid, cut by the activation.
        sign: 1 for the sum, -1 for the difference.
        delegated: Whether XNNPACK runs it.
    """

    def __init__(self, left: Grid, right: Grid, given: Grid, sign: int, delegated: bool) -> None:
        super().__init__()
        ratios = np.array([left.scale, right.scale], np.float32) / np.float32(given.scale)
        self.ratios = float(ratios[0]), sign * float(ratios[1])
        self.given, self.sign, self.delegated = given, sign, delegated
        self.scales = left.scale, right.scale
        # frexp's exponent is one above that of the leading bit
        self.shift = _BITS + 1 - math.frexp(float(ratios.max()))[1]
        self.factors = tuple(round(math.ldexp(ratio, self.shift)) for ratio in self.ratios)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        with torch.no_grad():
            value, levels = self._delegated(left, right) if self.delegated else self._own(left, right)
            levels = levels.clamp_(int(self.given.low), int(self.given.high)).to(left.dtype)
        if not (torch.is_grad_enabled() and (left.requires_grad or right.requires_grad)):
            return levels
        result: Tensor = _Joined.apply(left, right, value, levels, self.ratios, self.given)  # type: ignore[no-untyped-call]
        return result

    def _delegated(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        total = left.int().mul_(self.factors[0])
        other = right.int()
        add = total.add_ if left.shape == right.shape else total.add  # in place, but where one is broadcast
        total = add(other, alpha=self.factors[1])
        value = torch.mul(total, 2.0**-self.shift).to(left.dtype)
        return value, total.add_(1 << (self.shift - 1)).bitwise_right_shift_(self.shift)

    def _own(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        twice = 2 * max(self.scales)
        first, second = (
            scaled(levels.long() << _BITS, *multiplier(scale / twice))
            for levels, scale in zip((left, right), self.scales, strict=True)
        )
        levels = scaled(first + self.sign * second, *multiplier(twice / ((1 << _BITS) * self.given.scale)))
        return left * self.ratios[0] + right * self.ratios[1], levels


def total(call: Call) -> nn.Module:
    """Return the part of ADD."""
    return _sum(call, 1)


def difference(call: Call) -> nn.Module:
    """Return the part of SUB."""
    return _sum(call, -1)


def product(call: Call) -> nn.Module:
    """Return the part of MUL."""
    if _is_float(call):
        return FloatProduct(Cut(call.activation))
    left, right, given = call.takes(0), call.takes(1), call.gives.cut(call.activation)
    if call.delegated:
        scale = np.float32(left.scale) * np.float32(right.scale) / np.float32(given.scale)
        return FloatProduct(Floated(scale, given))
    return FloatProduct(Fixed(np.float64(left.scale * right.scale / given.scale), given))


def _sum(call: Call, sign: int) -> nn.Module:
    if _is_float(call):
        return FloatSum(sign, Cut(call.activation))
    return LevelSum(call.takes(0), call.takes(1), call.gives.cut(call.activation), sign, call.delegated)


def _is_float(call: Call) -> bool:
    """Return whether both inputs and the output are float tensors.

    Raises:
        InputError: If the inputs differ in type.
    """
    left, right = call.value(0), call.value(1)
    if left.type != right.type or len(call.node.inputs) != 2:
        raise call.refused(f"takes {left.type} and {right.type}")
    return call.is_float


JOINED = {"ADD": total, "SUB": difference, "MUL": product}
