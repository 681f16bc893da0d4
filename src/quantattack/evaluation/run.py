"""The driver of an evaluation: hands cells to an executor and writes every outcome that comes back."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from quantattack.attacks.base import passes, turn_of
from quantattack.attacks.threat import rounded_radius
from quantattack.errors import InputError, guarded
from quantattack.evaluation.cells import CLEAN, Cell, begin, cells_of, clean_cell, keep
from quantattack.evaluation.clean import Clean, joined, predict
from quantattack.evaluation.deployed import note_deployed
from quantattack.evaluation.draws import own_numbers
from quantattack.evaluation.executors import Executor, Serial
from quantattack.evaluation.flags import UNSEEN, flags
from quantattack.evaluation.gallery import keep_gallery
from quantattack.evaluation.inherited import inherit
from quantattack.evaluation.judge import Attacked, attack
from quantattack.evaluation.measures import health_at, misleading_at, probable_at
from quantattack.evaluation.png import write_pngs
from quantattack.evaluation.reach import changed, state_of
from quantattack.evaluation.rereads import check_same_images
from quantattack.evaluation.search_pays import search_pays
from quantattack.evaluation.steadiness import HANDFUL, answers, stays
from quantattack.evaluation.task import Task, versions
from quantattack.models.pixels import opened_in
from quantattack.nn.one_logit import OneLogit
from quantattack.progress import Advance
from quantattack.record.deployed import ONE_LOGIT, OPENED
from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.types import Logits

_PROBE = 128  # correctly classified images on which the gradients are checked

Receive: TypeAlias = Callable[[Cell, Attacked], None]  # called with each attack call's result


def run(
    tasks: Sequence[Task],
    store: Store,
    advances: Sequence[Advance],
    executor: Executor | None = None,
    *,
    gallery: bool = True,
    receive: Receive | None = None,
) -> list[Record]:
    """Compute the outcomes that a store lacks, flag each finished task, and return one record per task.

    The verdicts do not depend on the executor.

    Arguments:
        tasks: The tasks.
        store: The record; only this process writes to it.
        advances: One progress callback per task, called with an attack's name, the images done and their total.
        executor: Runs the attacks; None to run them in this process.
        gallery: Whether to save a few adversarial images of each task in the record's folder.
        receive: Called with each cell and result, after its outcomes are written.

    Raises:
        InputError: If the store already holds outcomes of different images or of a different model.
    """
    started, executor = time.perf_counter(), executor or Serial()  # a clock that is never set back
    first = {task: answers(task.model, task.first(HANDFUL)) for task in tasks}
    clean = _predictions(tasks, advances, executor)
    for task in tasks:
        check_same(task, store, clean[task])
        _note_model(task, store)
    pairs = zip(tasks, advances, strict=True)
    filled = {task: FilledTask(task, store, clean[task], advance, gallery, first[task]) for task, advance in pairs}
    for cell, result in _results(filled, executor):
        filled[cell.task].take(cell, result)
        if receive is not None:
            receive(cell, result)
    if any(task.worked for task in filled.values()):
        _note_time(store, started, executor)
    return [Record(store, task.subject) for task in tasks]


def _note_time(store: Store, started: float, executor: Executor) -> None:
    """Add to a record's notes how long it took, and what the executor notes."""
    seconds = store.notes.get("seconds", 0.0) + time.perf_counter() - started
    store.note(seconds=round(seconds, 3), **executor.notes())


