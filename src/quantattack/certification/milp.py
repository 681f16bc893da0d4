r"""Complete search with HiGHS in networks of ReLU and max pooling, as a mixed-integer linear program.

A ReLU whose interval :math:`[l, u]` holds 0 is :math:`y \ge 0,\ y \ge z,\ y \le u a,\ y \le z - l (1 - a)` with a
binary a.  Where its range ends at m < u, as in ReLU6 and Hardtanh, :math:`y \ge z - (u - m) f,\ m f \le y \le m` with a
binary f takes the place of :math:`y \ge z`.  A maximum of open inputs has a binary for each.  Every row is relaxed by
what float32 may be off, so that the network as it is run is a solution.  The goal is a row too,
:math:`z_y - z_j \le t`: where there is no solution, the margin over j exceeds t minus what the solver's tolerances may
hide, so t is that, and a proof says so as its slack.

Sources: Tjeng, Xiao & Tedrake 2019, https://arxiv.org/abs/1711.07356; Huangfu & Hall 2018 (HiGHS),
https://doi.org/10.1007/s12532-017-0130-5.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from quantattack.certification.activations import Clip, MaxPool, Steps
from quantattack.certification.bounds import differences
from quantattack.certification.encoded import Encoded
from quantattack.certification.encoding import Rows
from quantattack.certification.extra import highs, silence
from quantattack.certification.found import Found
from quantattack.certification.grid import Pixels
from quantattack.certification.parts import Part
from quantattack.certification.program import Program

MOST = 1500  # binaries; some 600 take a second or two in the networks of the package
TOLERANCE = 1e-9  # of a row and of a binary, as the solver is told
_SMALL = 1e-8  # entries up to ten times those that the solver drops
_NARROW = 1e-6  # width of a range that the solver's tolerances would blur
Reals = NDArray[np.float64]
_NODES = 60  # branch-and-bound nodes that count as a second: the limit is on nodes, which repeats
_GUARD = 5.0  # times the seconds, after which the clock stops what the nodes have not


def is_piecewise(program: Program) -> bool:
    """Return whether every nonlinear step is a ReLU, ReLU6, Hardtanh or a max pooling."""
    parts = [step.part for step in program.steps]
    return any(isinstance(part, Clip) for part in parts) and not any(isinstance(part, Steps) for part in parts)


@dataclass(eq=False)
class Piecewise(Encoded):
    """A network of ReLU and max pooling over a region, as variables and rows of a mixed-integer program."""

    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    rows: list[tuple[NDArray[np.int64], NDArray[np.float64], float, float]] = field(default_factory=list)

    def add(self, place: int, part: Part) -> None:
        if isinstance(part, Clip):
            self._add_clips(place, part)
        elif isinstance(part, MaxPool):
            self._add_maxima(place, part)

    @cached_property
    def goals(self) -> Rows:
        """The label's logit minus that of each class, as rows."""
        return self.encoding.rows(self.program.last, differences(self.program.classes, self.label))

    @property
    def decisions(self) -> int:
        """Number of binaries, pixels aside."""
        return len([variable for variable in self.whole if variable >= self.region.clean.numel()])

    @property
    def slack(self) -> float:
        """By how much the solver's tolerances may move a margin: each row, binary and bound by its own."""
        spread = sum(high - low for low, high in zip(self.low, self.high, strict=True))
        return 10 * TOLERANCE * (len(self.rows) + spread + 1)

    def search(self, rival: int, seconds: int | float, strict: bool) -> Found:
        """Search for the first image, or strictly for the one with the least margin; seconds are counted in nodes."""
        goals, names = self.shown(self.goals), highs()
        variables, data = goals.row(rival)
        constant, slack = float(goals.constant[rival]), self.slack + float(goals.off[rival])
        solver = _solver(self, variables, data, slack - constant, seconds)
        if not strict:
            solver.setOptionValue("objective_target", -slack - constant)
        solver.run()
        nodes = max(1, int(solver.getInfo().mip_node_count))
        status = solver.getModelStatus()
        if status == names.HighsModelStatus.kInfeasible:
            return Found("proved", slack=slack, spent=nodes / _NODES)
        solution = np.array(solver.getSolution().col_value)
        if solver.getInfo().primal_solution_status == int(names.SolutionStatus.kSolutionStatusFeasible):
            base, matrix = self.encoding.values[0]
            pixels = base + matrix @ solution[: matrix.shape[1]]
            return Found("broken", torch.from_numpy(pixels).view(self.region.clean.shape), spent=nodes / _NODES)
        return Found("open", spent=nodes / _NODES, reason=solver.modelStatusToString(status).lower())

    def add_pixels(self) -> None:
        if self.region.threat.levels is None:
            low, high = (end.flatten().tolist() for end in (self.region.box.low, self.region.box.high))
            own = self._variables(low, high, whole=False)
            self.encoding.share(0, np.zeros(len(low)), own, own, np.ones(len(low)).tolist())
            return
        pixels = Pixels.of(self.region)
        ends = np.array(pixels.ranges(inner=False), dtype=np.float64)
        own = self._variables(ends[:, 0].tolist(), ends[:, 1].tolist(), whole=True)
        self.encoding.share(0, pixels.start, own, own, [pixels.unit] * pixels.count)

    def _variables(self, low: list[float], high: list[float], whole: bool) -> list[int]:
        first = len(self.low)
        self.low += low
        self.high += high
        added = list(range(first, len(self.low)))
        self.whole += added if whole else []
        self.encoding.count = len(self.low)
        return added

    def _row(self, variables: Any, coefficients: Any, low: float, high: float) -> None:
        self.rows.append((np.asarray(variables, np.int64), np.asarray(coefficients, np.float64), low, high))

    def _add_clips(self, place: int, part: Clip) -> None:
        """Add a variable for each value that is not shut, and a binary for each end of the range that is open."""
        source = self.program.steps[place].inputs[0]
        box = self.bounded.boxes[source]
        low, high = (end.flatten().numpy() - part.bottom for end in (box.low, box.high))
        most = part.top - part.bottom
        alive = np.flatnonzero((high > 0) & (low < most))
        constants = np.where(low < most, part.bottom, part.top)
        if not len(alive):
            self.encoding.share(place, constants, [], [], [])
            return
        rows = self.shown(self.encoding.rows_of(source, alive.tolist()))
        ends = np.maximum(low[alive], 0).tolist(), np.minimum(high[alive], most).tolist()
        own = self._variables(*ends, whole=False)
        self.encoding.share(place, constants, alive.tolist(), own, np.ones(len(own)).tolist())
        for at, (variable, neuron) in enumerate(zip(own, alive.tolist(), strict=True)):
            self._add_clip(rows, at, variable, (float(low[neuron]), float(high[neuron])), part)

    def shown(self, rows: Rows) -> Rows:
        """Return rows whose error holds the rounding of a level's value too."""
        if self.region.threat.levels is None:
            return rows
        pixels = Pixels.of(self.region)
        return Rows(rows.matrix, rows.constant, rows.off + _pixel_error(rows, pixels))

    def _add_clip(self, rows: Rows, at: int, own: int, ends: tuple[float, float], part: Clip) -> None:
        """Add the rows of one value y = min(max(z, 0), most), counted from the bottom, with z between the ends."""
        (low, high), most = ends, part.top - part.bottom
        variables, data = rows.row(at)
        constant, off = float(rows.constant[at]) - part.bottom, float(rows.off[at])
        names, values = [own, *variables], np.concatenate([[1.0], -data])
        if high <= most:
            self._row(names, values, constant - off, np.inf if low < 0 else constant + off)
        else:  # full or y >= z
            (full,) = self._variables([0.0], [1.0], whole=True)
            self._row([*names, full], [*values, high - most], constant - off, np.inf)
            self._row([own, full], [1.0, -most], 0.0, np.inf)
        if low < 0:  # open or y <= 0
            (open_,) = self._variables([0.0], [1.0], whole=True)
            self._row([own, open_], [1.0, -min(high, most)], -np.inf, 0.0)
            self._row([*names, open_], [*values, -low], -np.inf, constant + off - low)
        elif high > most:
            self._row(names, values, -np.inf, constant + off)

    def _add_maxima(self, place: int, part: MaxPool) -> None:
        """Add a variable for each maximum, and a binary for each input of it that may be the largest."""
        source = self.program.steps[place].inputs[0]
        box, shape = self.bounded.boxes[source], self.program.steps[source].shape
        places = torch.arange(box.low.numel(), dtype=torch.float64).view(shape)
        windows = part.windows(places, -1.0)[0].permute(0, 2, 1).flatten(0, 1).long().numpy()
        low, high = (end.flatten().numpy() for end in (box.low, box.high))
        least = [max(low[each] for each in window if each >= 0) for window in windows]
        most = [max(high[each] for each in window if each >= 0) for window in windows]
        rows = self.shown(self.encoding.rows_of(source, list(range(box.low.numel()))))
        own = self._variables(least, most, whole=False)
        self.encoding.share(place, np.zeros(len(own)), range(len(own)), own, np.ones(len(own)).tolist())
        for variable, window, floor, ceiling in zip(own, windows, least, most, strict=True):
            able = [int(each) for each in window if each >= 0 and high[each] >= floor]
            self._add_maximum(rows, variable, able, ceiling, low)

    def _add_maximum(self, rows: Rows, own: int, able: list[int], ceiling: float, low: NDArray[np.float64]) -> None:
        chosen = self._variables([0.0] * len(able), [1.0] * len(able), whole=True) if len(able) > 1 else []
        for at, each in enumerate(able):
            variables, data = rows.row(each)
            names, values = [own, *variables], np.concatenate([[1.0], -data])
            constant, off = float(rows.constant[each]), float(rows.off[each])
            self._row(names, values, constant - off, np.inf if chosen else constant + off)
            if chosen:
                room = ceiling - float(low[each])
                self._row([*names, chosen[at]], [*values, room], -np.inf, constant + off + room)
        if chosen:
            self._row(chosen, np.ones(len(chosen)), 1.0, 1.0)


