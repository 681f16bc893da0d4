r"""Complete search with CP-SAT in networks whose activations take few values: signs, or k bits.

The first layer sums pixels of a grid: the levels of the threat, else one so fine that its rounding is an error term.
Above it all is integers: a value is its lowest one plus an amount for each threshold that its sum reaches, and
each threshold reached is a literal.  Of each literal only the direction is stated that the goal asks of it.

Whatever is not exact (rounding in float32, the grid, weights that are no multiples of one number) is an error e of the
row.  The **outer** model lets a literal be either within e of its threshold: where it has no solution, the image is
proved.  The **inner** model keeps e away from every threshold: its solutions break the network as it is run.

Sources: Perron & Didier, CP-SAT, https://developers.google.com/optimization/cp; Plaisted & Greenbaum 1986,
https://doi.org/10.1016/S0747-7171(86)80028-1 (one direction of each literal); Narodytska et al. 2018,
https://arxiv.org/abs/1709.06662 (binarized networks as constraints).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quantattack.certification.activations import Clip, MaxPool, Steps
from quantattack.certification.bounds import differences
from quantattack.certification.encoded import Encoded
from quantattack.certification.encoding import Rows, input_of
from quantattack.certification.extra import cp_model
from quantattack.certification.found import Found
from quantattack.certification.grid import Pixels
from quantattack.certification.parts import Part
from quantattack.certification.program import Program
from quantattack.certification.whole import Whole, whole

MOST = 60_000  # literals
_FLOAT64 = 1e-12  # relative error of the rows themselves


def is_discrete(program: Program) -> bool:
    """Return whether every nonlinear step is one of few values, or a maximum over such values."""
    for place, step in enumerate(program.steps):
        if isinstance(step.part, MaxPool) and not isinstance(program.steps[step.inputs[0]].part, Steps | MaxPool):
            return False
        followers = [at for at, after in enumerate(program.steps) if place in after.inputs]
        if isinstance(step.part, Clip) and not all(_passes(program, at, place) for at in followers):
            return False
    return any(isinstance(step.part, Steps) for step in program.steps)


def _passes(program: Program, at: int, clip: int) -> bool:
    return isinstance(program.steps[at].part, Steps) and input_of(program, at) != clip


@dataclass(frozen=True, eq=False)
class Layer:
    """The literals of one step of few values.

    Arguments:
        place: The step.
        first: Its first literal.
        row: For each literal the row of its sum.
        threshold: What the sum must reach.
        tolerance: By how much rounding may move the threshold.
        rows: The sums.
    """

    place: int
    first: int
    row: NDArray[np.int64]
    threshold: NDArray[np.float64]
    tolerance: NDArray[np.float64]
    rows: Rows


@dataclass(frozen=True, eq=False)
class Maxima:
    """The literals of one maximum: each is true where one of its own is.

    Arguments:
        first: Its first literal.
        among: For each literal those that it joins.
    """

    first: int
    among: tuple[tuple[int, ...], ...]


@dataclass(eq=False)
class Discrete(Encoded):
    """A network of few values over a region, as pixels, literals and rows."""

    layers: list[Layer | Maxima] = field(default_factory=list)

    def add_pixels(self) -> None:
        self.pixels = Pixels.of(self.region)
        count = self.pixels.count
        self.encoding.add(0, self.pixels.start, range(count), [self.pixels.unit] * count)

    def add(self, place: int, part: Part) -> None:
        if isinstance(part, Steps):
            self._add_steps(place, part)
        elif isinstance(part, MaxPool):
            self._add_maxima(place, part)

    @property
    def decisions(self) -> int:
        """Number of literals."""
        return self.encoding.count - self.pixels.count

    @cached_property
    def goals(self) -> Rows:
        """How far each class is ahead of the label, as rows."""
        return self.encoding.rows(self.program.last, -differences(self.program.classes, self.label))

    def search(self, rival: int, seconds: int | float, strict: bool) -> Found:
        """Search the outer model for a proof, or the inner one for a witness, in deterministic seconds."""
        model = _Model(self, rival, strict)
        if not model.solvable:
            return Found("proved")
        solver = cp_model().CpSolver()
        solver.parameters.max_deterministic_time = seconds
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = 0
        status = solver.solve(model.model)
        spent = solver.response_proto.deterministic_time
        if status == cp_model().INFEASIBLE:
            return Found("proved", spent=spent)
        if status in (cp_model().OPTIMAL, cp_model().FEASIBLE):
            index = np.array([solver.value(variable) for variable in model.variables[: self.pixels.count]])
            return Found("broken", self.pixels.image(index), spent=spent)
        return Found("open", spent=spent, reason="time")

    def _add_steps(self, place: int, part: Steps) -> None:
        box = self.bounded.boxes[source := input_of(self.program, place)]
        low, high = (
            torch.bucketize(end.flatten(), part.thresholds + sign * part.tolerance, right=True).numpy()
            for end, sign in ((box.low, 1), (box.high, -1))
        )
        open_ = np.flatnonzero(low < high)
        owner = np.repeat(open_, (high - low)[open_]).tolist()
        level = np.array([rise for at in open_ for rise in range(low[at], high[at])], dtype=np.int64)
        values = part.values.numpy()
        first = self.encoding.count
        self.encoding.add(place, values[low], owner, (values[level + 1] - values[level]).tolist())
        if owner:
            rows = self.encoding.rows_of(source, open_.tolist())
            row = np.repeat(np.arange(len(open_)), (high - low)[open_])
            limits = part.thresholds.numpy()[level], part.tolerance.numpy()[level]
            self.layers.append(Layer(place, first, row, *limits, rows))

    def _add_maxima(self, place: int, part: MaxPool) -> None:
        """Join the literals of each window; all values of the step below have the same thresholds."""
        before = self.program.steps[place].inputs[0]
        constants, matrix = self.encoding.values[before]
        joined, self_constants, owner, factor = _joined(part, self.program.steps[before].shape, constants, matrix)
        first = self.encoding.count
        self.encoding.add(place, self_constants, owner, factor)
        if joined:
            self.layers.append(Maxima(first, tuple(joined)))


def _joined(
    part: MaxPool, shape: tuple[int, ...], constants: NDArray[np.float64], matrix: Any
) -> tuple[list[tuple[int, ...]], NDArray[np.float64], list[int], list[float]]:
    """Return for each literal of the maxima those that it joins, the constants, the owners and the amounts."""
    places = torch.arange(len(constants), dtype=torch.float64).view(shape)
    windows = part.windows(places, -1.0)[0].permute(0, 2, 1).flatten(0, 1).long().numpy()
    joined, base, owner, factor = [], [], list[int](), list[float]()
    for at, window in enumerate(windows):
        members = [int(each) for each in window if each >= 0]
        least = max(constants[each] for each in members)
        base.append(least)
        for top, amount, literals in _rises(members, least, constants, matrix):
            joined.append(literals)
            owner.append(at)
            factor.append(amount)
            assert top > least
    return joined, np.array(base), owner, factor


def _rises(
    members: list[int], least: float, constants: NDArray[np.float64], matrix: Any
) -> Iterator[tuple[float, float, tuple[int, ...]]]:
    """Yield each value that a maximum may rise to, by how much, and the literals that lift it there."""
    at_value: dict[float, list[int]] = {}
    for member in members:
        value = constants[member]
        for place in range(matrix.indptr[member], matrix.indptr[member + 1]):
            value = value + matrix.data[place]
            at_value.setdefault(round(float(value), 9), []).append(int(matrix.indices[place]))
    before = least
    for value in sorted(value for value in at_value if value > least + 1e-9):
        yield value, value - before, tuple(at_value[value])
        before = value


class _Model:
    """The CP-SAT model of one rival, outer or inner."""

    def __init__(self, discrete: Discrete, rival: int, inner: bool) -> None:
        self._discrete, self._sign, self.model = discrete, -1.0 if inner else 1.0, cp_model().CpModel()
        self._pixel_error = discrete.pixels.inner_error if inner else discrete.pixels.outer_error
        ranges = discrete.pixels.ranges(inner)
        self.solvable = all(low <= high for low, high in ranges)
        if not self.solvable:
            return
        self.variables = [self.model.new_int_var(low, high, "") for low, high in ranges]
        self.variables += [self.model.new_bool_var("") for _ in range(discrete.decisions)]
        self._spans = np.concatenate([np.array([max(abs(a), abs(b)) for a, b in ranges]), np.ones(discrete.decisions)])
        self._wanted = {1: np.zeros(len(self.variables), bool), -1: np.zeros(len(self.variables), bool)}
        self._reach(discrete.goals, rival, 0.0, 0.0, None)
        for layer in reversed(discrete.layers):
            if isinstance(layer, Maxima):
                self._add_maxima(layer)
            else:
                self._add_layer(layer)

    def _add_layer(self, layer: Layer) -> None:
        for at, (row, threshold, tolerance) in enumerate(
            zip(layer.row.tolist(), layer.threshold.tolist(), layer.tolerance.tolist(), strict=True)
        ):
            literal = layer.first + at
            if self._wanted[1][literal]:
                self._reach(layer.rows, row, threshold, tolerance, literal)
            if self._wanted[-1][literal]:
                self._miss(layer.rows, row, threshold, tolerance, literal)
            if at and layer.row[at - 1] == row:  # a higher threshold is reached only past the lower
                self.model.add_implication(self.variables[literal], self.variables[literal - 1])

    def _add_maxima(self, layer: Maxima) -> None:
        for literal, among in enumerate(layer.among, layer.first):
            own, below = self.variables[literal], [self.variables[each] for each in among]
            if self._wanted[1][literal]:
                self.model.add_bool_or([own.negated(), *below])
                self._wanted[1][list(among)] = True
            if self._wanted[-1][literal]:
                for each in below:
                    self.model.add_implication(each, own)
                self._wanted[-1][list(among)] = True

    def _reach(self, rows: Rows, at: int, threshold: float, tolerance: float, literal: int | None) -> None:
        """State that a row reaches its threshold, where the literal is true."""
        row, error = self._row(rows, at, threshold, tolerance, 1)
        bound = int(np.ceil((threshold - rows.constant[at] - self._sign * error) / row.unit))
        constraint = self.model.add(self._sum(row) >= bound)
        if literal is not None:
            constraint.only_enforce_if(self.variables[literal])

    def _miss(self, rows: Rows, at: int, threshold: float, tolerance: float, literal: int) -> None:
        """State that a row does not reach its threshold, where the literal is false."""
        row, error = self._row(rows, at, threshold, tolerance, -1)
        most = (threshold - rows.constant[at] + self._sign * error) / row.unit
        bound = int(np.floor(most)) if self._sign > 0 else int(np.ceil(most)) - 1
        self.model.add(self._sum(row) <= bound).only_enforce_if(self.variables[literal].negated())

    def _row(self, rows: Rows, at: int, threshold: float, tolerance: float, sign: int) -> tuple[Whole, float]:
        """Return a row in whole numbers and its error, and note what it asks of the literals in it."""
        row = whole(rows, at, self._spans)
        coefficients = np.array(row.coefficients, dtype=np.int64)
        variables = np.array(row.variables, dtype=np.int64)
        self._wanted[sign][variables[coefficients > 0]] = True
        self._wanted[-sign][variables[coefficients < 0]] = True
        size = float(np.abs(coefficients) @ self._spans[variables]) * row.unit + abs(rows.constant[at]) + abs(threshold)
        pixels = float(np.abs(coefficients[variables < self._discrete.pixels.count]).sum()) * row.unit
        off = pixels * self._pixel_error
        return row, float(rows.off[at]) + tolerance + row.error + off + _FLOAT64 * size

    def _sum(self, row: Whole) -> Any:
        return cp_model().LinearExpr.weighted_sum([self.variables[each] for each in row.variables], row.coefficients)
