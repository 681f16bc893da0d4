"""Look up a reproduction's numbers in its records, without running anything."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.data.sets import SETS
from quantattack.record.file import FILE
from quantattack.record.record import Record
from quantattack.record.signals import Signal, read_signals
from quantattack.record.statistics import wilson
from quantattack.record.store import Store
from quantattack.report.tables import norm_name
from quantattack.reproduction.bench import attack_of
from quantattack.reproduction.numbers import (
    Number,
    Pair,
    RecordedCell,
    broken_after,
    cost,
    entry_of,
    marks_of,
    paired,
    robust,
)
from quantattack.reproduction.paper import Column, Row, signals_of
from quantattack.reproduction.plan import Plan
from quantattack.reproduction.roles import Role


@dataclass(frozen=True, eq=False)
class NetworkRecords:
    """One network's records for one paper.

    Arguments:
        stores: The opened records: one for each number of images, and one for each function that measures signals.
    """

    stores: tuple[Store, ...]

    @cached_property
    def cells(self) -> list[RecordedCell]:
        return [(record, name) for store in self.stores for record in store.records() for name in record.attacks]

    @cached_property
    def signals(self) -> list[tuple[Store, Signal]]:
        return [(store, signal) for store in self.stores for signal in read_signals(store.connection)]


@dataclass(frozen=True)
class Side:
    """One side of a paired comparison.

    Arguments:
        name: Name of the attack.
        times: Multiple of the data set's standard radius.
        radius: Linf radius in pixels of [0, 1]; None for `times` the data set's standard radius.
    """

    name: str
    times: float = 1.0
    radius: float | None = None


@dataclass(frozen=True, eq=False)
class Reader:
    """Looks up numbers in a plan's records, by role and column.

    Arguments:
        plan: The plan whose records are read.
        opened: Cache of the opened records, by the network's name.
    """

    plan: Plan
    opened: dict[str, NetworkRecords] = field(default_factory=dict)

    def records(self, role: Role) -> NetworkRecords:
        """Return the records of a role's network; empty if it has none."""
        name = self.plan.network(role) or ""
        if name not in self.opened:
            self.opened[name] = NetworkRecords(tuple(self._stores(name)) if name else ())
        return self.opened[name]

    def _stores(self, network: str) -> list[Store]:
        scale, items = self.plan.scale, self.plan.paper.items.values()
        suffixes = [str(count) for count in (scale.images, scale.merged, scale.nearest)]
        suffixes += [
            f"{signals_of(item.measured)}-{self.plan.measured_images(item)}" for item in items if item.measured
        ]
        folders = [self.plan.folder(network, suffix) for suffix in dict.fromkeys(suffixes)]
        return [Store.load(folder) for folder in folders if (folder / FILE).is_file()]

    def data(self, role: Role) -> str:
        """Return the data set that a role's network was attacked on; the paper's if it was not."""
        cells = self.records(role).cells
        return cells[0][0].subject.data if cells else role.data

    def logit_scale(self, role: Role) -> float:
        """Return what the loss of a network's training multiplied its logits with, by its records' notes; else 1."""
        noted = [store.notes.get("network", {}).get("logit_scale", 1.0) for store in self.records(role).stores]
        return float(min(noted, default=1.0))

    @property
    def stores(self) -> list[Store]:
        """Return every record that was opened."""
        return [store for records in self.opened.values() for store in records.stores]

    def close(self) -> None:
        for store in self.stores:
            store.close()

    def number(self, role: Role, column: Column, first: int | None = None) -> Number | None:
        """Return the measured number of a role and a column; None if the records do not have it.

        Arguments:
            role: The network.
            column: The column.
            first: An accuracy is that of so many images from the first; None for all that the record has.
        """
        if column.how == "quoted":
            return None
        if column.how == "signal":
            return self._signal(role, column)
        if column.how == "clean":
            return self._clean(role, first)
        return self._robust(role, column, first)

    def shared(self, role: Role, columns: Sequence[Column]) -> int | None:
        """Return the number of images that the attacks of a row share; None if nothing was attacked.

        A record has the first images of the test set, so that the smallest number is shared by all.
        """
        attacks = [column for column in columns if column.how not in ("signal", "quoted", "clean")]
        return min((record.images for column in attacks for record, _ in self.cells(role, column)), default=None)

    def _clean(self, role: Role, first: int | None) -> Number | None:
        cells = self.records(role).cells
        if not cells:
            return None
        record, name = max(cells, key=lambda cell: len(cell[0].column(cell[1], "image")))
        correct = record.column(name, "clean_prediction") == record.column(name, "label")
        return robust(~correct[:first], record, name)

    def _robust(self, role: Role, column: Column, first: int | None) -> Number | None:
        cells = self.cells(role, column)
        masks = [broken[:first] for cell in cells if (broken := broken_after(*cell, column.step)) is not None]
        if not masks or len(masks) < len(cells):
            return None
        accuracies = [float(np.mean(~mask)) for mask in masks]
        if column.how == "mean":
            one = robust(masks[0], *cells[0])
            mean = float(np.mean(accuracies))
            interval = wilson(round(mean * one.images), one.images)
            return Number(mean, interval, one.store, one.anchor, one.images)
        worst = int(np.argmin(accuracies))
        mask = np.logical_or.reduce(masks) if column.how == "merged" else masks[worst]
        return robust(mask, *cells[worst])

    def cells(self, role: Role, column: Column) -> list[RecordedCell]:
        """Return the cells that a column is computed from: one, or one for each run; empty unless all are complete."""
        runs = column.how in ("mean", "worst", "merged")
        cells = self.records(role).cells
        named = [cell for cell in cells if (attack_of(cell[1]) if runs else cell[1]) == column.name]
        alike = _largest([cell for cell in named if self._has_threat(cell[0], column)])
        complete = all(len(record.column(name, "image")) == record.images for record, name in alike)
        return alike if complete else []

    def _has_threat(self, record: Record, column: Column) -> bool:
        threat = record.threat
        if norm_name(threat) != column.norm:
            return False
        radius = self.radius(record.subject.data, column)
        return column.norm != "Linf" or abs(float(threat["radius"]) - radius) < 1e-9

    def radius(self, data: str, column: Column) -> float:
        """Return a column's Linf radius on a data set, in pixels of [0, 1]."""
        standard = SETS[data].linf if self.plan.radius is None else self.plan.radius
        return min(1.0, standard * column.times) if column.radius is None else column.radius

    def seconds(self, rows: Sequence[Row], columns: Sequence[Column]) -> float:
        """Return the run time of the cells in some rows and columns, in seconds, counting each cell once."""
        return fsum(self._costs(rows, columns).values())

    def total(self) -> float:
        """Return the run time of the cells in all items, in seconds, counting each cell once."""
        items = self.plan.paper.items.values()
        seconds = {cell: spent for item in items for cell, spent in self._costs(item.rows, item.columns).items()}
        return fsum(seconds.values())

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
            matches = signal.temperature == column.name or (quantity == "curves" and column.name in marks_of(signal))
            if signal.quantity == quantity and matches and store.folder is not None:
                value, count = entry_of(signal, column.name, entry)
                return Number(value, None, store.folder, f"{quantity}-{signal.temperature or 'curves'}", count)
        return None

    def pair(self, role: Role, first: Side, second: Side, step: int | None = None) -> Pair | None:
        """Return the paired comparison of two attacks on a network; None if either was not run.

        Run r of the first attack is compared with run r of the second.

        Arguments:
            role: The network.
            first: The first attack.
            second: The second attack, or the first at another radius.
            step: Count an image as broken only if it was broken within this many steps; None for all steps.
        """
        sides = [self.side(role, side) for side in (first, second)]
        if not all(sides) or len(sides[0]) != len(sides[1]):
            return None
        pairs = [paired(a, b, step) for a, b in zip(*sides, strict=True)]
        differences = [difference for difference in pairs if difference is not None]
        return Pair(np.mean(differences, axis=0), len(pairs)) if len(differences) == len(pairs) else None

    def network_pair(self, first: Role, second: Role, name: str) -> Pair | None:
        """Return the paired comparison of one attack on two networks; None if it was not run on both.

        Only the first run is compared.
        """
        sides = [self.side(role, Side(name)) for role in (first, second)]
        if not all(sides):
            return None
        difference = paired(sides[0][0], sides[1][0], None)
        return None if difference is None else Pair(difference)

    def values(self, role: Role, column: Column) -> NDArray[np.float64] | None:
        """Return the per-image values of a signal's number; None if it has one value for all images."""
        quantity, _, entry = column.field.partition(".")
        for _, signal in self.records(role).signals:
            if signal.quantity == quantity and signal.temperature == column.name:
                value = signal.numbers.get(entry)
                return np.asarray(value, dtype=np.float64) if isinstance(value, list) else None
        return None

    def side(self, role: Role, side: Side) -> list[RecordedCell]:
        """Return the cells of one side of a comparison: the attack's only cell, or one for each of its runs."""
        norm = "L2" if "_l2" in side.name else "Linf"
        at: dict[str, Any] = {"norm": norm, "times": side.times, "radius": side.radius}
        return self.cells(role, Column("", side.name, **at)) or self.cells(role, Column("", side.name, "mean", **at))


def _largest(cells: list[RecordedCell]) -> list[RecordedCell]:
    """Return the cells with the most images; those of another record with fewer images would be counted twice."""
    most = max((record.images for record, _ in cells), default=0)
    return [cell for cell in cells if cell[0].images == most]
