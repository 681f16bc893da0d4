"""A network over a region as variables and rows, which both solvers take: each value is affine in the variables."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from quantattack.certification.activations import Clip, Steps
from quantattack.certification.bounds import to_nonlinear
from quantattack.certification.parts import Box
from quantattack.certification.program import Program

_ROWS = 256  # at once, for memory
_NOTHING = 1e-12  # of the largest coefficient: what is smaller is counted as an error


@dataclass(frozen=True, eq=False)
class Rows:
    """Affine functions of the variables.

    Arguments:
        matrix: Their coefficients, with shape (m, variables).
        constant: Their constants, with shape (m,).
        off: By how much the network in float32 may be off each, with shape (m,).
    """

    matrix: sparse.csr_array
    constant: NDArray[np.float64]
    off: NDArray[np.float64]

    def row(self, at: int) -> tuple[list[int], NDArray[np.float64]]:
        """Return the variables of one row and their coefficients."""
        first, last = self.matrix.indptr[at], self.matrix.indptr[at + 1]
        return self.matrix.indices[first:last].tolist(), self.matrix.data[first:last]


@dataclass(eq=False)
class Encoding:
    """The variables so far, and how the values of the steps that are encoded follow from them.

    Arguments:
        program: The network.
        boxes: An interval for each step's values.
        count: Number of variables.
        values: For each encoded step its constants with shape (N,) and its matrix with shape (N, variables then).
    """

    program: Program
    boxes: Sequence[Box]
    count: int = 0
    values: dict[int, tuple[NDArray[np.float64], sparse.csr_array]] = field(default_factory=dict)

    def add(
        self, place: int, constants: NDArray[np.float64], owner: Sequence[int], factor: Sequence[float]
    ) -> list[int]:
        """Add one variable for each owner, and state the values of a step by them; return the variables.

        Arguments:
            place: The step.
            constants: What each value is without the variables, with shape (N,).
            owner: Which value each variable belongs to.
            factor: What a variable is multiplied with in that value.
        """
        variables = list(range(self.count, self.count + len(owner)))
        self.share(place, constants, owner, variables, factor)
        return variables

    def share(
        self,
        place: int,
        constants: NDArray[np.float64],
        owner: Sequence[int],
        variables: Sequence[int],
        factor: Sequence[float],
    ) -> None:
        """State the values of a step by variables, some of which may be new."""
        self.count = max([self.count, *(variable + 1 for variable in variables)])
        places = np.asarray(owner, dtype=np.int64), np.asarray(variables, dtype=np.int64)
        entries = np.asarray(factor, dtype=np.float64), places
        self.values[place] = constants, sparse.csr_array(entries, shape=(len(constants), self.count))

    def rows_of(self, place: int, chosen: Sequence[int]) -> Rows:
        """Return values of a step, by their places in it, as rows of the variables."""
        size = torch.Size(self.program.steps[place].shape).numel()
        parts = []
        for first in range(0, len(chosen), _ROWS):
            some = torch.tensor(chosen[first : first + _ROWS])
            unit = torch.zeros(len(some), size, dtype=torch.float64)
            unit[torch.arange(len(some)), some] = 1
            parts.append(self.rows(place, unit.view(len(some), *self.program.steps[place].shape[1:])))
        matrix = sparse.vstack([part.matrix for part in parts], format="csr")
        return Rows(matrix, *(np.concatenate([getattr(part, name) for part in parts]) for name in ("constant", "off")))

    def rows(self, place: int, rows: Tensor) -> Rows:
        """Return rows of a step's values, with shape (m, ...), as rows of the variables."""
        found, exact, float_off = to_nonlinear(self.program, self.boxes, place, rows)
        matrix = sparse.csr_array((len(rows), self.count))
        constant, off = exact.numpy().copy(), float_off.numpy().copy()
        for at, coefficients in found.items():
            dense = coefficients.flatten(1).numpy()
            small = np.abs(dense) < _NOTHING * np.abs(dense).max(initial=0)
            off += np.abs(np.where(small, dense, 0)) @ self.boxes[at].size.flatten().numpy()
            base, of_variables = self.values[at]
            part = sparse.csr_array(np.where(small, 0, dense))
            constant += part @ base
            matrix = matrix + (part @ _widened(of_variables, self.count))
        matrix = sparse.csr_array(matrix)
        matrix.eliminate_zeros()
        return Rows(matrix, constant, off)


def _widened(matrix: sparse.csr_array, count: int) -> sparse.csr_array:
    return sparse.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], count))


def input_of(program: Program, place: int) -> int:
    """Return the step that a nonlinear step reads, past a clip that its thresholds lie within."""
    part, before = program.steps[place].part, program.steps[place].inputs[0]
    clip = program.steps[before].part
    if isinstance(part, Steps) and isinstance(clip, Clip):
        late, soon = part.thresholds + part.tolerance, part.thresholds - part.tolerance
        if float(soon.min()) > clip.bottom and float(late.max()) <= clip.top:
            return program.steps[before].inputs[0]
    return before
