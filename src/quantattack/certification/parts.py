r"""What every step of a network states for its bounds, and the arithmetic that the bounds share.

Every bound holds for the network as it is run in float32, whatever the order of its sums.  A sum of k products, each
of one rounding, differs from the exact one by at most :math:`\gamma_k \sum |w x|` with
:math:`\gamma_k = k u / (1 - k u)` and :math:`u = 2^{-24}`.  The bounds themselves are computed in float64, whose own
error is :math:`2^{-29}` of that: `MARGIN` covers it.

Source: Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1, https://doi.org/10.1137/1.9780898718027
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

UNIT = 2.0**-24  # half the distance from 1 to the next float32
MARGIN = 1 + 2.0**-10  # covers the float64 rounding of a bound, which is far smaller than the float32 terms


@dataclass(frozen=True, eq=False)
class Box:
    """An interval for each value of a step, with shape (1, ...), in float64.

    Arguments:
        low: The lower ends.
        high: The upper ends.
    """

    low: Tensor
    high: Tensor

    @property
    def size(self) -> Tensor:
        """The largest absolute value in each interval."""
        return torch.maximum(self.low.abs(), self.high.abs())

    def meet(self, other: "Box") -> "Box":
        """Return the intersection; where it is empty by rounding, this interval itself."""
        low, high = torch.maximum(self.low, other.low), torch.minimum(self.high, other.high)
        empty = ~(low <= high)
        return Box(torch.where(empty, self.low, low), torch.where(empty, self.high, high))

    def widened(self, by: Tensor) -> "Box":
        """Return the intervals widened at both ends."""
        return Box(self.low - by, self.high + by)


@runtime_checkable
class Part(Protocol):
    """How the values of one step follow from those before it."""

    def interval(self, *boxes: Box) -> Box:
        """Return an interval for each value that the step returns in float32, from those of its inputs."""

    def backward(self, rows: Tensor, *boxes: Box) -> tuple[list[Tensor], Tensor]:
        """Bound rows of the step's values from below by rows of its inputs: the rows of each input, and a constant.

        Arguments:
            rows: Coefficients of the step's values, with shape (m, ...).
            boxes: Intervals of the step's inputs.
        """


def gamma(terms: int) -> float:
    """Return the relative error of a float32 sum of so many roundings, in any order."""
    return MARGIN * terms * UNIT / (1 - terms * UNIT)


def total(products: Tensor) -> Tensor:
    """Return the sum of each row, with shape (m,)."""
    return products.flatten(1).sum(1)


def next_power(size: Tensor) -> Tensor:
    """Return the smallest power of two that is not below each number."""
    return torch.exp2(torch.ceil(torch.log2(size.clamp(min=2.0**-100))))


def is_integral(tensor: Tensor) -> bool:
    """Return whether every entry is a whole number below 2^24, which float32 holds exactly."""
    return bool((tensor == tensor.round()).all()) and float(tensor.abs().amax()) < 1 / UNIT if tensor.numel() else True


def is_power_of_two(number: float) -> bool:
    """Return whether a positive number is a power of two, by which float32 multiplies without an error."""
    return number > 0 and math.frexp(number)[0] == 0.5
