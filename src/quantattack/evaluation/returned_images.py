"""The attacked images as the caller wants them back: one for each image, in the order in which they were given."""

from collections.abc import Sequence

import numpy as np
import torch

from quantattack.attacks.base import needs_all
from quantattack.evaluation.cells import Cell
from quantattack.evaluation.judge import Attacked, attack
from quantattack.evaluation.task import Task
from quantattack.gradients import placement
from quantattack.record.record import Record
from quantattack.types import Images


class ReturnedImages:
    """Gathers the attacked images of some tasks while they are run.

    Arguments:
        tasks: The tasks; each is to hand its images back.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._clean = {task: _clean_images(task) for task in tasks}
        self._attacked = {(task, name): self._clean[task].clone() for task in tasks for name in task.attacks}
        self._seen = {key: np.zeros(len(key[0]), dtype=np.bool_) for key in self._attacked}

    def receive(self, cell: Cell, result: Attacked) -> None:
        """Take what comes of a batch."""
        self._take(cell.task, cell.attack, result)

    def _take(self, task: Task, name: str, result: Attacked) -> None:
        if result.images is not None:
            at = list(result.positions)
            self._attacked[task, name][at] = result.images
            self._seen[task, name][at] = True

    def of(self, task: Task, record: Record) -> dict[str, Images]:
        """Return each attack's images; one that was wrong from the start is clean.

        Those of outcomes that the record had before are attacked once more, exactly as then.
        """
        for name in task.attacks:
            right = _right(task, record, name)
            self._complete(task, name, right & ~self._seen[task, name])
            wrong = torch.from_numpy(~right)
            self._attacked[task, name][wrong] = self._clean[task][wrong]
        return {name: self._attacked[task, name] for name in task.attacks}

    def _complete(self, task: Task, name: str, lacking: np.ndarray) -> None:
        if not lacking.any():
            return
        positions = range(len(task)) if needs_all(task.attacks[name]) else np.flatnonzero(lacking).tolist()
        for result in attack(task, name, positions, task.limits.sizer()):
            self._take(task, name, result)


def _clean_images(task: Task) -> Images:
    return task.source.take(range(len(task)))[0].cpu().to(placement(task.model)[1])


def _right(task: Task, record: Record, name: str) -> np.ndarray:
    """Return which images the model had right, by position."""
    right = record.column(name, "clean_prediction") == record.column(name, "label")
    return np.asarray(right)[np.searchsorted(record.column(name, "image"), task.index.numpy())]
