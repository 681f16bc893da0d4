"""Numbers computed from one record: robust accuracies, paired differences, and values of diagnostic signals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from quantattack.record.record import Record
from quantattack.record.signals import Signal
from quantattack.record.statistics import mcnemar, wilson

Broken = NDArray[np.bool_]  # for each image of a cell, whether the attack broke it
RecordedCell = tuple[
    Record, str
]  # a record and the name of one of its attacks; what a cells.Cell became once it was run
_EDGE = 1e-6  # a difference of a whole image on every image has no variance


@dataclass(frozen=True, eq=False)
class Number:
    """A measured number with its interval and its source.

    Arguments:
        value: The number; an accuracy is a fraction from 0 to 1.
        interval: Wilson's 95 % interval of an accuracy; None for other numbers.
        store: Folder of the record.
        anchor: HTML anchor of the number on the record's page.
        images: Number of images that it was computed from.
    """

    value: float
    interval: tuple[float, float] | None
    store: Path
    anchor: str
    images: int


@dataclass(frozen=True, eq=False)
class Pair:
    """A paired comparison of two attacks, or of one attack on two networks, on the same images.

    Arguments:
        difference_by_image: For each image, whether the first attack broke it (0 or 1) minus whether the second did,
            averaged over the runs, from -1 to 1.
        runs: Number of runs that the differences are averaged over.
    """

    difference_by_image: NDArray[np.float64]
    runs: int = 1

    @property
    def first(self) -> int:
        """Images that the first attack broke more often."""
        return int((self.difference_by_image > 0).sum())

    @property
    def second(self) -> int:
        """Images that the second attack broke more often."""
        return int((self.difference_by_image < 0).sum())

    @property
    def images(self) -> int:
        return len(self.difference_by_image)

    @property
    def p(self) -> float:
        """The two-sided p-value of McNemar's exact test of `first` against `second`.

        Averages over several runs count an image in full however small its difference: for them it is the larger of
        McNemar's p-value and that of the mean difference, so that it is never below 0.05 where `interval` contains 0.
        """
        exact = mcnemar(self.first, self.second)
        return exact if self.runs == 1 else max(exact, two_sided(self.p_over(0.0)))

    @property
    def difference(self) -> float:
        """Robust accuracy under the second attack minus that under the first, as a fraction."""
        return float(np.mean(self.difference_by_image)) if self.images else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference: the bounds that neither one-sided score test rejects at 0.025."""
        if not self.images:
            return -1.0, 1.0
        low, middle, high = -1 + _EDGE, self.difference, 1 - _EDGE
        return self._bound_at(0.025, low, middle), self._bound_at(0.975, middle, high)

    def p_over(self, bound: float) -> float:
        """Return the one-sided p-value of the hypothesis that the difference is at most a bound.

        It is below 0.025 where `interval` lies above the bound.  That of the hypothesis that the difference is at
        least the bound is 1 minus it.

        By the score test of a paired difference, whose variance is the one that the bound implies: where no image
        differs, a difference of the bound would still show in that share of the images.  One image with difference +1
        and one with -1 are added, for few differences.  In averages over runs, the variance is less by what their
        differences are smaller than one image.

        Source: Tango, 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
        """
        if bound < 0:
            return 1 - Pair(-self.difference_by_image, self.runs).p_over(-bound)
        count, gained, lost = self.images + 2, *self._gained_and_lost
        size = max(self._size, bound)  # the mean of differences is no larger than they are
        variance = size * (2 * _fewest(count, gained, lost, bound) + bound) - bound**2
        excess = gained - lost - count * bound
        error = max(count * variance, _EDGE**2) ** 0.5
        return NormalDist().cdf(-excess / error)

    @property
    def _gained_and_lost(self) -> tuple[float, float]:
        """The sums of the positive and of the negative differences, with those added."""
        values = self._values
        return float(values.clip(min=0).sum()), float((-values).clip(min=0).sum())

    @property
    def _size(self) -> float:
        """How large differences are where there are any: their mean square over their mean size, 1 for one run."""
        return float(np.square(self._values).sum() / np.abs(self._values).sum())

    @property
    def _values(self) -> NDArray[np.float64]:
        return np.concatenate([self.difference_by_image, [1.0, -1.0]])

    def _bound_at(self, p: float, low: float, high: float) -> float:
        """Return the bound between two others at which `p_over` is `p`; the nearer one if there is none."""
        if self.p_over(low) >= p:
            return low
        return high if self.p_over(high) <= p else float(brentq(lambda bound: self.p_over(bound) - p, low, high))