def _pixel_error(rows: Rows, pixels: Pixels) -> NDArray[np.float64]:
    matrix = abs(rows.matrix[:, : pixels.count])
    return np.asarray(matrix.sum(axis=1)).ravel() * pixels.outer_error


def _solver(
    piecewise: Piecewise, variables: list[int], data: NDArray[np.float64], most: float, seconds: int | float
) -> Any:
    """Return HiGHS with the program: the margin over a rival is to be small, and not above a number."""
    names = highs()
    with silence():  # its constructor prints its version
        solver = names.Highs()
    options: dict[str, int | float] = {
        "output_flag": False,
        "threads": 1,
        "random_seed": 0,
        "mip_max_nodes": max(1, int(seconds * _NODES)),
    }
    options |= {"time_limit": _GUARD * seconds, "mip_feasibility_tolerance": TOLERANCE}
    options |= {"primal_feasibility_tolerance": TOLERANCE, "dual_feasibility_tolerance": TOLERANCE}
    for name, value in options.items():
        solver.setOptionValue(name, value)
    if solver.passModel(_program(piecewise, variables, data, most, names)) != names.HighsStatus.kOk:
        raise RuntimeError("HiGHS does not take the program")
    return solver


def _relaxed(matrix: Any, ends: tuple[Reals, Reals], ranges: tuple[Reals, Reals]) -> tuple[Any, Reals, Reals]:
    """Return rows and their ends without what HiGHS would drop or take for constant, relaxed by what it can add."""
    low, high = ranges
    small = (np.abs(matrix.data) <= _SMALL) | (high - low < _NARROW)[matrix.indices]
    tiny, kept = matrix.copy(), matrix.copy()
    tiny.data[~small], kept.data[small] = 0, 0
    kept.eliminate_zeros()
    up, down = tiny.maximum(0), tiny.minimum(0)
    return kept, ends[0] - (up @ high + down @ low), ends[1] - (up @ low + down @ high)


