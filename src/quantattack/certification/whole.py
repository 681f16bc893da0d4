"""Rows in whole numbers, as CP-SAT takes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantattack.certification.encoding import Rows

_WHOLE = 1e-9  # by which a quotient may differ from a whole number and count as one, before its error is counted
_LARGEST = 1 << 18  # integer coefficients of weights that are no multiples of one number


@dataclass(frozen=True, eq=False)
class Whole:
    """A row in whole numbers: ``unit`` times their sum, and the rest as an error."""

    variables: list[int]
    coefficients: list[int]
    unit: float
    error: float


def whole(rows: Rows, at: int, spans: NDArray[np.float64]) -> Whole:
    """Return a row in whole numbers.

    Arguments:
        rows: The rows.
        at: Which of them.
        spans: The largest absolute value of each variable.
    """
    variables, data = rows.row(at)
    size = np.abs(data)
    unit = float(size.min(initial=1.0))
    ratio = data / unit
    if np.abs(ratio - ratio.round()).max(initial=0) > _WHOLE or size.max(initial=0) > _LARGEST * unit:
        unit = float(size.max()) / _LARGEST
        ratio = data / unit
    rest = np.abs(data - ratio.round() * unit) @ spans[variables]
    return Whole(variables, ratio.round().astype(np.int64).tolist(), unit, float(rest))