def _fewest(images: int, gained: float, lost: float, bound: float) -> float:
    """Return the most likely share of images that are lost, if the share of those gained is larger by a bound."""
    b = (2 * images - gained + lost) * bound - gained - lost
    root: float = (b**2 + 8 * images * lost * bound * (1 - bound)) ** 0.5
    return (root - b) / (4 * images)


def two_sided(p: float) -> float:
    """Return the two-sided p-value of a one-sided one."""
    return min(1.0, 2 * min(p, 1 - p))


def broken_after(record: Record, name: str, step: int | None = None) -> Broken | None:
    """Return which images an attack broke within some steps; None if the attack had fewer steps than that.

    Arguments:
        record: The record.
        name: Name of the attack.
        step: Number of steps; None for all of the attack's steps.
    """
    broken = record.broken(name)
    if step is None:
        return broken
    if steps_of(record.settings(name)) < step:
        return None
    first_success = record.column(name, "step").astype(float)
    wrong = record.column(name, "clean_prediction") != record.column(name, "label")
    return np.asarray(broken & (wrong | (first_success <= step)), dtype=np.bool_)


def mappings_in(settings: object) -> Iterator[Mapping[str, object]]:
    """Yield nested settings and every mapping inside them, the outer ones first."""
    if isinstance(settings, Mapping):
        yield settings
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for inside in settings:
            yield from mappings_in(inside)


def steps_of(settings: object) -> int:
    """Return the number of steps in an attack's settings, or in those of the attack it wraps; 0 if there is none."""
    if not isinstance(settings, Mapping):
        return 0
    inside = settings.get("attack")
    return steps_of(inside) if isinstance(inside, Mapping) else int(settings.get("steps", 0))


def robust(broken: Broken, record: Record, name: str) -> Number:
    """Return the robust accuracy from a cell's broken images, with Wilson's interval."""
    unbroken, count = int((~broken).sum()), len(broken)
    assert record.store.folder is not None
    interval = wilson(unbroken, count)
    return Number(unbroken / count, interval, record.store.folder, f"cell-{record.cells[name]}", count)


def cost(cell: RecordedCell) -> float:
    """Return the run time of a cell over all its images, in seconds."""
    record, name = cell
    return float(record.column(name, "seconds").astype(float).sum())


def passes_of(cell: RecordedCell) -> float:
    """Return the forward and backward passes of a cell over all its images."""
    record, name = cell
    return float(sum(record.column(name, kind).astype(float).sum() for kind in ("forwards", "backwards")))


def paired(a: RecordedCell, b: RecordedCell, step: int | None) -> NDArray[np.float64] | None:
    """Return, for each image that two cells share, 1 if only the first broke it, -1 if only the second, else 0.

    The result is None if `step` is given and one of the attacks had fewer steps.
    """
    images = [record.column(name, "image").astype(int) for record, name in (a, b)]
    both = np.intersect1d(images[0], images[1])
    broken = [broken_after(*cell, step) for cell in (a, b)]
    if broken[0] is None or broken[1] is None:
        return None
    first, second = (
        mask[np.isin(index, both)].astype(np.float64)
        for mask, index in zip(broken, images, strict=True)
        if mask is not None
    )
    return np.asarray(first - second, dtype=np.float64)


def marks_of(signal: Signal) -> Mapping[str, float]:
    """Return the betas that are marked on a signal's curves, by the temperature's name."""
    marks: Mapping[str, float] = signal.numbers.get("marks", {})
    return marks


def entry_of(signal: Signal, temperature: str, entry: str) -> tuple[float, int]:
    """Return one number of a signal, and the number of images that it was computed from.

    A per-image list is averaged.

    Arguments:
        signal: The signal.
        temperature: Name of the temperature; selects the number where the signal has one for each temperature.
        entry: Name of the number; ``counts:zero``, ``counts:one`` or ``counts:end`` for a histogram's share.
    """
    key, _, bins = entry.partition(":")
    value = signal.numbers[key]
    images = len(signal.numbers.get("image", [])) if isinstance(signal.numbers.get("image"), list) else 1
    if isinstance(value, Mapping):
        return float(value[temperature]), images
    if bins:
        return _bin_share(value, bins), images
    return (float(np.mean(value)) if isinstance(value, Sequence) else float(value)), images


def _bin_share(counts: Sequence[float], bins: str) -> float:
    """Return the fraction of a histogram's mass in the bins of 0 (``zero``), of -1 and 1 (``one``) or of -30 and 30.

    The last choice is called ``end``; the bins have width 1 and centers from -30 to 30.
    """
    values = np.asarray(counts)
    middle = len(values) // 2
    chosen = {
        "zero": values[middle : middle + 1].sum(),
        "one": values[[middle - 1, middle + 1]].sum(),
        "end": values[[0, -1]].sum(),
    }
    return float(chosen[bins] / values.sum())