def _program(piecewise: Piecewise, variables: list[int], data: NDArray[np.float64], most: float, names: Any) -> Any:
    rows = [*piecewise.rows, (np.asarray(variables, np.int64), data, -np.inf, most)]
    program = names.HighsLp()
    program.num_col_, program.num_row_ = len(piecewise.low), len(rows)
    cost = np.zeros(len(piecewise.low))
    cost[variables] = data
    ranges = np.array(piecewise.low), np.array(piecewise.high)
    program.col_cost_, program.col_lower_, program.col_upper_ = cost, *ranges
    starts = np.cumsum([0, *(len(row[0]) for row in rows)])
    entries = np.concatenate([row[1] for row in rows]), np.concatenate([row[0] for row in rows]), starts
    matrix = sparse.csr_array(entries, shape=(len(rows), len(piecewise.low)))
    matrix.sum_duplicates()
    ends = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
    matrix, program.row_lower_, program.row_upper_ = _relaxed(matrix, ends, ranges)
    program.a_matrix_.format_ = names.MatrixFormat.kRowwise
    program.a_matrix_.start_, program.a_matrix_.index_ = matrix.indptr, matrix.indices
    program.a_matrix_.value_ = matrix.data
    integral = np.zeros(len(piecewise.low), bool)
    integral[piecewise.whole] = True
    kinds = names.HighsVarType.kInteger, names.HighsVarType.kContinuous
    program.integrality_ = [kinds[0] if each else kinds[1] for each in integral]
    return program
