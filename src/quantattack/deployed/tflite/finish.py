"""How a sum of products becomes levels of the output's grid: in floats as XNNPACK does, or in fixed point."""

from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from quantattack.deployed.tflite.fixed_point import multipliers, scaled, scaled_once
from quantattack.deployed.tflite.grid import ENDS, Grid, rounded, settled

Reals: TypeAlias = npt.NDArray[Any] | np.floating[Any]  # one number, or one for each channel


@runtime_checkable
class Finish(Protocol):
    """What follows the sum of an operator: rescaling and activation."""

    def __call__(self, total: Tensor) -> Tensor:
        """Return the operator's output for its sum, with the channels in the last dimension."""


class Cut(nn.Module):
    """The activation of a float operator.

    Arguments:
        activation: A name of `ENDS`.
    """

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.low, self.high = ENDS[activation]

    def forward(self, total: Tensor) -> Tensor:
        if self.low is None:
            return total
        # relu's derivative at 0 is 0, as in the float networks that files are made of; clamp's would be 1
        return total.relu() if self.high is None else torch.clamp(total, self.low, self.high)


class Floated(nn.Module):
    r"""XNNPACK's rescaling: the product in float32, half rounded to even.

    Equation: :math:`\mathrm{clamp}(\mathrm{round}(\mathrm{float}(a)\, s))`

    Arguments:
        scale: Float32 numbers, one or one for each channel.
        grid: The output's grid, cut by the activation.
    """

    scale: Tensor

    def __init__(self, scale: Reals, grid: Grid) -> None:
        super().__init__()
        self.register_buffer("scale", torch.from_numpy(np.array(scale, np.float32)))
        self.grid = grid

    def forward(self, total: Tensor) -> Tensor:
        return rounded(total, self.scale, self.grid)


class Stored(nn.Module):
    r"""XNNPACK's rescaling of a sum over dimensions, made of the levels as they are stored, zero points and all.

    Equation: :math:`\mathrm{round}(\mathrm{float}(r)\, s + (z_y - z_r s)) - z_y`, in float32, with r the sum of the
    stored levels and :math:`z_r` that of their zero points: where a half goes depends on both.

    Arguments:
        scale: One float32 number.
        grid: The output's grid.
        zeros: The sum of the zero points of what is added.
    """

    scale: Tensor

    def __init__(self, scale: Reals, grid: Grid, zeros: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.from_numpy(np.array(scale, np.float32)))
        self.grid, self.zeros = grid, zeros

    def forward(self, total: Tensor) -> Tensor:
        with torch.no_grad():
            scale, zero = self.scale.float(), self.grid.zero
            bias = zero - self.zeros * scale
            levels = ((total.float() + self.zeros) * scale + bias).round_().sub_(zero)
        return settled(total, self.scale, total.detach() * self.scale, levels, self.grid)


class Fixed(nn.Module):
    """The rescaling of TFLite's own kernels: a fixed-point product, rounded twice, half away from zero.

    Arguments:
        scale: Real numbers, one or one for each channel.
        grid: The output's grid, cut by the activation.
        pair: The multiplier and its exponent, where they are not those of the scale.
        once: Whether the product is rounded once, as the reference kernel of fully connected layers does.
    """

    scale: Tensor
    q: Tensor
    exponent: Tensor

    def __init__(self, scale: Reals, grid: Grid, pair: tuple[int, int] | None = None, once: bool = False) -> None:
        super().__init__()
        reals = np.atleast_1d(np.asarray(scale, np.float64))
        q, exponent = multipliers(reals.tolist()) if pair is None else (torch.tensor([one]) for one in pair)
        self.register_buffer("scale", torch.from_numpy(reals.astype(np.float32)))
        self.register_buffer("q", q)
        self.register_buffer("exponent", exponent)
        self.grid, self.rule = grid, scaled_once if once else scaled

    def forward(self, total: Tensor) -> Tensor:
        with torch.no_grad():
            levels = self.rule(total.long(), self.q, self.exponent)
            value = total * self.scale
        return settled(total, self.scale, value, levels, self.grid)
