"""Quantized operators: integer sums, one multiplication in float32, rounding, in the order of onnxruntime's kernels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quantattack.deployed.onnx.call import Call, Grid, Part
from quantattack.deployed.onnx.grid import Inputs, landed, to_grid
from quantattack.deployed.onnx.operators.products import Convolve, RowProducts
from quantattack.deployed.onnx.operators.sums import EXACT, IntegerProducts
from quantattack.deployed.onnx.operators.window import window_of


class Requantize(nn.Module):
    """Puts integer sums on the grid of an output.

    Equation: ``clamp(round(sum * scale) + zero, low, high)``

    Arguments:
        scale: Step of the sums in units of the output's, a float32 scalar or one for each channel that broadcasts.
        grid: The output's grid.
    """

    scale: Tensor

    def __init__(self, scale: Tensor, grid: Grid) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.zero, self.limits = grid.origin, (grid.low, grid.high)

    def forward(self, sums: Tensor) -> Tensor:
        return to_grid(sums, self.zero, *self.limits, self.scale)


class QuantizedLinear(nn.Module):
    """Integer sums of products of one input with constant weights, put on a grid or multiplied by a scale.

    Arguments:
        zero: Zero point of the input.
        products: The integer sums.
        finish: What maps the sums to the output.

    A maximum over windows that follows may be taken of the sums: `finish` keeps their order, so that the levels are the
    same, there are fewer of them to round, and the derivative goes to the largest sum and not to the first of its tie.
    """

    keeps = False

    def __init__(self, zero: float, products: IntegerProducts, finish: nn.Module) -> None:
        super().__init__()
        self.zero, self.products, self.finish = zero, products, finish

        self.pool: nn.Module | None = None

    @property
    def rises(self) -> bool:
        """Whether a larger sum gives a larger level or the same: scales are positive but in a damaged file."""
        scale = self.finish.scale
        return isinstance(scale, Tensor) and bool((scale > 0).all())

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is None and isinstance(self.finish, Requantize):
            return landed(self, self.finish.limits, x)
        sums = self.products(x - self.zero if self.zero else x)
        return self.finish(sums if self.pool is None else self.pool(sums))  # type: ignore[no-any-return]

    @property
    def _requantize(self) -> Requantize:
        assert isinstance(self.finish, Requantize)
        return self.finish

    def levels(self, x: Tensor) -> Tensor:
        """Return the levels before they are clamped."""
        finish = self._requantize
        levels: Tensor = self.products(x - self.zero if self.zero else x).mul_(finish.scale).round_()
        return levels.add_(finish.zero) if finish.zero else levels

    def slopes(self, grad: Tensor, inputs: Inputs, needed: Sequence[bool]) -> tuple[Tensor | None, ...]:  # noqa: ARG002
        """Return the derivative with respect to the input."""
        return (self.products.transposed(grad, self._requantize.scale, inputs[0].shape),)


class Scaled(nn.Module):
    """Multiplies integer sums by a scale.

    Arguments:
        scale: A scalar, or one for each channel that broadcasts.
    """

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, sums: Tensor) -> Tensor:
        return sums * self.scale


def along(values: Tensor, axis: int, ndim: int) -> Tensor:
    """Return one number for each channel shaped to broadcast along an axis; a scalar as it is.

    Arguments:
        values: A scalar, one number, or numbers with shape (c).
        axis: The axis of the channels.
        ndim: Number of axes of what it broadcasts to.
    """
    if values.numel() == 1:
        return values.reshape(())
    if values.ndim != 1:
        return values
    shape = [1] * ndim
    shape[axis] = -1
    return values.reshape(shape)


def quantized_convolution(call: Call) -> Part:
    """Return QLinearConv."""
    x, w, y = call.grid(1, 2), call.grid(4, 5), call.grid(6, 7)
    weight, bias = call.required(3), call.constant(8)
    window, groups = window_of(call, tuple(weight.shape[2:])), int(call.attribute("group", 1))
    centered = weight - along(w.zero, 0, weight.ndim)
    products = IntegerProducts(centered, bias, x.span, Convolve(window, groups), 1, groups)
    scale = x.scale.reshape(()) * w.scale / y.scale.reshape(())  # float32 in this order, as the runtime does
    finish = Requantize(along(scale, 0, weight.ndim - 1), y)
    return Part(QuantizedLinear(x.origin, products, finish), (call.name(0),))


def quantized_gemm(call: Call) -> Part:
    """Return QGemm, whose output is real where it has no scale."""
    x, w = call.grid(1, 2), call.grid(4, 5)
    if call.attribute("transA", 0):
        raise call.refuse("flips its first input, which is not supported")
    weight = call.required(3) if call.attribute("transB", 0) else call.required(3).T
    scale = float(call.attribute("alpha", 1.0)) * x.scale.reshape(()) * w.scale
    zero, products = _row_products(x, weight - along(w.zero, 0, 2), call.constant(6))
    return Part(QuantizedLinear(zero, products, _finish(call, scale, 7)), (call.name(0),))


def quantized_matrix_product(call: Call) -> Part:
    """Return QLinearMatMul, of an input with constant weights or of two inputs."""
    x, w, y = call.grid(1, 2), call.grid(4, 5), call.grid(6, 7)
    scale = along(x.scale.reshape(()) * w.scale / y.scale.reshape(()), -1, 1)
    weight = call.constants.get(call.name(3))
    if weight is None or weight.ndim != 2:
        return Part(TwoProducts(x, w, Requantize(scale, y)), (call.name(0), call.name(3)))
    zero, products = _row_products(x, (weight - along(w.zero, 1, 2)).T, None)
    return Part(QuantizedLinear(zero, products, Requantize(scale, y)), (call.name(0),))


def _row_products(x: Grid, weight: Tensor, bias: Tensor | None) -> tuple[float, IntegerProducts]:
    """What to subtract from the levels of x, and their products with rows of weights.

    Nothing is subtracted where the sums of the levels themselves are exact: the bias takes the zero point's part.
    """
    if x.origin:
        moved = (0.0 if bias is None else bias.double()) - x.origin * weight.double().sum(1)
        products = IntegerProducts(weight, moved, (x.low, x.high), RowProducts(), -1)
        if products.simple:
            return 0.0, products
    return x.origin, IntegerProducts(weight, bias, x.span, RowProducts(), -1)


def _finish(call: Call, scale: Tensor, index: int) -> nn.Module:
    if not call.name(index):
        return Scaled(along(scale, -1, 1))
    grid = call.grid(index, index + 1)
    return Requantize(along(scale / grid.scale.reshape(()), -1, 1), grid)


class TwoProducts(nn.Module):
    """The matrix product of two quantized inputs.

    Arguments:
        left: Grid of the left factor.
        right: Grid of the right factor.
        finish: What maps the integer sums to the output.
    """

    keeps = True

    def __init__(self, left: Grid, right: Grid, finish: Requantize) -> None:
        super().__init__()
        self.zeros, self.most, self.finish = (left.origin, right.origin), left.reach * right.reach, finish

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        if min(a.ndim, b.ndim) < 2:  # a row or column alone is cheap
            result: Tensor = self.finish(self._sums(a, b))
            return result
        return landed(self, self.finish.limits, a, b)

    def levels(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the levels before they are clamped."""
        return (self._sums(a, b) * self.finish.scale).round_().add_(self.finish.zero)

    def _sums(self, a: Tensor, b: Tensor) -> Tensor:
        left, right = self._centered((a, b))
        if a.shape[-1] * self.most < EXACT:
            return torch.matmul(left, right)
        return torch.matmul(left.double(), right.double()).to(a.dtype)

    def slopes(self, grad: Tensor, inputs: Inputs, needed: Sequence[bool]) -> tuple[Tensor | None, ...]:
        """Return the derivatives with respect to both factors."""
        sums, (left, right) = grad.mul_(self.finish.scale), self._centered(inputs)
        return (
            torch.matmul(sums, right.mT).sum_to_size(left.shape) if needed[0] else None,
            torch.matmul(left.mT, sums).sum_to_size(right.shape) if needed[1] else None,
        )

    def _centered(self, inputs: Inputs) -> list[Tensor]:
        return [values - zero if zero else values for values, zero in zip(inputs, self.zeros, strict=True)]


