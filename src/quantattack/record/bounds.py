"""What is known of an image from below: rows of a record that say what was proved of it, how, and how surely."""

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

from quantattack.record.file import has_table, reading

TABLE = """
CREATE TABLE IF NOT EXISTS bound (
  cell INTEGER NOT NULL REFERENCES cell (id), image INTEGER NOT NULL, verdict TEXT NOT NULL, method TEXT NOT NULL,
  margin REAL NOT NULL, slack REAL NOT NULL, seconds REAL NOT NULL, solver TEXT NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (cell, image)) WITHOUT ROWID;
"""
PROVED, BROKEN, OPEN = VERDICTS = ("proved", "broken", "open")


@dataclass(frozen=True)
class Bound:
    """What a complete search says of one image that the attacks before it left.

    Arguments:
        image: Index of the image in its data set.
        verdict: `proved` if no image inside the threat is classified otherwise, `broken`, or `open`.
        method: What decided it, or came last: `ibp`, `crown`, `cp-sat` or `milp`.
        margin: Lower bound of the true logit minus every other over the threat, from intervals and CROWN.
        slack: By how much the proof may be off for the solver's tolerances; 0 where it is exact.
        seconds: Wall time spent on the image.
        solver: The solver with its version; empty where none was asked.
        reason: Why the image is open; empty otherwise.
    """

    image: int
    verdict: str
    method: str
    margin: float
    slack: float = 0.0
    seconds: float = 0.0
    solver: str = ""
    reason: str = ""


COLUMNS = ", ".join(field.name for field in fields(Bound))


def insert_bounds(connection: sqlite3.Connection, cell: int, bounds: Iterable[Bound]) -> None:
    """Insert bounds into a cell, inside the caller's transaction; the table is made where it is first needed."""
    rows = [(cell, *astuple(bound)) for bound in bounds]
    if rows:
        connection.execute(TABLE)
        connection.executemany(f"INSERT OR REPLACE INTO bound VALUES ({', '.join('?' * len(rows[0]))})", rows)


def read_bounds(connection: sqlite3.Connection, cell: int) -> list[Bound]:
    """Return the bounds of a cell, ascending by image; none where nothing was to be proved."""
    if not has_table(connection, "bound"):
        return []
    with reading(connection):
        query = f"SELECT {COLUMNS} FROM bound WHERE cell = ? ORDER BY image"
        return [Bound(*row) for row in connection.execute(query, (cell,)).fetchall()]
