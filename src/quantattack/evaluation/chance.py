"""Whether clean accuracy is above chance."""

import numpy as np

from quantattack.record.deployed import deployed_note
from quantattack.record.record import Record
from quantattack.record.statistics import above

LEVEL = 0.05  # p-value from which a difference is no accident
ADVICE = "check the range of the pixels, the model's normalization and the labels"
_OF_FILES = "pixels may mean something else to the file; check --layout, --range, --mean and --std, and the labels"


def at_chance(labels: np.ndarray, predictions: np.ndarray, advice: str = ADVICE) -> str | None:
    r"""Return a sentence where predictions on clean images are right no more often than by chance; None elsewhere.

    Chance is how often labels and predictions of the same frequencies agree when they have nothing to do with each
    other, :math:`\sum_c P(y = c)\, P(\hat y = c)`, and at least one in as many classes as are seen.

    Arguments:
        labels: True classes with shape (n,).
        predictions: Predicted classes with shape (n,).
        advice: What to do, with which the sentence ends.
    """
    right, count = int((labels == predictions).sum()), len(labels)
    classes = np.unique(np.concatenate([labels, predictions]))
    chance = max(1 / max(2, len(classes)), _agreement(labels, predictions, classes))
    if right == count or above(right, count, chance) < LEVEL:
        return None
    return f"{right} of {count} clean images are right, no more than by chance ({100 * chance:.1f}%): {advice}"


def _agreement(labels: np.ndarray, predictions: np.ndarray, classes: np.ndarray) -> float:
    if len(np.unique(labels)) < 2:  # images of one class: whether the others are told apart is not known
        return 0.0
    return float(sum((labels == each).mean() * (predictions == each).mean() for each in classes))


def chance(record: Record) -> str | None:
    """Return `at_chance` of a record's clean predictions, over the attack with the most images."""
    cell = max(record.by_attack.values(), key=lambda cell: len(cell.outcomes), default=None)
    if cell is None or not len(cell.outcomes):
        return None
    is_file = deployed_note(record.store, record.subject.model) is not None
    advice = _OF_FILES if is_file else ADVICE
    return at_chance(cell.outcomes["label"], cell.outcomes["clean_prediction"], advice)
