"""Sums and products of two quantized tensors, in the order of onnxruntime's kernels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quantattack.deployed.onnx.call import Call, Grid, Part
from quantattack.deployed.onnx.grid import Inputs, landed
from quantattack.deployed.onnx.operators.elementwise import scalar


class QuantizedAdd(nn.Module):
    """QLinearAdd: ``ra a + (rb b + fixed)`` with two fused multiply-adds, then rounding.

    torch's addition with a factor is one, too, on processors that have it; else float64 emulates it.
    A factor that spreads over whole rows comes second in the runtime, whichever it was.

    Arguments:
        grids: Grids of both inputs, then of the output.
    """

    keeps = False

    fixed: Tensor
    swapped: Tensor

    def __init__(self, grids: tuple[Grid, Grid, Grid]) -> None:
        super().__init__()
        a, b, c = grids
        ratios = [scalar(grid.scale) / scalar(c.scale) for grid in (a, b)]
        self.ratios = float(ratios[0]), float(ratios[1])
        orders = ((ratios[0], a.origin), (ratios[1], b.origin))
        self.register_buffer("fixed", _fixed(c.origin, *orders))
        self.register_buffer("swapped", _fixed(c.origin, *orders[::-1]))
        self.low, self.high = c.low, c.high
        levels = torch.arange(min(a.low, b.low), max(a.high, b.high) + 1, dtype=torch.float32)
        self.fuses = len(levels) <= 1 << 9 and self._fuses(levels)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return landed(self, (self.low, self.high), a, b)

    def levels(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the levels before they are clamped."""
        swap = _spreads(a, b)
        terms = ((b, a), self.ratios[::-1], self.swapped) if swap else ((a, b), self.ratios, self.fixed)
        sums = fused_sum(*terms) if self.fuses else emulated_sum(*terms)
        return sums.round_()

    def slopes(self, grad: Tensor, inputs: Inputs, needed: Sequence[bool]) -> tuple[Tensor | None, ...]:
        """Return the derivatives with respect to both inputs."""
        return tuple(
            (grad * ratio).sum_to_size(values.shape) if need else None
            for ratio, values, need in zip(self.ratios, inputs, needed, strict=True)
        )

    def _fuses(self, levels: Tensor) -> bool:
        """Whether torch's sum is the emulated one for every pair of levels, in either order."""
        pair = levels.repeat_interleave(len(levels)), levels.repeat(len(levels))
        orders = ((self.ratios, self.fixed), (self.ratios[::-1], self.swapped))
        return all(torch.equal(fused_sum(pair, *order), emulated_sum(pair, *order)) for order in orders)


def _fixed(zero: float, first: tuple[Tensor, float], second: tuple[Tensor, float]) -> Tensor:
    """``zc - (ra za + rb zb)``, the first product and its sum rounded together as the kernel's compiler has it."""
    (ratio, origin), (other, last) = first, second
    return zero - (ratio.double() * origin + (other * last).double()).float()


def fused_sum(pair: tuple[Tensor, Tensor], ratios: tuple[float, ...], fixed: Tensor) -> Tensor:
    """Return ``ra a + (rb b + fixed)`` by torch's addition with a factor.

    Arguments:
        pair: a and b.
        ratios: ra and rb.
        fixed: What is added, a scalar.
    """
    (a, b), (first, second) = pair, ratios
    inner = torch.add(fixed, b, alpha=second)
    if inner.shape == a.shape and a.ndim and len(a) > 1:  # vmap shows one row, and of constants no more
        return inner.add_(a, alpha=first)
    return torch.add(inner, a, alpha=first)


def emulated_sum(pair: tuple[Tensor, Tensor], ratios: tuple[float, ...], fixed: Tensor) -> Tensor:
    """Return ``ra a + (rb b + fixed)``, each product and its sum rounded together, by way of float64.

    Arguments:
        pair: a and b.
        ratios: ra and rb.
        fixed: What is added, a scalar.
    """
    (a, b), (first, second) = pair, ratios
    inner = (b.double() * second + fixed.double()).to(b.dtype)
    return (a.double() * first + inner.double()).to(a.dtype)


def _spreads(a: Tensor, b: Tensor) -> bool:
    """Return whether one number of a meets a whole row of b."""
    sizes = zip(reversed(a.shape), reversed(b.shape), strict=False)
    differing = next(((one, other) for one, other in sizes if one != other or one > 1), None)
    if differing is None:
        return a.numel() == 1 and b.numel() > 1
    return differing[0] == 1


def quantized_add(call: Call) -> Part:
    """Return QLinearAdd."""
    return Part(QuantizedAdd((call.grid(1, 2), call.grid(4, 5), call.grid(6, 7))), (call.name(0), call.name(3)))


class QuantizedMul(nn.Module):
    """QLinearMul: ``(a - za) (b - zb) * ratio + zc``, the zero point added before the rounding.

    Arguments:
        grids: Grids of both inputs, then of the output.
    """

    keeps = True

    def __init__(self, grids: tuple[Grid, Grid, Grid]) -> None:
        super().__init__()
        a, b, c = grids
        self.ratio = float(scalar(a.scale) * scalar(b.scale) / scalar(c.scale))
        self.zeros, self.low, self.high = (a.origin, b.origin, c.origin), c.low, c.high

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return landed(self, (self.low, self.high), a, b)

    def levels(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the levels before they are clamped."""
        left, right = self._centered((a, b))
        return (left * right).mul_(self.ratio).add_(self.zeros[2]).round_()

    def slopes(self, grad: Tensor, inputs: Inputs, needed: Sequence[bool]) -> tuple[Tensor | None, ...]:
        """Return the derivatives with respect to both inputs."""
        scaled, (left, right) = grad.mul_(self.ratio), self._centered(inputs)
        return tuple(
            (scaled * factor).sum_to_size(values.shape) if need else None
            for factor, values, need in zip((right, left), inputs, needed, strict=True)
        )

    def _centered(self, inputs: Inputs) -> list[Tensor]:
        return [values - zero if zero else values for values, zero in zip(inputs, self.zeros[:2], strict=True)]


def quantized_mul(call: Call) -> Part:
    """Return QLinearMul."""
    return Part(QuantizedMul((call.grid(1, 2), call.grid(4, 5), call.grid(6, 7))), (call.name(0), call.name(3)))
