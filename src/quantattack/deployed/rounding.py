"""Rounding with a straight-through derivative, the one nonlinearity that a twin adds to a float network."""

import torch
from torch import Tensor


def round_through(values: Tensor) -> Tensor:
    """Round half to even; the derivative is 1.

    Arguments:
        values: Any tensor.
    """
    return values + (values.round() - values).detach() if values.requires_grad else values.round()


def clamp_through(values: Tensor, low: float, high: float) -> Tensor:
    """Clamp to an integer grid's range; the derivative is 1 inside the range and at its ends, and 0 outside.

    Arguments:
        values: Any tensor.
        low: The grid's smallest number.
        high: The grid's largest number.
    """
    return torch.clamp(values, low, high)


def is_exact(weight: Tensor, most: float) -> bool:
    """Return whether a sum of products of integers is exact in float32.

    Arguments:
        weight: Integer weights with the output channels in the first dimension.
        most: Largest magnitude of an input, its zero point subtracted.
    """
    return float(weight.abs().flatten(1).double().sum(1).max()) * most < 2.0**24
