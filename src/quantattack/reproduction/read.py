"""The numbers of a reproduction as its records have them: nothing is run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import comb, fsum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.data.sets import SETS
from quantattack.record.file import FILE
from quantattack.record.signals import Signal, read_signals
from quantattack.record.statistics import wilson
from quantattack.record.store import Record, Store
from quantattack.report.tables import norm_name
from quantattack.reproduction.gupta2022.attacks import clever
from quantattack.reproduction.items import Column, Item, Row
from quantattack.reproduction.roles import Role
from quantattack.reproduction.run import Plan, signals_of

Broken = NDArray[np.bool_]


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
        apart: For each image how much oftener the first attack broke it than the second, from -1 to 1: the mean over
            the runs, where there are several.
    """

    apart: NDArray[np.float64]

    @property
    def first(self) -> int:
        """Images that the first attack broke oftener."""
        return int((self.apart > 0).sum())

    @property
    def second(self) -> int:
        """Images that the second attack broke oftener."""
        return int((self.apart < 0).sum())

    @property
    def images(self) -> int:
        return len(self.apart)

    @property
    def p(self) -> float:
        """The exact two-sided probability of so uneven a split (McNemar, 1947, https://doi.org/10.1007/BF02295996)."""
        count, least = self.first + self.second, min(self.first, self.second)
        tail: float = sum(comb(count, k) for k in range(least + 1)) / 2**count
        return min(1.0, 2 * tail)

    @property
    def difference(self) -> float:
        """How much lower the robust accuracy under the first is, as a share."""
        return float(np.mean(self.apart)) if self.images else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference (Wald's, with one image more each way)."""
        values = np.concatenate([self.apart, [1.0, -1.0]])
        half = 1.959964 * float(np.std(values)) / float(np.sqrt(len(values)))
        return float(np.mean(values)) - half, float(np.mean(values)) + half


@dataclass(frozen=True, eq=False)
class Found:
    """One network's records of one paper."""

    stores: tuple[Store, ...]

    @cached_property
    def cells(self) -> list[tuple[Record, str]]:
        return [(record, name) for store in self.stores for record in store.records() for name in record.attacks]

    @cached_property
    def signals(self) -> list[tuple[Store, Signal]]:
        return [(store, signal) for store in self.stores for signal in read_signals(store.connection)]


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads a plan's records.

    Arguments:
        plan: What was reproduced, and where.
    """

    plan: Plan
    opened: dict[str, Found] = field(default_factory=dict)

    def found(self, part: Role) -> Found:
        """Return the records of the network in a role; none where there are none."""
        name = self.plan.network(part)
        stem = "" if name is None else Path(name).stem
        if stem not in self.opened:
            self.opened[stem] = Found(tuple(self._stores(stem)) if stem else ())
        return self.opened[stem]

    def _stores(self, stem: str) -> list[Store]:
        scale = self.plan.scale
        counts = dict.fromkeys((scale.images, scale.merged, scale.few))
        named = [str(count) for count in counts]
        named += [f"{signals_of(one)}-{scale.few if one is clever else scale.images}" for one in self._measured()]
        folders = [self.plan.folder(stem, what) for what in dict.fromkeys(named)]
        return [Store.load(folder) for folder in folders if (folder / FILE).is_file()]

    def _measured(self) -> list[Any]:
        return [item.measured for item in self.plan.paper.items.values() if item.measured is not None]

    @property
    def stores(self) -> list[Store]:
        """Return every record that was opened."""
        return [store for found in self.opened.values() for store in found.stores]

    def close(self) -> None:
        for store in self.stores:
            store.close()

    def number(self, part: Role, column: Column) -> Number | None:
        """Return what the records have for a row and a column; None where they have nothing."""
        if column.how == "quoted":
            return None
        if column.how == "signal":
            return self._signal(part, column)
        if column.how == "clean":
            return self._clean(part)
        return self._robust(part, column)

    def _clean(self, part: Role) -> Number | None:
        cells = self.found(part).cells
        if not cells:
            return None
        record, name = max(cells, key=lambda cell: len(cell[0].column(cell[1], "image")))
        right = record.column(name, "clean_prediction") == record.column(name, "label")
        return _share(~right, record, name)

    def _robust(self, part: Role, column: Column) -> Number | None:
        cells = self.cells(part, column)
        rows = [broken for cell in cells if (broken := fallen(*cell, column.step)) is not None]
        if not rows or len(rows) < len(cells):
            return None
        shares = [float(np.mean(~row)) for row in rows]
        if column.how == "mean":
            at = _share(rows[0], *cells[0])
            mean = float(np.mean(shares))
            return Number(mean, wilson(round(mean * at.images), at.images), at.store, at.anchor, at.images)
        place = int(np.argmin(shares))
        row = np.logical_or.reduce(rows) if column.how == "merged" else rows[place]
        return _share(row, *cells[place])

    def cells(self, part: Role, column: Column) -> list[tuple[Record, str]]:
        """Return the cells behind a column: one, or one for each run; none while one of them is being filled."""
        found = [cell for cell in self.found(part).cells if self._under(cell[0], column)]
        runs = column.how in ("mean", "worst", "merged")
        named = _largest([cell for cell in found if (_base(cell[1]) if runs else cell[1]) == column.name])
        return named if all(len(record.column(name, "image")) == record.images for record, name in named) else []

    def seconds(self, rows: Sequence[Row], columns: Sequence[Column]) -> float:
        """Return what the cells behind some rows and columns took, each cell once."""
        return fsum(self._costs(rows, columns).values())

    def total(self) -> float:
        """Return what the cells behind all items took, each cell once."""
        items = self.plan.paper.items.values()
        return fsum(
            {key: cost for item in items for key, cost in self._costs(item.rows, item.columns).items()}.values()
        )

    def _costs(self, rows: Sequence[Row], columns: Sequence[Column]) -> dict[tuple[str, int], float]:
        attacks = [column for column in columns if column.how not in ("signal", "quoted", "clean")]
        return {
            (str(record.store.folder), record.cells[name]): float(record.column(name, "seconds").astype(float).sum())
            for row in rows
            for column in attacks
            for record, name in self.cells(row.role, column)
        }

    @staticmethod
    def _under(record: Record, column: Column) -> bool:
        if norm_name(record.threat) != column.norm:
            return False
        usual = SETS[record.subject.data].linf
        wanted = min(1.0, usual * column.times) if column.radius is None else column.radius
        return column.norm != "Linf" or abs(float(record.threat["radius"]) - wanted) < 1e-9

    def _signal(self, part: Role, column: Column) -> Number | None:
        quantity, _, entry = column.field.partition(".")
        for store, signal in self.found(part).signals:
            wanted = signal.temperature == column.name or (quantity == "curves" and column.name in _marks(signal))
            if signal.quantity == quantity and wanted and store.folder is not None:
                value, count = _entry(signal, column.name, entry)
                return Number(value, None, store.folder, f"{quantity}-{signal.temperature or 'curves'}", count)
        return None

    def pair(self, part: Role, first: str, second: str, times: float = 1.0, step: int | None = None) -> Pair | None:
        """Return how two attacks split the images, runs put side by side; None where one was not run.

        Arguments:
            part: The network.
            first: An attack's name.
            second: Another's.
            times: The radius over the data set's own.
            step: Count only what had fallen after so many steps.
        """
        sides = [self.side(part, name, times) for name in (first, second)]
        if not all(sides) or len(sides[0]) != len(sides[1]):
            return None
        both = [_apart(a, b, step) for a, b in zip(*sides, strict=True)]
        known = [apart for apart in both if apart is not None]
        return Pair(np.mean(known, axis=0)) if len(known) == len(both) else None

    def across(self, first: Role, second: Role, name: str) -> Pair | None:
        """Return how one attack splits the images between two networks; None where it was not run on both."""
        sides = [self.side(part, name) for part in (first, second)]
        if not all(sides):
            return None
        apart = _apart(sides[0][0], sides[1][0], None)
        return None if apart is None else Pair(apart)

    def values(self, part: Role, column: Column) -> NDArray[np.float64] | None:
        """Return a signal's numbers, one for each image; None where it has one alone."""
        quantity, _, entry = column.field.partition(".")
        for _, signal in self.found(part).signals:
            if signal.quantity == quantity and signal.temperature == column.name:
                value = signal.numbers.get(entry)
                return np.asarray(value, dtype=np.float64) if isinstance(value, list) else None
        return None

    def side(self, part: Role, name: str, times: float = 1.0) -> list[tuple[Record, str]]:
        """Return the cells of an attack: one, or one for each of its runs."""
        norm = "L2" if "_l2" in name else "Linf"
        alone = self.cells(part, Column("", name, norm=norm, times=times))
        return alone or self.cells(part, Column("", name, "mean", norm=norm, times=times))


def fallen(record: Record, name: str, step: int | None = None) -> Broken | None:
    """Return which images an attack broke, or had broken after so many steps; None where its walk was shorter."""
    broken = record.broken(name)
    if step is None:
        return broken
    if walked(record.settings(name)) < step:
        return None
    first = record.column(name, "step").astype(float)
    wrong = record.column(name, "clean_prediction") != record.column(name, "label")
    return np.asarray(broken & (wrong | (first <= step)), dtype=np.bool_)


def walked(settings: Any) -> int:
    """Return the steps of an attack from its settings, found through its wrappers."""
    if not isinstance(settings, Mapping):
        return 0
    inside = settings.get("attack")
    return walked(inside) if isinstance(inside, Mapping) else int(settings.get("steps", 0))


def _largest(cells: list[tuple[Record, str]]) -> list[tuple[Record, str]]:
    """Return the cells of most images: a smaller reproduction may lie beside, and would count twice."""
    most = max((record.images for record, _ in cells), default=0)
    return [cell for cell in cells if cell[0].images == most]


def _base(name: str) -> str:
    return name.rpartition(" run ")[0]


def _share(broken: Broken, record: Record, name: str) -> Number:
    right, count = int((~broken).sum()), len(broken)
    assert record.store.folder is not None
    return Number(right / count, wilson(right, count), record.store.folder, f"cell-{record.cells[name]}", count)


def _marks(signal: Signal) -> Mapping[str, float]:
    marks: Mapping[str, float] = signal.numbers.get("marks", {})
    return marks


def _entry(signal: Signal, name: str, entry: str) -> tuple[float, int]:
    """Return a number of a signal, a mean where it has one for each image, and how many images it has."""
    key, _, place = entry.partition(":")
    value = signal.numbers[key]
    images = len(signal.numbers.get("image", [])) if isinstance(signal.numbers.get("image"), list) else 1
    if isinstance(value, Mapping):
        return float(value[name]), images
    if place:
        return _bin(value, place), images
    return (float(np.mean(value)) if isinstance(value, Sequence) else float(value)), images


def _bin(counts: Sequence[float], place: str) -> float:
    """Return the share of the entries of a histogram from -30 to 30 that are largest, one, or smaller."""
    values = np.asarray(counts)
    middle = len(values) // 2
    chosen = {
        "zero": values[middle : middle + 1].sum(),
        "one": values[[middle - 1, middle + 1]].sum(),
        "end": values[[0, -1]].sum(),
    }
    return float(chosen[place] / values.sum())


def _apart(a: tuple[Record, str], b: tuple[Record, str], step: int | None) -> NDArray[np.float64] | None:
    """Return for each image that two cells have seen: 1 where only the first broke it, -1 where only the second."""
    images = [record.column(name, "image").astype(int) for record, name in (a, b)]
    both = np.intersect1d(images[0], images[1])
    broken = [fallen(*cell, step) for cell in (a, b)]
    if broken[0] is None or broken[1] is None:
        return None
    one, two = (
        row[np.isin(seen, both)].astype(np.float64) for row, seen in zip(broken, images, strict=True) if row is not None
    )
    return np.asarray(one - two, dtype=np.float64)


SETTING = re.compile(r", (worst|average|\d+ steps?|\d+/255|radius [^,]*)$")
WORDS = {"pgd": "PGD", "fgsm": "FGSM"}


def label(item: Item, key: str) -> str:
    """Return an attack's words: those of its column, without what is the column's alone."""
    words = WORDS.get(key) or next((column.header for column in item.columns if column.name == key), key)
    while (shorter := SETTING.sub("", words)) != words:
        words = shorter
    return words
