"""Sums of products of integers, exact in float32 where that can be, in parts where it cannot."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

EXACT = 2.0**24  # integers up to here are exact in float32, and so is every partial sum of products below it
_MOST_PARTS = 64


@runtime_checkable
class Product(Protocol):
    """A linear map of inputs by weights, and its transpose."""

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor: ...

    def transposed(self, grad: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Return the derivative with respect to inputs of this shape."""


def pieces(values: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
    """Return a tensor cut along an axis into pieces of these sizes.

    Arguments:
        values: Any tensor.
        sizes: Size of each piece.
        axis: Where to cut.
    """
    firsts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [values.narrow(axis, first, size) for first, size in zip(firsts, sizes, strict=True)]


def extents(weight: Tensor, span: tuple[float, float]) -> Tensor:
    """Return how far up and how far down products with each weight reach, with shape (2, outputs, inputs).

    Every partial sum, in whatever order, lies between the sum of the one and that of the other.

    Arguments:
        weight: Integer weights with shape (outputs, inputs, ...).
        span: Smallest and largest input, the zero point subtracted.
    """
    ends = weight.detach().double()[None] * torch.tensor(span).double().reshape(2, *[1] * weight.ndim)
    both = torch.stack([ends.amax(0).clamp_min(0), (-ends).amax(0).clamp_min(0)])
    return both.flatten(3).sum(3) if both.ndim > 3 else both


def parts_of(weight: Tensor, span: tuple[float, float]) -> list[int] | None:
    """Return how to cut the inputs so that each part's sum of integers is exact in float32; none if nothing is.

    Arguments:
        weight: Integer weights with shape (outputs, inputs, ...).
        span: Smallest and largest input, the zero point subtracted.
    """
    sizes, inputs = extents(weight, span), weight.shape[1]
    for count in range(1, min(inputs, _MOST_PARTS) + 1):
        cuts = [len(part) for part in torch.arange(inputs).tensor_split(count)]
        if max(float(part.sum(2).max()) for part in pieces(sizes, cuts, 2)) < EXACT:
            return cuts
    return None


def common_factor(weight: Tensor) -> float:
    """Return the largest integer that divides all weights, which is the one level of a binarized layer; 1 for zeros.

    Arguments:
        weight: Integer weights of any shape.
    """
    return float(np.gcd.reduce(weight.detach().long().flatten().numpy())) or 1.0


class IntegerProducts(nn.Module):
    """Integer sums of products plus an integer bias, exact, and then rounded to float32 as an int32 is.

    A factor that all weights have in common comes after the sum.  Where float32 would still round within the sum, the
    inputs are cut into parts that do not, and the parts added in float64.

    Arguments:
        weight: Integer weights with shape (outputs, inputs, ...), their zero point subtracted.
        bias: Integer bias with shape (outputs), or none.
        span: Smallest and largest input, the zero point subtracted.
        product: Maps inputs, weights and a bias or none to sums, the output channels in dimension 1 or last.
        axis: The inputs' dimension in x: 1, or -1.
        groups: How many groups the channels are in.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        span: tuple[float, float],
        product: Product,
        axis: int,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.product, self.axis = product, axis
        whole = torch.zeros(len(weight)) if bias is None else bias.double().abs()
        most = float((extents(weight, span).sum(2).amax(0) + whole).max())
        self.factor = 1.0 if most < EXACT else common_factor(weight)
        levels = weight.float() / self.factor
        self.register_buffer("weight", levels)
        self.parts = parts_of(levels, span)
        if groups > 1 and self.parts is not None and len(self.parts) > 1:
            self.parts = None  # a cut through all groups' inputs would be no slice: float64 does it
        self.simple = most < EXACT
        kind = torch.float32 if self.simple else torch.float64  # an int32 bias may have more bits than a float32
        self.register_buffer("bias", None if bias is None else bias.to(kind))
        self.fuses = self.parts is not None and len(self.parts) == 1 and self._fuses(most)

    def forward(self, x: Tensor) -> Tensor:
        if self.simple:
            return self.product(x, self.weight, self.bias)
        if self.fuses:
            return self._fused(self.product(x, self.weight, None))
        total = self._wide(x)
        if self.factor != 1:
            total = total * self.factor
        if self.bias is not None:
            total = total + self._shaped(self.bias.double(), x.ndim)
        return total.to(x.dtype)

    def transposed(self, grad: Tensor, scale: Tensor, shape: torch.Size) -> Tensor:
        """Return the derivative of scaled sums with respect to the inputs; the scale goes to the weights.

        Arguments:
            grad: Derivative with respect to the scaled sums.
            scale: What the sums are multiplied by: a scalar, or one number for each channel.
            shape: Shape of the inputs.
        """
        weight = self.weight * (scale * self.factor).reshape(-1, *[1] * (self.weight.ndim - 1))
        return self.product.transposed(grad, weight, shape)

    def _fused(self, sums: Tensor) -> Tensor:
        """The sums times their factor plus the bias, rounded together."""
        if self.bias is None:
            return sums * self.factor
        return torch.add(self._shaped(self.bias.to(sums.dtype), sums.ndim), sums, alpha=self.factor)

    def _fuses(self, most: float) -> bool:
        """Whether torch's addition with a factor rounds once, as it does on processors that can."""
        if self.bias is not None and not torch.equal(self.bias, self.bias.float().double()):
            return False
        shape = (5, len(self.weight), *[7] * (self.weight.ndim - 2))
        sums = torch.randint(int(most / self.factor) + 1, shape, generator=torch.Generator().manual_seed(0)).float()
        exact = sums.double() * self.factor
        if self.bias is not None:
            exact = exact + self._shaped(self.bias.double(), exact.ndim)
        return torch.equal(self._fused(sums), exact.float())

    def _shaped(self, bias: Tensor, axes: int) -> Tensor:
        return bias.reshape(-1, *[1] * (axes - 2)) if self.axis == 1 else bias

    def _wide(self, x: Tensor) -> Tensor:
        if self.parts is None:
            return self.product(x.double(), self.weight.double(), None)
        cuts = zip(pieces(x, self.parts, self.axis), pieces(self.weight, self.parts, 1), strict=True)
        sums = [self.product(piece, weight, None) for piece, weight in cuts]
        total = sums[0].double()
        for part in sums[1:]:
            total = total + part
        return total

    def extra_repr(self) -> str:
        return f"weight={tuple(self.weight.shape)}, factor={self.factor:g}, parts={self.parts}"
