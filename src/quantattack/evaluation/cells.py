"""Cells: one attack on the images of one task, what its record lacks, and how results are written into it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from quantattack.attacks.base import needs_all, passes
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.judge import Attacked, Clean, Watch, already_wrong
from quantattack.evaluation.saved_images import save_shard
from quantattack.evaluation.task import Task
from quantattack.progress import Advance
from quantattack.record.description import describe
from quantattack.record.store import Store

CLEAN = "clean"  # what is told of the clean predictions' progress
_ROWS = 2000  # outcomes in memory at once


@dataclass(frozen=True, eq=False)
class Cell:
    """One attack on one task, and what is left to do of it.

    Arguments:
        task: The task.
        attack: Name of the attack; that of the clean predictions is told to nobody but the progress.
        row: Its row in the record; 0 for the clean predictions, which every row repeats.
        sizer: Decides how many rows the model is shown at once.
        positions: Where the images that are to be worked on are in the task's source.
        wrong: Positions of the images that were wrong from the start and have no outcome yet.
        needs_all: Whether the attack is handed all images at once, right or wrong: there is no half of it to keep.
        watch: Told how many rows went forward so far in a call; None for nobody.
    """

    task: Task
    attack: str
    row: int
    sizer: BatchSizer
    positions: Sequence[int]
    wrong: Sequence[int] = ()
    needs_all: bool = False
    watch: Watch | None = None


def clean_cell(task: Task) -> Cell:
    """Return the cell of a task's clean predictions."""
    return Cell(task, CLEAN, 0, task.limits.sizer(), range(len(task)))


def cells_of(task: Task, store: Store, clean: Clean, advance: Advance) -> list[Cell]:
    """Return a task's cells, one an attack, each with what the store lacks of it.

    Arguments:
        task: The task.
        store: The record; a row is made for each cell that is new.
        clean: What the model says of the clean images.
        advance: Told how far the task is.
    """
    return [_cell(task, store, name, clean, advance) for name in task.attacks]


def _cell(task: Task, store: Store, name: str, clean: Clean, advance: Advance) -> Cell:
    attack, right = task.attacks[name], clean.right
    row = store.cell(task.subject, name, describe(attack), len(task))
    done = store.done(row)
    lacking = np.array([at for at, image in enumerate(task.index.tolist()) if image not in done], dtype=np.int64)
    left, wrong, sizer = lacking[right[lacking]], lacking[~right[lacking]], task.limits.sizer()
    if not needs_all(attack):
        return Cell(task, name, row, sizer, left.tolist(), wrong.tolist())
    everything = range(len(task)) if len(left) else ()
    return Cell(task, name, row, sizer, everything, wrong.tolist(), needs_all=True, watch=_watch(task, name, advance))


def _watch(task: Task, name: str, advance: Advance) -> Watch:
    """Return what tells how far an attack on all images is, by its passes: of the most that it may need, in images."""
    total = len(task)
    return partial(_tell, advance, name, total, total * (passes(task.attacks[name], classes=0) // 2 + 1))


def _tell(advance: Advance, name: str, total: int, most: int, forwards: int) -> None:
    advance(name, min(total - 1, total * forwards // most), total)


def begin(cell: Cell, store: Store, clean: Clean) -> Cell:
    """Write the outcomes of what was wrong from the start: nothing is done to it."""
    for first in range(0, len(cell.wrong), _ROWS):
        rows = cell.wrong[first : first + _ROWS]
        store.write(cell.row, [already_wrong(cell.task, clean, at) for at in rows])
    return cell


def keep(cell: Cell, store: Store, result: Attacked, clean: Clean) -> int:
    """Write the outcomes of images that were right, and before them the attacked images where they are to be kept.

    Returns:
        How many were written.
    """
    right = clean.right[list(result.positions)]
    outcomes = [outcome for outcome, counts in zip(result.outcomes, right, strict=True) if counts]
    saved = cell.task.keep_images and result.images is not None and store.folder is not None and len(outcomes) > 0
    shard = None
    if saved and result.images is not None and store.folder is not None:
        index = [outcome.image for outcome in outcomes]
        shard = save_shard(store.folder, cell.row, index, result.images[torch.from_numpy(right)])
    store.write(cell.row, outcomes, shard)
    return len(outcomes)
