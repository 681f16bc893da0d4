"""Measurements of a network's signals in a record: rows of plain JSON, read and written without torch."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from quantattack.record.file import has_table, reading, transaction
from quantattack.record.parsing import parsed

TABLE = """
CREATE TABLE IF NOT EXISTS signal (
  model TEXT NOT NULL, data TEXT NOT NULL, quantity TEXT NOT NULL, temperature TEXT NOT NULL, unit TEXT NOT NULL,
  numbers TEXT NOT NULL, PRIMARY KEY (model, data, quantity, temperature, unit));
"""
DIGITS = 5


@dataclass(frozen=True)
class Signal:
    """One quantity of one network on one data set.

    Arguments:
        model: Name of the model.
        data: Name of the data set.
        quantity: What was measured: `singular_values`, `error`, `gradient`, `sign`, `curves` or `clever`.
        temperature: Name of the temperature applied to the logits; empty where the quantity spans several.
        unit: `pixel`, `normalized`, or empty where the quantity does not depend on the pixel scale.
        numbers: The measurement; plain JSON.
    """

    model: str
    data: str
    quantity: str
    temperature: str
    unit: str
    numbers: Mapping[str, Any]


def write_signals(connection: sqlite3.Connection, signals: Iterable[Signal]) -> None:
    """Add signals to a record in one transaction; an existing signal with the same key is replaced."""
    rows = [(*astuple(signal)[:5], json.dumps(_short(signal.numbers), allow_nan=False)) for signal in signals]
    with transaction(connection):
        connection.execute(TABLE)
        connection.executemany("INSERT OR REPLACE INTO signal VALUES (?, ?, ?, ?, ?, ?)", rows)


def _short(value: Any) -> Any:
    """Round floats to 5 significant digits, to keep the record small."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {str(key): _short(inner) for key, inner in value.items()}
    return [_short(inner) for inner in value] if isinstance(value, list | tuple) else value


def read_signals(connection: sqlite3.Connection) -> tuple[Signal, ...]:
    """Return a record's signals in the order in which they were measured; empty if there are none."""
    if not has_table(connection, "signal"):
        return ()
    query = "SELECT model, data, quantity, temperature, unit, numbers FROM signal ORDER BY rowid"
    with reading(connection):
        rows = connection.execute(query).fetchall()
        return tuple(Signal(row[0], row[1], row[2], row[3], row[4], parsed(row[5], dict)) for row in rows)
