"""Bounds of the linear modules: convolutions, linear layers, BatchNorm, normalization, mean pooling, sums."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d
from torch.nn.grad import conv2d_input

from quantattack.certification.parts import UNIT, Box, gamma, is_integral, next_power, total
from quantattack.errors import InputError
from quantattack.nn.architectures.plain import Affine
from quantattack.nn.layers import Normalize

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Linear:
    r"""A linear map with a shift, :math:`W x + b`, and its rounding in float32.

    Arguments:
        apply: :math:`x \mapsto W x`.
        absolute: :math:`x \mapsto |W| x`.
        transposed: Rows of its values to rows of its input, :math:`A \mapsto A W`.
        shift: b, of a shape that broadcasts to its values.
        terms: Roundings in each value; 0 where none is rounded.
        offset: Subtracted from the input before all else, and part of the shift; it adds to the rounding.
        integral: Whether W is of whole numbers.
        on_integers: Whether the input is of whole numbers too, so that only the shift is rounded.
    """

    apply: Map
    absolute: Map
    transposed: Map
    shift: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    terms: int = 0
    offset: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    integral: bool = False
    on_integers: bool = False

    def interval(self, *boxes: Box) -> Box:
        (box,) = boxes
        middle, reach = (box.low + box.high) / 2, (box.high - box.low) / 2
        value, spread = self.apply(middle) + self.shift, self.absolute(reach)
        return Box(value - spread, value + spread).widened(self.error(box))

    def backward(self, rows: Tensor, *boxes: Box) -> tuple[list[Tensor], Tensor]:
        (box,) = boxes
        constant = total(rows * self.shift) - total(rows.abs() * self.error(box))
        return [self.transposed(rows)], constant

    def error(self, box: Box) -> Tensor:
        r"""Return by how much each value may be off in float32, for inputs in a box.

        It is :math:`\gamma_k (|W| |x| + |b|)`.  Sums of whole numbers below :math:`2^{24}` are exact: with a shift b in
        them, every partial sum is rounded only where it exceeds all powers of two before, so that all roundings
        together are at most one unit in the last place of the largest,
        :math:`2^{-23} 2^{\lceil \log_2(|W||x| + |b|) \rceil}`.
        """
        if not self.terms:
            return torch.zeros_like(self.apply(box.low))
        size = self.absolute(box.size + self.offset.abs()) + self.shift.abs()
        rounded = gamma(self.terms) * size
        if not self.on_integers:
            return rounded
        exact = 2 * UNIT * next_power(size) if bool((self.shift != self.shift.round()).any()) else 0.0
        return torch.where(size < 1 / UNIT, exact, rounded)


def _double(tensor: Tensor | None) -> Tensor:
    return torch.zeros((), dtype=torch.float64) if tensor is None else tensor.detach().double().cpu()


def _input(shape: tuple[int, ...], weight: Tensor, rows: Tensor, settings: tuple[Any, ...]) -> Tensor:
    moved: Tensor = conv2d_input((len(rows), *shape[1:]), weight, rows, *settings)  # type: ignore[no-untyped-call]
    return moved


def convolution(module: nn.Conv2d, shape: tuple[int, ...]) -> Linear:
    """Return the bounds of a convolution of images of a shape."""
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise InputError(
            f"a convolution padded by {module.padding_mode!r} has no bound here; pad with zeros, in numbers"
        )
    weight, settings = _double(module.weight), (module.stride, module.padding, module.dilation, module.groups)
    return Linear(
        lambda x: conv2d(x, weight, None, *settings),
        lambda x: conv2d(x, weight.abs(), None, *settings),
        lambda rows: _input(shape, weight, rows, settings),
        _double(module.bias).view(-1, 1, 1) if module.bias is not None else _double(None),
        terms=weight[0].numel() + 1,
        integral=is_integral(weight),
    )


def dense(module: nn.Linear, shape: tuple[int, ...]) -> Linear:  # noqa: ARG001
    """Return the bounds of a linear layer."""
    weight = _double(module.weight)
    return Linear(
        lambda x: x @ weight.T,
        lambda x: x @ weight.abs().T,
        lambda rows: rows @ weight,
        _double(module.bias),
        terms=weight.shape[1] + 1,
        integral=is_integral(weight),
    )


def _scaled(factor: Tensor, shift: Tensor, offset: Tensor, terms: int) -> Linear:
    """Return the bounds of a factor and a shift for each value."""
    return Linear(lambda x: x * factor, lambda x: x * factor.abs(), lambda rows: rows * factor, shift, terms, offset)


def normalization(module: nn.BatchNorm1d | nn.BatchNorm2d, shape: tuple[int, ...]) -> Linear:
    """Return the bounds of a BatchNorm in eval mode, by its running statistics."""
    if module.running_mean is None or module.running_var is None:
        raise InputError("a BatchNorm without running statistics depends on the batch; it has no bound of one image")
    spread = [1] * (len(shape) - 2)
    mean, scale = _double(module.running_mean), (_double(module.running_var) + module.eps).rsqrt()
    factor = scale if module.weight is None else scale * _double(module.weight)
    shift = _double(module.bias) - mean * factor
    shape_of = (-1, *spread)
    return _scaled(factor.view(shape_of), shift.view(shape_of), mean.view(shape_of), terms=8)


def pixels(module: Normalize, shape: tuple[int, ...]) -> Linear:  # noqa: ARG001
    """Return the bounds of the normalization of pixels."""
    mean, std = _double(module.mean), _double(module.std)
    return _scaled(1 / std, -mean / std, mean, terms=4)


def affine(module: Affine, shape: tuple[int, ...]) -> Linear:  # noqa: ARG001
    """Return the bounds of a factor and a shift for each feature."""
    factor = _double(module.gamma) / 1.001**0.5
    return _scaled(factor, _double(module.beta), _double(None), terms=5)


def mean_pooling(module: nn.AvgPool2d, shape: tuple[int, ...]) -> Linear:
    """Return the bounds of a mean over windows."""
    settings = (module.kernel_size, module.stride, module.padding, module.ceil_mode, module.count_include_pad)

    def pool(x: Tensor) -> Tensor:
        return avg_pool2d(x, *settings, divisor_override=module.divisor_override)

    def transposed(rows: Tensor) -> Tensor:
        with torch.enable_grad():
            x = torch.zeros((len(rows), *shape[1:]), dtype=rows.dtype, requires_grad=True)
            return torch.autograd.grad(pool(x), x, rows)[0]

    size = module.kernel_size
    return Linear(pool, pool, transposed, terms=(size * size if isinstance(size, int) else prod(size)) + 2)


def whole_mean(module: nn.AdaptiveAvgPool2d, shape: tuple[int, ...]) -> Linear:
    """Return the bounds of a mean over all positions."""
    if module.output_size not in (1, (1, 1)):
        raise InputError(f"an adaptive pooling to {module.output_size} has no bound here; only one to 1 has")
    return mean_pooling(nn.AvgPool2d((shape[2], shape[3])), shape)


def flattened(shape: tuple[int, ...]) -> Linear:
    """Return the bounds of a step that makes one dimension of all but the first."""
    return Linear(
        lambda x: x.flatten(1),
        lambda x: x.flatten(1),
        lambda rows: rows.reshape(len(rows), *shape[1:]),
        integral=True,
    )


def unchanged() -> Linear:
    """Return the bounds of a step that changes nothing."""
    return Linear(lambda x: x, lambda x: x, lambda rows: rows, integral=True)


def on_integers(part: Linear) -> Linear:
    """Return a linear part whose inputs are whole numbers."""
    return replace(part, on_integers=part.integral)


@dataclass(frozen=True, eq=False)
class Sum:
    """The sum of two steps, as of a residual and its shortcut."""

    def interval(self, *boxes: Box) -> Box:
        first, second = boxes
        return Box(first.low + second.low, first.high + second.high).widened(self.error(*boxes))

    def backward(self, rows: Tensor, *boxes: Box) -> tuple[list[Tensor], Tensor]:
        return [rows, rows], -total(rows.abs() * self.error(*boxes))

    def error(self, *boxes: Box) -> Tensor:
        """Return by how much each value may be off in float32."""
        return gamma(1) * (boxes[0].size + boxes[1].size)