class FilledTask:
    """A task in progress: writes the outcomes of its cells, and flags the task when the last cell is complete.

    Arguments:
        task: The task.
        store: The record.
        clean: The model's predictions on the clean images.
        advance: Called with an attack's name, the images done and their total.
        gallery: Whether to save a few adversarial images in the record's folder.
        first: The model's logits on its first `HANDFUL` images before all else; None to compare nothing at the end.

    Attributes:
        worked: Whether any outcome was written.
    """

    def __init__(
        self, task: Task, store: Store, clean: Clean, advance: Advance, gallery: bool, first: Logits | None = None
    ) -> None:
        self._first, self._random = first, clean.random
        self._task, self._store, self._clean, self._advance, self._gallery = task, store, clean, advance, gallery
        self._cells = cells_of(task, store, clean, self._watch)
        self._most = {name: max(1, passes(attack, classes=0)) for name, attack in task.attacks.items()}
        self._was_finished, self.worked = store.finished, False
        self._left = {cell: int(clean.right[list(cell.positions)].sum()) for cell in self._cells}

    def open(self, turn: int) -> Iterator[Cell]:
        """Write the outcomes of misclassified images, and yield each cell that has images left to attack.

        Arguments:
            turn: The turn whose cells are opened; those of earlier ones are complete.
        """
        for cell in [cell for cell in self._cells if cell.turn == turn]:
            begin(cell, self._store, self._clean)
            if turn:
                cell = self._narrowed(cell)
            if self._left[cell]:
                yield cell
            else:
                self._finish(cell)

    def _narrowed(self, cell: Cell) -> Cell:
        """Take from a cell the images that other attacks have broken, whose outcomes are written."""
        narrowed = inherit(cell, self._store)
        del self._left[cell]
        self._left[narrowed] = len(narrowed.positions)
        self._cells[self._cells.index(cell)] = narrowed
        return narrowed

    def _watch(self, name: str, images: int, passed: int) -> None:
        """Show how far an attack is within a call on so many images, from what the call has cost so far."""
        left = next((left for cell, left in self._left.items() if cell.attack == name), 0)
        within = min(images - 1, passed // self._most[name])
        self._advance(name, min(len(self._task) - 1, len(self._task) - left + within), len(self._task))

    def take(self, cell: Cell, result: Attacked) -> None:
        """Write the outcomes of one attack call, unless it was of other images than were predicted unattacked."""
        check_same_images(self._task.index, self._clean.read, result.read, result.positions)
        self.worked, self._random = True, self._random or result.random
        self._left[cell] -= keep(cell, self._store, result, self._clean)
        self._advance(cell.attack, len(self._task) - self._left[cell], len(self._task))
        if not self._left[cell]:
            self._finish(cell)

    def _finish(self, cell: Cell) -> None:
        del self._left[cell]
        if not self._left:
            self._close()

    def _close(self) -> None:
        """Flag the task, whose outcomes are complete, and save its pictures; a finished record is left as it is."""
        record, finished = Record(self._store, self._task.subject), self._was_finished and not self.worked
        if not finished:
            self._flag(record)
        if self._task.keep_images == "png":  # those too that a finished record lacks
            write_pngs(self._task, self._store, record)
        if self._gallery and not finished:  # last, so that a full disk costs nothing but these pictures
            keep_gallery(self._task, self._store, record)

    def _flag(self, record: Record) -> None:
        task, store = self._task, self._store
        probe = np.flatnonzero(self._clean.right)[:_PROBE].tolist()
        with guarded("the model's gradient", f"the first {len(probe)} images that it has right"):
            health = health_at(task, probe)
        steady = not (self._random or self._clean.dependent)
        # before the state is looked at: a pass may change it
        found = (misleading_at(task, probe) if steady else {}) | probable_at(task, probe)
        itself = changed(task.state, state_of(task.model.model)) or self._changed_unseen()
        drawn = {} if self._random else own_numbers(task, probe)
        found |= flags(record, health, self._random, self._clean.dependent, itself, drawn)
        hint = search_pays(record, task.model.model, task.batch([0])[0])
        store.flag(task.subject, found | ({"search_pays": hint} if hint else {}))
        note_radius(task, store)
        store.note(**versions(task), batch_size=max(cell.sizer.size for cell in self._cells))

    def _changed_unseen(self) -> list[str]:
        """Say that the model changed outside of its parameters and buffers, if its answers are no longer the same."""
        if self._clean.random or self._first is None:
            return []
        same = stays(self._task.model, self._task.first(HANDFUL), self._first) and not self._clean.changing
        return [] if same else [UNSEEN]


def note_radius(task: Task, store: Store) -> None:
    """Note what a task's radius comes to, if it is no multiple of a level."""
    line, noted = rounded_radius(task.threat), store.notes.get("radii", [])
    if line is not None and line not in noted:
        store.note(radii=[*noted, line])


def _note_model(task: Task, store: Store) -> None:
    """Note what of a task's model its name does not say."""
    note_deployed(task, store)
    note_one_logit(task, store)
    note_opened(task, store)


def note_one_logit(task: Task, store: Store) -> None:
    """Note that a task's model has one logit for two classes."""
    noted = store.notes.get(ONE_LOGIT, [])
    if isinstance(task.model.model, OneLogit) and task.subject.model not in noted:
        store.note(**{ONE_LOGIT: [*noted, task.subject.model]})


def note_opened(task: Task, store: Store) -> None:
    """Note how a task's network was opened, where its file or name does not say it all."""
    opened, noted = opened_in(task.model.model), store.notes.get(OPENED, {})
    if opened is not None:
        store.note(**{OPENED: {**noted, task.subject.model: opened}})


def _results(filled: Mapping[Task, FilledTask], executor: Executor) -> Iterator[tuple[Cell, Attacked]]:
    """Yield the results of all cells, turn by turn: one begins once all cells of the turns before have ended."""
    for turn in sorted({turn_of(each) for task in filled for each in task.attacks.values()}):
        yield from executor.map(attack, _opened(filled.values(), turn))


def _opened(filled: Iterable[FilledTask], turn: int) -> Iterator[Cell]:
    for task in filled:
        yield from task.open(turn)


def _predictions(tasks: Sequence[Task], advances: Sequence[Advance], executor: Executor) -> dict[Task, Clean]:
    """Return each task's predictions on its clean images."""
    batches: dict[Task, list[Clean]] = {task: [] for task in tasks}
    advance = dict(zip(tasks, advances, strict=True))
    for cell, batch in executor.map(predict, map(clean_cell, tasks)):
        batches[cell.task].append(batch)
        done = sum(len(predicted.label) for predicted in batches[cell.task])
        advance[cell.task](CLEAN, done, len(cell.task))
    return {task: joined(predictions) for task, predictions in batches.items()}


def check_same(task: Task, store: Store, clean: Clean) -> None:
    """Check that the store's outcomes agree with the labels and the clean predictions of this run.

    Raises:
        InputError: If they are of different images or of a different model.
    """
    record = Record(store, task.subject)
    at = {int(index): position for position, index in enumerate(task.index)}
    for name in record.attacks:
        rows = [at[int(image)] for image in record.column(name, "image")]
        same = np.array_equal(clean.label[rows], record.column(name, "label")) if rows else True
        if rows and not (clean.random or clean.dependent):
            same = same and np.array_equal(clean.prediction[rows], record.column(name, "clean_prediction"))
        if not same:
            raise InputError(
                f"{record.store.folder} holds outcomes of other images or of another model; choose another --out"
            )
