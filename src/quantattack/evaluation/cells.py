"""A cell is one attack on one task: which outcomes its record still lacks, and how results are written to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import torch

from quantattack.attacks.base import needs_all, passes, turn_of
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.clean import Clean, Watch, already_wrong
from quantattack.evaluation.judge import Attacked, sizer_of
from quantattack.evaluation.saved_images import save_shard
from quantattack.evaluation.task import Task
from quantattack.record.description import describe
from quantattack.record.store import Store

CLEAN = "clean"  # progress-bar label of the pass that predicts the clean images
_ROWS = 2000  # outcomes written per transaction

Watched: TypeAlias = Callable[[str, int, int], None]  # called with an attack's name, then as a `Watch`


@dataclass(frozen=True, eq=False)
class Cell:
    """One attack on one task, and the images that still need an outcome.

    A position counts the images of the task from 0; an index is an image's number in its data set.

    Arguments:
        task: The task.
        attack: Name of the attack; `CLEAN` for the clean predictions.
        row: Id of the cell's row in the record; 0 for the clean predictions, which have no row of their own.
        sizer: Chooses the batch size.
        positions: Positions of the images to process.
        wrong: Positions of the images that the clean model misclassifies and that have no outcome yet.
        needs_all: Whether the attack takes all images in one call, misclassified ones included; an interrupted call
            leaves no outcomes.
        watch: Called with the images of a call and its passes so far; None to report no progress.
    """

    task: Task
    attack: str
    row: int
    sizer: BatchSizer
    positions: Sequence[int]
    wrong: Sequence[int] = ()
    needs_all: bool = False
    watch: Watch | None = None

    @property
    def turn(self) -> int:
        """When it is run: a later one after all of earlier turns, on what these leave."""
        return turn_of(self.task.attacks[self.attack])


def clean_cell(task: Task) -> Cell:
    """Return the cell that predicts all clean images of a task."""
    return Cell(task, CLEAN, 0, task.limits.sizer(), range(len(task)))


def cells_of(task: Task, store: Store, clean: Clean, watch: Watched) -> list[Cell]:
    """Return one cell per attack of a task, each with the images that have no outcome in the store.

    Arguments:
        task: The task.
        store: The record; it gets a row for each new cell.
        clean: The model's predictions on the clean images.
        watch: Called with the attack's name, the images of a call and its passes so far.
    """
    return [_cell(task, store, name, clean, watch) for name in task.attacks]


def _cell(task: Task, store: Store, name: str, clean: Clean, watch: Watched) -> Cell:
    attack, right = task.attacks[name], clean.right
    row = store.cell(task.subject, name, describe(attack), len(task))
    done = store.done(row)
    indices = enumerate(task.index.tolist())
    missing = np.array([position for position, index in indices if index not in done], dtype=np.int64)
    left, wrong = missing[right[missing]], missing[~right[missing]]
    sizer = sizer_of(attack, task.limits.sizer())
    if needs_all(attack):
        everything = range(len(task)) if len(left) else ()
        return Cell(task, name, row, sizer, everything, wrong.tolist(), needs_all=True, watch=partial(watch, name))
    classes = 1 + int(max(clean.label.max(initial=0), clean.prediction.max(initial=0)))
    # at most: images that are solved early cost less
    sizer.expect(clean.seconds * passes(attack, classes), clean.seconds)
    return Cell(task, name, row, sizer, left.tolist(), wrong.tolist(), watch=partial(watch, name))


def begin(cell: Cell, store: Store, clean: Clean) -> Cell:
    """Write the outcomes of the images that the model misclassifies unattacked; return the cell unchanged."""
    for first in range(0, len(cell.wrong), _ROWS):
        positions = cell.wrong[first : first + _ROWS]
        store.write(cell.row, [already_wrong(cell.task, clean, position) for position in positions])
    return cell


def keep(cell: Cell, store: Store, result: Attacked, clean: Clean) -> int:
    """Write the outcomes of a batch, and first its attacked images if the task keeps them.

    Images that the clean model misclassifies are left out: `begin` wrote their outcomes.

    Returns:
        How many outcomes were written.
    """
    right = clean.right[list(result.positions)]
    outcomes = [outcome for outcome, is_right in zip(result.outcomes, right, strict=True) if is_right]
    shard = None
    if cell.task.keep_images and outcomes and result.images is not None and store.folder is not None:
        index = [outcome.image for outcome in outcomes]
        shard = save_shard(store.folder, index, result.images[torch.from_numpy(right)])
    lost = sorted({outcome.image for outcome in outcomes} & set(result.lost))
    store.write(cell.row, outcomes, shard, lost, result.bounds)
    return len(outcomes)
