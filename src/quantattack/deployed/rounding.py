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
