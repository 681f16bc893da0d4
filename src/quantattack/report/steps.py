"""When an attack broke each image, and the curve of robust accuracy against steps that this makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.record.record import Record


@dataclass(frozen=True)
class Curve:
    """Robust accuracy after each number of steps.

    Arguments:
        steps: Ascending, from 0 (the start point) to the attack's last.
        robust: Share of the images that are still classified correctly, 0 to 1.

    """

    steps: NDArray[np.int64]
    robust: NDArray[np.float64]


def step_curve(record: Record, name: str) -> Curve | None:
    """Return robust accuracy after each step; steps of earlier, failed restarts are counted too.

    An image broken at an unknown step is counted at the attack's last step.  None if the record is empty, or if
    images were broken but every step is unknown.

    Arguments:
        record: The evaluation.
        name: The attack.

    """
    broken, at = record.broken(name), fall_steps(record, name)
    wrong = record.column(name, "clean_prediction") != record.column(name, "label")
    fell = broken & ~wrong
    if not len(broken) or (fell.any() and np.isnan(at[fell]).all()):
        return None
    fooled_at = at[fell & ~np.isnan(at)].astype(np.int64)
    length = _length(record.settings(name))
    last = max(int(fooled_at.max(initial=0)), length)
    steps = np.arange(last + 1)
    lost = wrong.sum() + np.searchsorted(np.sort(fooled_at), steps, side="right")
    lost[-1] = broken.sum()
    return Curve(steps, np.asarray(1 - lost / len(broken), dtype=np.float64))


def fall_steps(record: Record, name: str) -> NDArray[np.float64]:
    """Return the step at which each image fell, steps of earlier, failed restarts counted too; NaN where unknown.

    Arguments:
        record: The evaluation.
        name: The attack.

    """
    before = record.column(name, "restart").astype(float) * _length(record.settings(name))
    return np.asarray(record.column(name, "step").astype(float) + before, dtype=np.float64)


def _length(settings: Any) -> int:
    """Return the largest number of steps in an attack's settings, 0 without any."""
    if isinstance(settings, Mapping):
        own = [int(settings[key]) for key in ("steps", "queries") if isinstance(settings.get(key), int)]
        return max([*own, *map(_length, settings.values())], default=0)
    if isinstance(settings, list):
        return max(map(_length, settings), default=0)
    return 0
