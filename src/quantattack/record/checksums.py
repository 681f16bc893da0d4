"""Checksums of what a record holds, kept in it, so that a reader notices each value that changed on the disk.

Outcomes are summed over their rows, so that a batch is added without reading the others; all other tables have one
digest, the seal.  Records from before these checksums have none, and are read without them.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantattack.record.outcome import COLUMNS

NO_STEP = -1  # stands for None, which an integer array cannot hold
DTYPE = np.dtype(
    [
        ("image", np.int64),
        ("label", np.int64),
        ("clean_prediction", np.int64),
        ("prediction", np.int64),
        ("margin", np.float64),
        ("size", np.float64),
        ("step", np.int64),
        ("restart", np.int64),
        ("forwards", np.float64),
        ("backwards", np.float64),
        ("seconds", np.float64),
        ("inside", np.bool_),
    ]
)
TABLE = """
CREATE TABLE IF NOT EXISTS checksum (
  cell INTEGER PRIMARY KEY REFERENCES cell (id), outcomes INTEGER NOT NULL, total TEXT NOT NULL);
"""
SELECTED = ", ".join(f"ifnull(step, {NO_STEP})" if name == "step" else name for name in COLUMNS)
_SEAL = "seal"  # its key in the table `run`
_SEALED = {  # table: its rows in a fixed order
    "run": f"SELECT key, value FROM run WHERE key != '{_SEAL}' ORDER BY key",
    "cell": "SELECT * FROM cell ORDER BY id",
    "flag": "SELECT * FROM flag ORDER BY rowid",
    "shard": "SELECT * FROM shard ORDER BY cell, file",
    "bound": "SELECT * FROM bound ORDER BY cell, image",
    "lost": "SELECT * FROM lost ORDER BY cell, image",
    "diagnosis": "SELECT * FROM diagnosis ORDER BY rowid",
    "signal": "SELECT * FROM signal ORDER BY rowid",
    "checksum": "SELECT * FROM checksum ORDER BY cell",
}
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9)  # the odd constants of SplitMix64


class Sum(NamedTuple):
    """How many outcomes a cell has, and the sum of their hashes modulo 2^64."""

    outcomes: int
    total: int


def sum_of(table: NDArray[Any]) -> Sum:
    """Return the sum over rows of type `DTYPE`; every row's hash changes with any bit of the row."""
    hashes = np.zeros(len(table), dtype=np.uint64)
    for name in COLUMNS:
        column = table[name]
        exact = column.dtype == np.float64
        words = np.ascontiguousarray(column if exact else column.astype(np.int64)).view(np.uint64)
        if exact:  # there are many NaN, and a file keeps but one of them
            words = np.where(np.isnan(column), np.uint64(_MIX[0]), words)
        hashes = (hashes ^ words) * np.uint64(_MIX[0])
        hashes = (hashes ^ (hashes >> np.uint64(29))) * np.uint64(_MIX[1])
    return Sum(len(table), int(np.sum(hashes, dtype=np.uint64)))


def read_sum(connection: sqlite3.Connection, cell: int) -> Sum | None:
    """Return the sum that a record with checksums keeps of a cell's outcomes; None where it keeps none."""
    row = connection.execute("SELECT outcomes, total FROM checksum WHERE cell = ?", (cell,)).fetchone()
    return None if row is None else Sum(int(row[0]), int(row[1], 16))


def replace_rows(connection: sqlite3.Connection, cell: int, rows: list[tuple[Any, ...]]) -> None:
    """Insert outcomes, in the columns' order, in place of those of the same images, and keep the cell's sum."""
    images = {row[0] for row in rows}
    if not images:
        return
    kept = read_sum(connection, cell) or sum_of(stored(connection, cell))
    near = stored(connection, cell, (min(images), max(images)))
    gone = sum_of(near[np.isin(near["image"], list(images))])
    places = ", ".join("?" * (len(COLUMNS) + 1))
    columns = ", ".join(("cell", *COLUMNS))
    values = [(cell, *row) for row in rows]
    connection.executemany(f"INSERT OR REPLACE INTO outcome ({columns}) VALUES ({places})", values)
    near = stored(connection, cell, (min(images), max(images)))
    come = sum_of(near[np.isin(near["image"], list(images))])
    keep_sum(connection, cell, Sum(kept[0] - gone[0] + come[0], kept[1] - gone[1] + come[1]))


def keep_sum(connection: sqlite3.Connection, cell: int, kept: Sum) -> None:
    """Write the sum of a cell's outcomes."""
    row = (cell, kept.outcomes, f"{kept.total % 2**64:016x}")
    connection.execute("INSERT OR REPLACE INTO checksum VALUES (?, ?, ?)", row)


def stored(connection: sqlite3.Connection, cell: int, within: tuple[int, int] | None = None) -> NDArray[Any]:
    """Return a cell's outcomes as an array of `DTYPE`, ascending by image, all or those between two images."""
    where = "" if within is None else " AND image BETWEEN ? AND ?"
    query = f"SELECT {SELECTED} FROM outcome WHERE cell = ?{where} ORDER BY image"
    cursor = connection.execute(query, (cell, *(within or ())))
    return np.fromiter(_one_by_one(cursor), DTYPE)


def _one_by_one(cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
    while block := cursor.fetchmany(10_000):
        yield from block


def seal(connection: sqlite3.Connection) -> None:
    """Write the digest of all tables but the outcomes'; a file that is no record yet is left alone."""
    if _tables(connection) >= {"run", "checksum"}:
        connection.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (_SEAL, _digest(connection)))


def check_seal(connection: sqlite3.Connection) -> None:
    """Raise ValueError unless the tables have the digest that was kept, where one was kept."""
    row = connection.execute("SELECT value FROM run WHERE key = ?", (_SEAL,)).fetchone()
    if row is not None and row[0] != _digest(connection):
        raise ValueError("its contents are others than were written")


def _digest(connection: sqlite3.Connection) -> str:
    sha = hashlib.sha256()
    for row in connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"):
        sha.update(repr(row).encode())
    for name in _present(connection):
        for row in connection.execute(_SEALED[name]):
            sha.update(repr(row).encode())
    return sha.hexdigest()


def _present(connection: sqlite3.Connection) -> Iterable[str]:
    there = _tables(connection)
    return [name for name in _SEALED if name in there]


def check_indices(connection: sqlite3.Connection) -> None:
    """Raise ValueError where a small table's indices and rows disagree, so that a query would miss rows."""
    for name in _present(connection):
        found = connection.execute(f"PRAGMA integrity_check({name})").fetchall()
        if found != [("ok",)]:
            raise ValueError(str(found[0][0] if found else "no answer"))


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Run several queries on one state of the file, whatever others write in the meantime."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
