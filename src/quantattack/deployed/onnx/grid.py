"""Integer grids: rounding and clamping in one operation with a straight-through derivative."""

from typing import Any

import torch
from torch import Tensor

LIMITS = {  # smallest and largest number of each integer type of a quantized tensor
    "uint8": (0, 255),
    "int8": (-128, 127),
    "uint16": (0, 65535),
    "int16": (-32768, 32767),
    "uint4": (0, 15),
    "int4": (-8, 7),
    "uint2": (0, 3),
    "int2": (-2, 1),
}


class _ToGrid(torch.autograd.Function):
    """One pass where autograd would keep four tensors; the derivative needs to know only what was inside."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, zero: Tensor | float, low: float, high: float) -> tuple[Tensor, Tensor]:
        levels = values.round()
        if isinstance(zero, Tensor) or zero:
            levels = levels + zero
        clamped = levels.clamp(low, high)
        return clamped, clamped == levels

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG004 -- torch calls it so
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (inside,) = ctx.saved_tensors
        return grads[0] * inside, None, None, None


class _Through(torch.autograd.Function):
    """The value of one tensor with the derivative of another, where the difference need not be exact in floats."""

    generate_vmap_rule = True

    @staticmethod
    def forward(exact: Tensor, smooth: Tensor) -> Tensor:  # noqa: ARG004 -- its derivative is what is taken
        return exact.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:  # noqa: ARG004 -- torch calls it so
        return None, grads[0]


def to_grid(values: Tensor, zero: Tensor | float, low: float, high: float) -> Tensor:
    """Round half to even, add the zero point and clamp; the derivative is 1 inside the limits and 0 outside.

    Equation: ``clamp(round(v) + z, low, high)``

    Arguments:
        values: Real numbers in units of the grid's step, of any shape.
        zero: Zero point: a number, or one number for each channel that broadcasts to the values.
        low: The grid's smallest number.
        high: The grid's largest number.
    """
    if torch.is_grad_enabled() and values.requires_grad:
        levels: Tensor = _ToGrid.apply(values, zero, low, high)[0]  # type: ignore[no-untyped-call]
        return levels
    levels = values.round()
    return (levels + zero if isinstance(zero, Tensor) or zero else levels).clamp(low, high)


def through(exact: Tensor, smooth: Tensor) -> Tensor:
    """Return the first tensor with the derivative of the second.

    Arguments:
        exact: The values, of any shape.
        smooth: A differentiable tensor of the same shape.
    """
    if torch.is_grad_enabled() and smooth.requires_grad:
        values: Tensor = _Through.apply(exact.detach(), smooth)  # type: ignore[no-untyped-call]
        return values
    return exact
