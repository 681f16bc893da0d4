"""The cells of an affine layer of signs: which patterns of signs the images of a box can have, by linear programs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

Pattern: TypeAlias = Bool[Tensor, " units"]  # where a sign is positive
Patterns: TypeAlias = Bool[Tensor, "patterns units"]
WhichPatterns: TypeAlias = Bool[Tensor, " patterns"]

_CLEAR = 1e-5  # slack, in shares of what a unit moves in the box, that float32 does not round away
_ENOUGH = 1e-3  # slack beyond which an image is not moved further inside its cell
_USED = 1e-9  # a dual value below it is zero


@dataclass(eq=False)
class Cells:
    r"""The cells :math:`\{z \in [0, 1]^d : s_j (b_j + \sum_p S_{jp} z_p) > 0 \text{ for all } j\}` of patterns s.

    A cell without a point that is clear of all thresholds by 1e-5 of what each unit moves in the box counts as empty.
    It leaves a conflict: a few of its signs that no such point has together, those of nonzero dual value in the linear
    program (Farkas's lemma).  Each later pattern that contains one is known to be empty without a program.

    Arguments:
        slopes: S in float64, with shape (units, d), no row zero.
        offsets: b, with shape (units,).
    """

    slopes: Tensor
    offsets: Tensor
    conflicts: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.conflicts = torch.zeros(0, len(self.offsets), dtype=torch.float32)
        size = self.slopes.abs().sum(1)
        self.slopes, self.offsets = self.slopes / size[:, None], self.offsets / size

    def point(self, pattern: Pattern) -> Tensor | None:
        """Return a point well inside the cell of a pattern, with shape (d,); None, and a conflict, if there is none.

        Arguments:
            pattern: Where the sign is positive, with shape (units,).
        """
        from scipy.optimize import linprog

        signs = _signs(pattern).double().numpy()
        held = np.c_[-signs[:, None] * self.slopes.numpy(), np.ones(len(signs))]  # t <= s_j (b_j + S_j z)
        goal = np.r_[np.zeros(self.slopes.shape[1]), -1.0]
        bounds: Sequence[tuple[float | None, float]] = [*[(0.0, 1.0)] * self.slopes.shape[1], (None, _ENOUGH)]
        found = linprog(goal, A_ub=held, b_ub=signs * self.offsets.numpy(), bounds=bounds, method="highs-ds")
        if found.x is not None and found.x[-1] > _CLEAR:
            return torch.from_numpy(found.x[:-1])
        used = torch.ones_like(pattern) if found.x is None else torch.from_numpy(found.ineqlin.marginals < -_USED)
        self.forbid(pattern, used)
        return None

    def forbid(self, pattern: Pattern, used: Pattern) -> None:
        """Count every pattern with a pattern's signs in a mask as empty from now on.

        Arguments:
            pattern: Where the sign is positive, with shape (units,).
            used: The units of the conflict, with shape (units,).
        """
        self.conflicts = torch.cat([self.conflicts, torch.where(used, _signs(pattern), 0.0)[None]])

    def may_hold(self, patterns: Patterns) -> WhichPatterns:
        """Return which patterns contain no conflict that is known, with shape (n,).

        Arguments:
            patterns: Where the signs are positive, with shape (n, units).
        """
        return (_signs(patterns) @ self.conflicts.T < self.conflicts.abs().sum(1)).all(1)


def _signs(pattern: Tensor) -> Tensor:
    return pattern.float() * 2 - 1