def quantize(call: Call) -> Part:
    """Return QuantizeLinear."""
    from quantattack.deployed.onnx.graph import kind_name

    named = int(call.attribute("output_dtype", 0))
    grid = call.grid(1, 2, kind_name(named) if named else "uint8")
    return Part(Axis(call, grid.scale, grid.zero, (grid.low, grid.high)), (call.name(0),))


def dequantize(call: Call) -> Part:
    """Return DequantizeLinear."""
    scale, zero = call.required(1), call.constant(2)
    origin = torch.zeros_like(scale) if zero is None else zero.to(scale.dtype)
    return Part(Axis(call, scale, origin, None), (call.name(0),))


class Axis(nn.Module):
    """QuantizeLinear or DequantizeLinear, whose scale spreads over its axis, or over blocks of it, at run time.

    Arguments:
        call: The node.
        scale: Its scale.
        zero: Its zero point.
        limits: Smallest and largest level; none to dequantize.
    """

    keeps = False

    scale: Tensor
    zero: Tensor

    def __init__(self, call: Call, scale: Tensor, zero: Tensor, limits: tuple[float, float] | None) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("zero", zero)
        self.axis, self.block = int(call.attribute("axis", 1)), int(call.attribute("block_size", 0))
        self.origin = float(zero.flatten()[0]) if zero.numel() == 1 else None
        self.limits = limits

    def forward(self, x: Tensor) -> Tensor:
        if self.limits is not None:
            return landed(self, self.limits, x)
        scale, origin, levels = self._spread(self.scale, x), self._origin(x), x.to(self.scale.dtype)
        if not isinstance(origin, Tensor) and not origin:
            return levels * scale
        return (levels - origin).mul_(scale)

    def levels(self, x: Tensor) -> Tensor:
        """Return the levels before they are clamped."""
        levels, origin = (x / self._spread(self.scale, x)).round_(), self._origin(x)
        return levels.add_(origin) if isinstance(origin, Tensor) or origin else levels

    def slopes(self, grad: Tensor, inputs: Inputs, needed: Sequence[bool]) -> tuple[Tensor | None, ...]:  # noqa: ARG002
        """Return the derivative with respect to the input."""
        return (grad.div_(self._spread(self.scale, inputs[0])),)

    def _origin(self, x: Tensor) -> Tensor | float:
        return self._spread(self.zero, x) if self.origin is None else self.origin

    def _spread(self, values: Tensor, x: Tensor) -> Tensor:
        if self.block and values.ndim == x.ndim:
            return values.repeat_interleave(self.block, self.axis).narrow(self.axis, 0, x.shape[self.axis])
        return along(values, self.axis, x.ndim)
