"""Collects the attacked images that `evaluate` returns, one per input image and in the input's order."""

from collections.abc import Sequence

import numpy as np
import torch

from quantattack.attacks.base import needs_all, turn_of
from quantattack.evaluation.cells import Cell
from quantattack.evaluation.inherited import breakers_of, earlier
from quantattack.evaluation.judge import Attacked, attack
from quantattack.evaluation.task import Task
from quantattack.gradients import placement
from quantattack.record.record import Record
from quantattack.types import Images


class ReturnedImages:
    """The attacked images of several tasks, collected while they run.

    Arguments:
        tasks: The tasks, all with `return_images`.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._clean = {task: _clean_images(task) for task in tasks}
        self._attacked = {(task, name): self._clean[task].clone() for task in tasks for name in task.attacks}
        self._received = {(task, name): np.zeros(len(task), dtype=np.bool_) for task, name in self._attacked}

    def receive(self, cell: Cell, result: Attacked) -> None:
        """Store the attacked images of one attack call."""
        self._store(cell.task, cell.attack, result)

    def _store(self, task: Task, name: str, result: Attacked) -> None:
        if result.images is not None:
            positions = list(result.positions)
            self._attacked[task, name][positions] = result.images
            self._received[task, name][positions] = True

    def of(self, task: Task, record: Record) -> dict[str, Images]:
        """Return each attack's images by its name; images that the clean model misclassifies are returned clean.

        Images whose outcomes the record already had are attacked again, with the same result as before.
        """
        for name in sorted(task.attacks, key=lambda name: turn_of(task.attacks[name])):
            right = _right(task, record, name)
            if turn_of(task.attacks[name]):
                self._inherit(task, name, record)
            self._complete(task, name, right & ~self._received[task, name])
            wrong = torch.from_numpy(~right)
            self._attacked[task, name][wrong] = self._clean[task][wrong]
        return {name: self._attacked[task, name] for name in task.attacks}

    def _inherit(self, task: Task, name: str, record: Record) -> None:
        """Take the images that other attacks broke from these."""
        at = {int(index): position for position, index in enumerate(task.index)}
        for image, found in breakers_of(record, earlier(task, name)).items():
            other, position = found[0][0], at[image]
            self._attacked[task, name][position] = self._attacked[task, other][position]
            self._received[task, name][position] = True

    def _complete(self, task: Task, name: str, missing: np.ndarray) -> None:
        if not missing.any():
            return
        positions = range(len(task)) if needs_all(task.attacks[name]) else np.flatnonzero(missing).tolist()
        for result in attack(task, name, positions, task.limits.sizer()):
            self._store(task, name, result)


def _clean_images(task: Task) -> Images:
    return task.source.take(range(len(task)))[0].cpu().to(placement(task.model)[1])


def _right(task: Task, record: Record, name: str) -> np.ndarray:
    """Return which clean images the model classifies correctly, by position."""
    right = record.column(name, "clean_prediction") == record.column(name, "label")
    return np.asarray(right)[np.searchsorted(record.column(name, "image"), task.index.numpy())]
