"""The numbers of one record: what an attack broke, how two attacks differ, what a signal's entry is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantattack.record.record import Record
from quantattack.record.signals import Signal
from quantattack.record.statistics import mcnemar, wilson

Broken = NDArray[np.bool_]
Cell = tuple[Record, str]  # an attack's name with the record that has it
Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True, eq=False)
class Number:
    """A measured number and what is behind it.

    Arguments:
        value: The number; a share from 0 to 1 where it is an accuracy.
        interval: The 95 % interval of a share; None for other numbers.
        store: Folder of its record.
        anchor: Where the record's page has it.
        images: How many images are behind it.
    """

    value: float
    interval: tuple[float, float] | None
    store: Path
    anchor: str
    images: int


@dataclass(frozen=True, eq=False)
class Pair:
    """Two attacks on the same images.

    Arguments:
        difference_by_image: For each image how much more often the first attack broke it than the second, from -1
            to 1: the mean over the runs, where there are several.
    """

    difference_by_image: NDArray[np.float64]

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
        """The exact two-sided probability of so uneven a split, by McNemar's test."""
        return mcnemar(self.first, self.second)

    @property
    def difference(self) -> float:
        """How much lower the robust accuracy under the first is, as a share."""
        return float(np.mean(self.difference_by_image)) if self.images else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference (Wald's, with one image more each way)."""
        values = np.concatenate([self.difference_by_image, [1.0, -1.0]])
        half = Z * float(np.std(values)) / float(np.sqrt(len(values)))
        return float(np.mean(values)) - half, float(np.mean(values)) + half


def broken_after(record: Record, name: str, step: int | None = None) -> Broken | None:
    """Return which images an attack broke, or had broken after so many steps; None where its walk was shorter.

    Arguments:
        record: The record.
        name: Name of the attack.
        step: Number of steps; the whole walk where None.
    """
    broken = record.broken(name)
    if step is None:
        return broken
    if steps_of(record.settings(name)) < step:
        return None
    first = record.column(name, "step").astype(float)
    wrong = record.column(name, "clean_prediction") != record.column(name, "label")
    return np.asarray(broken & (wrong | (first <= step)), dtype=np.bool_)


def steps_of(settings: object) -> int:
    """Return the steps of an attack from its settings, through its wrappers; 0 where it has none."""
    if not isinstance(settings, Mapping):
        return 0
    inside = settings.get("attack")
    return steps_of(inside) if isinstance(inside, Mapping) else int(settings.get("steps", 0))


def robust(broken: Broken, record: Record, name: str) -> Number:
    """Return the share of images that withstood, of those that an attack has seen."""
    withstood, count = int((~broken).sum()), len(broken)
    assert record.store.folder is not None
    interval = wilson(withstood, count)
    return Number(withstood / count, interval, record.store.folder, f"cell-{record.cells[name]}", count)


def cost(cell: Cell) -> float:
    """Return what an attack took over all its images, in seconds."""
    record, name = cell
    return float(record.column(name, "seconds").astype(float).sum())


def paired(a: Cell, b: Cell, step: int | None) -> NDArray[np.float64] | None:
    """Return for each image that two cells have seen: 1 where only the first broke it, -1 where only the second."""
    images = [record.column(name, "image").astype(int) for record, name in (a, b)]
    both = np.intersect1d(images[0], images[1])
    broken = [broken_after(*cell, step) for cell in (a, b)]
    if broken[0] is None or broken[1] is None:
        return None
    first, second = (
        row[np.isin(seen, both)].astype(np.float64) for row, seen in zip(broken, images, strict=True) if row is not None
    )
    return np.asarray(first - second, dtype=np.float64)


def marks_of(signal: Signal) -> Mapping[str, float]:
    """Return the temperatures that a curve marks, with the beta of each."""
    marks: Mapping[str, float] = signal.numbers.get("marks", {})
    return marks


def entry_of(signal: Signal, temperature: str, entry: str) -> tuple[float, int]:
    """Return a number of a signal, a mean where it has one for each image, and how many images it has.

    Arguments:
        signal: The signal.
        temperature: Name of the temperature, where the number is given for each.
        entry: Name of the number; behind a colon a place in a histogram: zero, one or end.
    """
    key, _, place = entry.partition(":")
    value = signal.numbers[key]
    images = len(signal.numbers.get("image", [])) if isinstance(signal.numbers.get("image"), list) else 1
    if isinstance(value, Mapping):
        return float(value[temperature]), images
    if place:
        return _bin_share(value, place), images
    return (float(np.mean(value)) if isinstance(value, Sequence) else float(value)), images


def _bin_share(counts: Sequence[float], place: str) -> float:
    """Return the share of the entries of a histogram from -30 to 30 that are largest, one, or smaller."""
    values = np.asarray(counts)
    middle = len(values) // 2
    chosen = {
        "zero": values[middle : middle + 1].sum(),
        "one": values[[middle - 1, middle + 1]].sum(),
        "end": values[[0, -1]].sum(),
    }
    return float(chosen[place] / values.sum())
