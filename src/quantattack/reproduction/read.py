"""The numbers of a reproduction as its records have them: nothing is run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import fsum

import numpy as np
from numpy.typing import NDArray

from quantattack.data.sets import SETS
from quantattack.record.file import FILE
from quantattack.record.record import Record
from quantattack.record.signals import Signal, read_signals
from quantattack.record.statistics import wilson
from quantattack.record.store import Store
from quantattack.report.tables import norm_name
from quantattack.reproduction.numbers import Cell, Number, Pair, broken_after, cost, entry_of, marks_of, paired, robust
from quantattack.reproduction.paper import Column, Row, signals_of
from quantattack.reproduction.plan import Plan
from quantattack.reproduction.roles import Role


@dataclass(frozen=True, eq=False)
class NetworkRecords:
    """One network's records of one paper.

    Arguments:
        stores: The records, one for each number of images and each kind of signals.
    """

    stores: tuple[Store, ...]

    @cached_property
    def cells(self) -> list[Cell]:
        return [(record, name) for store in self.stores for record in store.records() for name in record.attacks]

    @cached_property
    def signals(self) -> list[tuple[Store, Signal]]:
        return [(store, signal) for store in self.stores for signal in read_signals(store.connection)]


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads a plan's records.

    Arguments:
        plan: What was reproduced, and where.
        opened: The records that have been read, by the network's name.
    """

    plan: Plan
    opened: dict[str, NetworkRecords] = field(default_factory=dict)

    def records(self, role: Role) -> NetworkRecords:
        """Return the records of the network in a role; none where there are none."""
        name = self.plan.network(role) or ""
        if name not in self.opened:
            self.opened[name] = NetworkRecords(tuple(self._stores(name)) if name else ())
        return self.opened[name]

    def _stores(self, network: str) -> list[Store]:
        scale, items = self.plan.scale, self.plan.paper.items.values()
        endings = [str(count) for count in (scale.images, scale.merged, scale.few)]
        endings += [f"{signals_of(item.measured)}-{self.plan.measured_images(item)}" for item in items if item.measured]
        folders = [self.plan.folder(network, ending) for ending in dict.fromkeys(endings)]
        return [Store.load(folder) for folder in folders if (folder / FILE).is_file()]

    @property
    def stores(self) -> list[Store]:
        """Return every record that was opened."""
        return [store for records in self.opened.values() for store in records.stores]

    def close(self) -> None:
        for store in self.stores:
            store.close()

    def number(self, role: Role, column: Column) -> Number | None:
        """Return what the records have for a row and a column; None where they have nothing."""
        if column.how == "quoted":
            return None
        if column.how == "signal":
            return self._signal(role, column)
        if column.how == "clean":
            return self._clean(role)
        return self._robust(role, column)

    def _clean(self, role: Role) -> Number | None:
        cells = self.records(role).cells
        if not cells:
            return None
        record, name = max(cells, key=lambda cell: len(cell[0].column(cell[1], "image")))
        right = record.column(name, "clean_prediction") == record.column(name, "label")
        return robust(~right, record, name)

    def _robust(self, role: Role, column: Column) -> Number | None:
        cells = self.cells(role, column)
        rows = [broken for cell in cells if (broken := broken_after(*cell, column.step)) is not None]
        if not rows or len(rows) < len(cells):
            return None
        shares = [float(np.mean(~row)) for row in rows]
        if column.how == "mean":
            first = robust(rows[0], *cells[0])
            mean = float(np.mean(shares))
            interval = wilson(round(mean * first.images), first.images)
            return Number(mean, interval, first.store, first.anchor, first.images)
        place = int(np.argmin(shares))
        row = np.logical_or.reduce(rows) if column.how == "merged" else rows[place]
        return robust(row, *cells[place])

    def cells(self, role: Role, column: Column) -> list[Cell]:
        """Return the cells behind a column: one, or one for each run; none while one of them is being filled."""
        cells = [cell for cell in self.records(role).cells if self._has_threat(cell[0], column)]
        runs = column.how in ("mean", "worst", "merged")
        named = _largest([cell for cell in cells if (_without_run(cell[1]) if runs else cell[1]) == column.name])
        return named if all(len(record.column(name, "image")) == record.images for record, name in named) else []

    def _has_threat(self, record: Record, column: Column) -> bool:
        if norm_name(record.threat) != column.norm:
            return False
        radius = self.radius(record.subject.data, column)
        return column.norm != "Linf" or abs(float(record.threat["radius"]) - radius) < 1e-9

    def radius(self, data: str, column: Column) -> float:
        """Return a column's radius under Linf on a data set, in pixels of [0, 1]."""
        usual = SETS[data].linf if self.plan.radius is None else self.plan.radius
        return min(1.0, usual * column.times) if column.radius is None else column.radius

    def seconds(self, rows: Sequence[Row], columns: Sequence[Column]) -> float:
        """Return what the cells behind some rows and columns took, each cell once."""
        return fsum(self._costs(rows, columns).values())

    def total(self) -> float:
        """Return what the cells behind all items took, each cell once."""
        items = self.plan.paper.items.values()
        costs = {place: spent for item in items for place, spent in self._costs(item.rows, item.columns).items()}
        return fsum(costs.values())

    def _costs(self, rows: Sequence[Row], columns: Sequence[Column]) -> dict[tuple[str, int], float]:
        attacks = [column for column in columns if column.how not in ("signal", "quoted", "clean")]
        return {
            (str(record.store.folder), record.cells[name]): cost((record, name))
            for row in rows
            for column in attacks
            for record, name in self.cells(row.role, column)
        }

    def _signal(self, role: Role, column: Column) -> Number | None:
        quantity, _, entry = column.field.partition(".")
        for store, signal in self.records(role).signals:
            wanted = signal.temperature == column.name or (quantity == "curves" and column.name in marks_of(signal))
            if signal.quantity == quantity and wanted and store.folder is not None:
                value, count = entry_of(signal, column.name, entry)
                return Number(value, None, store.folder, f"{quantity}-{signal.temperature or 'curves'}", count)
        return None

    def pair(self, role: Role, first: str, second: str, times: float = 1.0, step: int | None = None) -> Pair | None:
        """Return how two attacks split the images, runs put side by side; None where one was not run.

        Arguments:
            role: The network.
            first: An attack's name.
            second: Another's.
            times: The radius over the data set's own.
            step: Count only what had fallen after so many steps.
        """
        sides = [self.side(role, name, times) for name in (first, second)]
        if not all(sides) or len(sides[0]) != len(sides[1]):
            return None
        pairs = [paired(a, b, step) for a, b in zip(*sides, strict=True)]
        known = [difference for difference in pairs if difference is not None]
        return Pair(np.mean(known, axis=0)) if len(known) == len(pairs) else None

    def across(self, first: Role, second: Role, name: str) -> Pair | None:
        """Return how one attack splits the images between two networks; None where it was not run on both."""
        sides = [self.side(role, name) for role in (first, second)]
        if not all(sides):
            return None
        difference = paired(sides[0][0], sides[1][0], None)
        return None if difference is None else Pair(difference)

    def values(self, role: Role, column: Column) -> NDArray[np.float64] | None:
        """Return a signal's numbers, one for each image; None where it has a single one."""
        quantity, _, entry = column.field.partition(".")
        for _, signal in self.records(role).signals:
            if signal.quantity == quantity and signal.temperature == column.name:
                value = signal.numbers.get(entry)
                return np.asarray(value, dtype=np.float64) if isinstance(value, list) else None
        return None

    def side(self, role: Role, name: str, times: float = 1.0) -> list[Cell]:
        """Return the cells of an attack: one, or one for each of its runs."""
        norm = "L2" if "_l2" in name else "Linf"
        alone = self.cells(role, Column("", name, norm=norm, times=times))
        return alone or self.cells(role, Column("", name, "mean", norm=norm, times=times))


def _largest(cells: list[Cell]) -> list[Cell]:
    """Return the cells of most images: a smaller reproduction may lie beside, and would count twice."""
    most = max((record.images for record, _ in cells), default=0)
    return [cell for cell in cells if cell[0].images == most]


def _without_run(name: str) -> str:
    return name.rpartition(" run ")[0]
