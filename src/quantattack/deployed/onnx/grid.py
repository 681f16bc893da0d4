"""Integer grids: rounding and clamping in one operation with a straight-through derivative."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

LIMITS = {  # smallest and largest number of each integer type of a quantized tensor
    "uint8": (0.0, 255.0),
    "int8": (-128.0, 127.0),
    "uint16": (0.0, 65535.0),
    "int16": (-32768.0, 32767.0),
    "uint4": (0.0, 15.0),
    "int4": (-8.0, 7.0),
    "uint2": (0.0, 3.0),
    "int2": (-2.0, 1.0),
}


class _ToGrid(torch.autograd.Function):
    """Scaling, rounding and clamping with few passes over memory, since most of a twin's extra time is spent here."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        values: Tensor, scale: Tensor | float, zero: Tensor | float, low: float, high: float
    ) -> tuple[Tensor, Tensor]:
        levels = _scaled(values, scale)
        if isinstance(zero, Tensor) or zero:
            levels = levels.add_(zero)
        return levels.clamp(low, high), levels

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # zeros for the second output would be another pass over memory
        ctx.save_for_backward(output[1], inputs[1] if isinstance(inputs[1], Tensor) else None)
        ctx.number = None if isinstance(inputs[1], Tensor) else inputs[1]
        ctx.limits = inputs[3] - 0.5, inputs[4] + 0.5  # levels are whole: those at the ends are inside

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        if grads[0] is None:
            return (None,) * 5
        levels, scale = ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(grads[0], levels, *ctx.limits)
        if ctx.number != 1.0:
            inside = inside.mul_(ctx.number if scale is None else scale)  # in place: fresh memory is what costs
        return inside, None, None, None, None


Inputs = Sequence[Tensor]


@runtime_checkable
class Landing(Protocol):
    """What ends on a grid: an operator with its rounding, in as few passes over memory as it takes.

    `keeps` tells whether the derivatives need the inputs, or their shapes alone.
    """

    keeps: bool

    @property
    def levels(self) -> Callable[..., Tensor]:
        """Maps the inputs to whole levels, not yet clamped, in memory of their own."""

    def slopes(self, grad: Tensor, inputs: Inputs, needed: Sequence[bool]) -> tuple[Tensor | None, ...]:
        """Return the derivative with respect to each input.

        Arguments:
            grad: Derivative with respect to the levels, 0 where they are outside; may be changed in place.
            inputs: The inputs, which hold nothing unless they are kept.
            needed: Which derivatives are needed.
        """


class _Landed(torch.autograd.Function):
    """The levels of a landing, clamped."""

    generate_vmap_rule = True

    @staticmethod
    def forward(landing: Landing, limits: tuple[float, float], *inputs: Tensor) -> tuple[Tensor, Tensor]:
        levels = landing.levels(*inputs)
        return levels.clamp(*limits), levels

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.landing, (low, high), *given = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # zeros for the second output would be another pass over memory
        ctx.save_for_backward(output[1], *(given if ctx.landing.keeps else ()))
        ctx.empty = [] if ctx.landing.keeps else [torch.empty(values.shape, device="meta") for values in given]
        ctx.limits = low - 0.5, high + 0.5  # levels are whole: those at the ends are inside

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        if grads[0] is None:
            return (None,) * len(ctx.needs_input_grad)
        levels, *inputs = ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(grads[0], levels, *ctx.limits)
        return None, None, *ctx.landing.slopes(inside, inputs or ctx.empty, ctx.needs_input_grad[2:])


def landed(landing: Landing, limits: tuple[float, float], *inputs: Tensor) -> Tensor:
    """Return the levels of an operator that ends on a grid; rounding's derivative is 1, the clamp's 0 outside.

    Arguments:
        landing: The operator.
        limits: The grid's smallest and largest number.
        inputs: What the operator takes.
    """
    if torch.is_grad_enabled() and any(values.requires_grad for values in inputs):
        levels: Tensor = _Landed.apply(landing, limits, *inputs)[0]  # type: ignore[no-untyped-call]
        return levels
    return landing.levels(*inputs).clamp_(*limits)


def _scaled(values: Tensor, scale: Tensor | float) -> Tensor:
    if not isinstance(scale, Tensor) and scale == 1:
        return values.round()
    return (values * scale).round_()


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


def to_grid(values: Tensor, zero: Tensor | float, low: float, high: float, scale: Tensor | float = 1.0) -> Tensor:
    """Scale, round half to even, add the zero point and clamp; rounding's derivative is 1, the clamp's 0 outside.

    Equation: ``clamp(round(scale v) + z, low, high)``

    Arguments:
        values: Any tensor.
        zero: Zero point: a number, or one number for each channel that broadcasts to the values.
        low: The grid's smallest number.
        high: The grid's largest number.
        scale: Steps of the grid per unit of the values: a number, or one that broadcasts to them.
    """
    if torch.is_grad_enabled() and values.requires_grad:
        levels: Tensor = _ToGrid.apply(values, scale, zero, low, high)[0]  # type: ignore[no-untyped-call]
        return levels
    levels = _scaled(values, scale)
    return (levels + zero if isinstance(zero, Tensor) or zero else levels).clamp_(low, high)


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
