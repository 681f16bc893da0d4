"""The 8-bit grid of a tensor, and the straight-through step onto it."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from quantattack.deployed.tflite.graph import LIMITS, Value
from quantattack.errors import InputError

ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}
ENDS: dict[str, tuple[float | None, float | None]] = {  # where each activation cuts off, in real numbers
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU6": (0.0, 6.0),
}


@dataclass(frozen=True)
class Grid:
    """Where a tensor's integers lie, the zero point subtracted: ``real = scale * level``.

    Arguments:
        scale: The step.
        zero: The zero point, which is subtracted from every level.
        low: The smallest level.
        high: The largest level.
    """

    scale: float
    zero: int
    low: float
    high: float

    def cut(self, activation: str) -> "Grid":
        """Return the grid as an activation leaves it: a number is rounded half away from zero to a level.

        Arguments:
            activation: A name of `ENDS`.
        """
        low, high = (None if end is None else self._level(end) for end in ENDS[activation])
        return replace(
            self,
            low=self.low if low is None else max(self.low, low),
            high=self.high if high is None else min(self.high, high),
        )

    def _level(self, real: float) -> float:
        level = torch.tensor(real) / torch.tensor(self.scale, dtype=torch.float32)
        return float(level.sign() * (level.abs() + 0.5).floor())


def grid_of(value: Value, operator: str) -> Grid:
    """Return the grid of a quantized tensor.

    Arguments:
        value: The tensor.
        operator: What takes or gives it, for the message.

    Raises:
        InputError: If it is not 8-bit, or its channels have a scale each.
    """
    if not value.quantized or len(value.scale) != 1:
        raise InputError(
            f"the file's {operator} takes or gives {value.type} in a way that is not read; int8, uint8 and float32 are"
        )
    (low, high), zero = LIMITS[value.type], int(value.zero[0])
    if not low <= zero <= high:
        raise InputError(f"the file is damaged: its {operator} has the zero point {zero}")
    return Grid(float(value.scale[0]), zero, float(low - zero), float(high - zero))


class _Straight(torch.autograd.Function):
    """Levels that were computed without a derivative, with that of a product that is cut off at both ends.

    The operators write over tensors of their own wherever they can: memory that is asked for anew costs more than the
    arithmetic, and so a twin asks for no more of it than a float network.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(smooth: Tensor, scale: Tensor, value: Tensor, levels: Tensor, grid: Grid) -> Tensor:  # noqa: ARG004
        return levels.view_as(levels)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG004 -- torch calls it so
        smooth, scale, value, _, ctx.grid = inputs
        ctx.dtype = smooth.dtype
        ctx.save_for_backward(value, scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        value, scale = ctx.saved_tensors
        slope = within(grads[0], value, ctx.grid).mul_(scale)
        return slope.to(ctx.dtype), None, None, None, None


def within(slope: Tensor, value: Tensor, grid: Grid) -> Tensor:
    """Return a derivative where a value lies within a grid's ends, the ends included, and 0 elsewhere.

    Arguments:
        slope: The derivative, of any shape.
        value: Real numbers in units of the grid's step, of the same shape.
        grid: The grid.
    """
    low, high = (end + sign * max(abs(end), 2.0**-60) * 2.0**-23 for end, sign in ((grid.low, -1), (grid.high, 1)))
    return torch.ops.aten.hardtanh_backward(slope, value.to(slope.dtype), low, high)  # type: ignore[no-any-return]


def settled(smooth: Tensor, scale: Tensor, value: Tensor, levels: Tensor, grid: Grid) -> Tensor:
    r"""Return levels clamped to a grid, with the derivative of `smooth` times scale within the grid's ends.

    Arguments:
        smooth: What is rescaled, differentiable, of any shape.
        scale: What it is multiplied by, one number or one that broadcasts; its dtype is the result's.
        value: The product, without a derivative.
        levels: The product as the runtime rounds it, without a derivative.
        grid: The grid; the derivative is 1 at its ends and 0 beyond them.
    """
    clamped = levels.clamp(grid.low, grid.high).to(scale.dtype)
    if not (torch.is_grad_enabled() and smooth.requires_grad):
        return clamped
    result: Tensor = _Straight.apply(smooth, scale, value, clamped, grid)  # type: ignore[no-untyped-call]
    return result


def rounded(smooth: Tensor, scale: Tensor, grid: Grid) -> Tensor:
    r"""Return the levels of a float32 product, half rounded to even, with the derivative of `settled`.

    Equation: :math:`\mathrm{round}(\mathrm{clamp}(a s, low, high))`: the ends are whole, so the order is no matter.

    Arguments:
        smooth: What is rescaled, differentiable, of any shape; it is written over, so nothing else may need it.
        scale: What it is multiplied by, one number or one for each channel in the last dimension.
        grid: The grid.
    """
    with torch.no_grad():
        # one number for each place of an image: a short last dimension alone makes a slow product
        scale = scale.expand(smooth.shape[1:]).contiguous() if scale.numel() > 1 and smooth.ndim > 2 else scale
        value = smooth.detach().float().mul_(scale.float())
        levels = value.clamp(grid.low, grid.high).round_().to(scale.dtype)
    if not (torch.is_grad_enabled() and smooth.requires_grad):
        return levels
    result: Tensor = _Straight.apply(smooth, scale, value, levels, grid)  # type: ignore[no-untyped-call]
    return result
