"""The driver of an evaluation: it hands out cells, writes every outcome, and judges nothing itself."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from quantattack.errors import InputError
from quantattack.evaluation.cells import CLEAN, Cell, begin, cells_of, clean_cell, keep
from quantattack.evaluation.executors import Executor, Serial
from quantattack.evaluation.flags import flags
from quantattack.evaluation.gallery import keep_gallery
from quantattack.evaluation.gradient_health import compare_gradients, health_of
from quantattack.evaluation.judge import Attacked, Clean, attack, joined, predict
from quantattack.evaluation.task import Task, versions
from quantattack.progress import Advance
from quantattack.record.record import Record
from quantattack.record.store import Store

_PROBE = 128

Receive: TypeAlias = Callable[[Cell, Attacked], None]  # is handed what comes of each batch


def run(
    tasks: Sequence[Task],
    store: Store,
    advances: Sequence[Advance],
    executor: Executor | None = None,
    *,
    gallery: bool = True,
    receive: Receive | None = None,
) -> list[Record]:
    """Run what a store lacks of some tasks, and flag each result; the verdicts do not depend on the executor.

    Arguments:
        tasks: The tasks.
        store: The record, which this process alone writes.
        advances: One for each task, told how far each of its attacks is.
        executor: Does the work; this process alone where None.
        gallery: Whether a few images are attacked once more and kept beside the record.
        receive: Handed what comes of each batch, after it was written.

    Raises:
        InputError: If the store holds outcomes of other images or of another model.
    """
    started, executor = time.time(), executor or Serial()
    clean = _predictions(tasks, advances, executor)
    for task in tasks:
        check_same(task, store, clean[task])
    filled = {
        task: FilledTask(task, store, clean[task], advance, gallery)
        for task, advance in zip(tasks, advances, strict=True)
    }
    for cell, result in executor.map(attack, _opened(filled.values())):
        filled[cell.task].take(cell, result)
        if receive is not None:
            receive(cell, result)
    store.note(seconds=round(store.notes.get("seconds", 0.0) + time.time() - started, 3), **executor.notes())
    return [Record(store, task.subject) for task in tasks]


class FilledTask:
    """A task whose cells are being filled; when the last one is full, the result is flagged.

    Arguments:
        task: The task.
        store: The record.
        clean: What the model says of the clean images.
        advance: Told how far each attack is.
        gallery: Whether a few images are attacked once more and kept beside the record.
    """

    def __init__(self, task: Task, store: Store, clean: Clean, advance: Advance, gallery: bool) -> None:
        self._task, self._store, self._clean, self._advance, self._gallery = task, store, clean, advance, gallery
        self._cells = cells_of(task, store, clean, advance)
        self._left = {cell: int(clean.right[list(cell.positions)].sum()) for cell in self._cells}

    def open(self) -> Iterator[Cell]:
        """Return the cells with something left to attack; what was wrong from the start is written before."""
        for cell in self._cells:
            begin(cell, self._store, self._clean)
            if self._left[cell]:
                yield cell
            else:
                self._finish(cell)

    def take(self, cell: Cell, result: Attacked) -> None:
        """Write what comes of a batch."""
        self._left[cell] -= keep(cell, self._store, result, self._clean)
        self._advance(cell.attack, len(self._task) - self._left[cell], len(self._task))
        if not self._left[cell]:
            self._finish(cell)

    def _finish(self, cell: Cell) -> None:
        del self._left[cell]
        if not self._left:
            self._close()

    def _close(self) -> None:
        """Flag the result, all of whose outcomes are there, and keep a few attacked images."""
        task, store = self._task, self._store
        record = Record(store, task.subject)
        probe = np.flatnonzero(self._clean.right)[:_PROBE].tolist()
        compared = task.limits.sizer().parts(probe, lambda at: compare_gradients(task.model, *task.batch(at)))
        health = health_of(compared)
        store.flag(task.subject, flags(record, health, self._clean.random))
        if self._gallery:
            keep_gallery(task, store, record)
        store.note(**versions(task), batch_size=max(cell.sizer.size for cell in self._cells))


def _opened(filled: Iterable[FilledTask]) -> Iterator[Cell]:
    for task in filled:
        yield from task.open()


def _predictions(tasks: Sequence[Task], advances: Sequence[Advance], executor: Executor) -> dict[Task, Clean]:
    """Return what each task's model says of its clean images."""
    batches: dict[Task, list[Clean]] = {task: [] for task in tasks}
    tell = dict(zip(tasks, advances, strict=True))
    for cell, batch in executor.map(predict, map(clean_cell, tasks)):
        batches[cell.task].append(batch)
        tell[cell.task](CLEAN, sum(len(done.label) for done in batches[cell.task]), len(cell.task))
    return {task: joined(each) for task, each in batches.items()}


def check_same(task: Task, store: Store, clean: Clean) -> None:
    """Refuse to go on where the outcomes that are there are of other images or of another model."""
    record = Record(store, task.subject)
    at = {int(index): position for position, index in enumerate(task.index)}
    for name in record.attacks:
        rows = [at[int(image)] for image in record.column(name, "image")]
        same = np.array_equal(clean.label[rows], record.column(name, "label")) if rows else True
        if rows and not clean.random:
            same = same and np.array_equal(clean.prediction[rows], record.column(name, "clean_prediction"))
        if not same:
            raise InputError(
                f"{record.store.folder} holds outcomes of other images or of another model; choose another --out"
            )
