"""Who does the work of an evaluation: this process, one cell after the other, or others (see the module `ray`)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.cells import Cell
from quantattack.evaluation.judge import Watch
from quantattack.evaluation.task import Task

Result = TypeVar("Result")

# What is done to the images of a cell, batch by batch: `judge.predict` or `judge.attack`.
Work: TypeAlias = Callable[[Task, str, Sequence[int], BatchSizer, Watch | None], Iterator[Result]]


@runtime_checkable
class Executor(Protocol):
    """Does work on cells and gives back what comes of it, in any order."""

    def map(self, work: Work[Result], cells: Iterable[Cell]) -> Iterator[tuple[Cell, Result]]: ...

    def notes(self) -> dict[str, int]:
        """Return what the record is to note of it."""
        ...


class Serial:
    """One process alone: one cell after the other."""

    def map(self, work: Work[Result], cells: Iterable[Cell]) -> Iterator[tuple[Cell, Result]]:
        """Do the work on the cells' images, one batch after the other."""
        for cell in cells:
            for result in work(cell.task, cell.attack, cell.positions, cell.sizer, cell.watch):
                yield cell, result

    def notes(self) -> dict[str, int]:
        """Return nothing: it is what a record is used to."""
        return {}
