"""Tensors on integer grids as floating-point tensors with a derivative, in the place of torch's quantized tensors."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from quantattack.deployed.rounding import clamp_through, round_through

_RANGES = {torch.quint8: (0, 255), torch.qint8: (-128, 127), torch.qint32: (-(2**31), 2**31 - 1)}


@dataclass(frozen=True)
class Grid:
    """The integers low to high, whose values are (q - zero) scale."""

    scale: float
    zero: int
    low: int
    high: int


def grid_of(scale: Any, zero: Any, dtype: torch.dtype = torch.quint8) -> Grid:
    """Return the grid of a quantized dtype.

    Arguments:
        scale: The step.
        zero: The integer of 0.
        dtype: torch's quantized type.
    """
    return Grid(float(scale), int(zero), *_RANGES[dtype])


def placed(centred: Tensor, grid: Grid) -> Tensor:
    """Return the values on a grid, which know the integers that they stand for.

    Arguments:
        centred: The integers less the grid's zero, as floating-point numbers.
        grid: The grid.
    """
    values = centred * grid.scale
    values.on_grid = (centred, grid)  # type: ignore[attr-defined]
    return values


def rounded(centred: Tensor, grid: Grid) -> Tensor:
    """Return numbers in steps of a grid on the grid: rounded half to even and clamped, straight-through.

    Arguments:
        centred: Any numbers, in steps from the grid's zero.
        grid: The grid.
    """
    low, high = float(grid.low - grid.zero), float(grid.high - grid.zero)
    return placed(clamp_through(round_through(centred), low, high), grid)


def averaged(centred: Tensor, grid: Grid) -> Tensor:
    """Return averages of integers on their grid, whose zero is added before they are rounded.

    Arguments:
        centred: Averages of integers less the grid's zero.
        grid: The grid.
    """
    whole = clamp_through(round_through(centred + grid.zero), float(grid.low), float(grid.high))
    return placed(whole - grid.zero, grid)


def quantized(values: Tensor, grid: Grid) -> Tensor:
    """Return values on a grid, straight-through: those of `torch.quantize_per_tensor`.

    Arguments:
        values: Any values.
        grid: The grid.
    """
    return rounded(values * (1.0 / grid.scale), grid)


def is_placed(value: object) -> bool:
    """Return whether a value is a tensor on a grid."""
    return hasattr(value, "on_grid")


def integers(values: Tensor) -> tuple[Tensor, Grid]:
    """Return the integers less the zero of what is on a grid, and the grid."""
    centred, grid = values.on_grid  # type: ignore[attr-defined]
    return centred, grid
