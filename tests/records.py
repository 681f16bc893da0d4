"""Records that were changed by hand, as a person or a disk might."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path


def by_hand(record: sqlite3.Connection | Path, statement: str, values: Sequence[object] = ()) -> None:
    """Change a record and remove its checksums, as if it were from before there were any."""
    connection = sqlite3.connect(record / "record.sqlite") if isinstance(record, Path) else record
    connection.execute(statement, values)
    connection.execute("DELETE FROM checksum")
    connection.execute("DELETE FROM run WHERE key = 'seal'")
    connection.commit()
    if isinstance(record, Path):
        connection.close()
