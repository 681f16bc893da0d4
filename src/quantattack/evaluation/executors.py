"""The executor protocol, and the executor that runs every cell in this process; `ray` has the parallel one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.cells import Cell
from quantattack.evaluation.clean import Watch
from quantattack.evaluation.task import Task

Result = TypeVar("Result")

# Processes the images of a cell and yields one result per call: `clean.predict` or `judge.attack`.
Work: TypeAlias = Callable[[Task, str, Sequence[int], BatchSizer, Watch | None], Iterator[Result]]


@runtime_checkable
class Executor(Protocol):
    """Applies a function to cells, and yields each cell with each of its results, in any order."""

    def map(self, work: Work[Result], cells: Iterable[Cell]) -> Iterator[tuple[Cell, Result]]:
        """Apply `work` to the images of each cell, and yield the cell with each result."""
        ...

    def notes(self) -> dict[str, int]:
        """Return the run settings to add to the record's notes."""
        ...


class Serial:
    """Runs one cell after the other in this process."""

    def map(self, work: Work[Result], cells: Iterable[Cell]) -> Iterator[tuple[Cell, Result]]:
        """Apply `work` to each cell in turn, and yield the cell with each result."""
        for cell in cells:
            for result in work(cell.task, cell.attack, cell.positions, cell.sizer, cell.watch):
                yield cell, result

    def notes(self) -> dict[str, int]:
        """Return no notes: a record without a note of workers was made by one process."""
        return {}
