"""The one SQLite file of a run: its tables, its lock, and its error messages."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from quantattack.errors import InputError
from quantattack.reading import message_of
from quantattack.record.checksums import TABLE as CHECKSUM
from quantattack.record.checksums import seal

FILE = "record.sqlite"

# What SQLite and the parsing of what it returns raise on a file whose bytes are not those that were written.
_UNREADABLE = (sqlite3.Error, ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError)
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cell (
  id INTEGER PRIMARY KEY, model TEXT NOT NULL, data TEXT NOT NULL, threat TEXT NOT NULL, attack TEXT NOT NULL,
  settings TEXT NOT NULL, images INTEGER NOT NULL, UNIQUE (model, data, threat, attack));
CREATE TABLE IF NOT EXISTS outcome (
  cell INTEGER NOT NULL REFERENCES cell (id), image INTEGER NOT NULL, label INTEGER NOT NULL,
  clean_prediction INTEGER NOT NULL, prediction INTEGER NOT NULL, margin REAL, size REAL NOT NULL,
  step INTEGER, restart INTEGER NOT NULL, forwards REAL NOT NULL, backwards REAL NOT NULL, seconds REAL NOT NULL,
  inside INTEGER NOT NULL, PRIMARY KEY (cell, image)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS flag (
  model TEXT NOT NULL, data TEXT NOT NULL, threat TEXT NOT NULL, code TEXT NOT NULL, sentence TEXT NOT NULL,
  PRIMARY KEY (model, data, threat, code));
CREATE TABLE IF NOT EXISTS shard (
  cell INTEGER NOT NULL REFERENCES cell (id), file TEXT NOT NULL, images INTEGER NOT NULL, sha256 TEXT NOT NULL,
  PRIMARY KEY (cell, file));
CREATE TABLE IF NOT EXISTS lost (
  cell INTEGER NOT NULL REFERENCES cell (id), image INTEGER NOT NULL, PRIMARY KEY (cell, image)) WITHOUT ROWID;
{CHECKSUM}"""


def write_ahead(connection: sqlite3.Connection, on: bool) -> None:
    """Turn write-ahead logging on, so that others can read during writes, or off, leaving a single file."""
    mode = "WAL" if on else "DELETE"
    try:
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
    except sqlite3.OperationalError:  # a reader holds the file, or the disk is full: SQLite does it at the next chance
        if on:
            raise


def connect(path: Path) -> sqlite3.Connection:
    """Open a record in autocommit mode; transactions are started explicitly with `transaction`."""
    # Never read-only, not even to read: only a writer can undo what a killed process left half written.
    with plain_errors(path.parent):
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block in one transaction, rolled back if it raises, and keep the checksum of what it wrote."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        seal(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # on a full disk SQLite has undone it already
            connection.execute("ROLLBACK")
        raise


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether a file has a table: some are created only when first needed."""
    with reading(connection):
        return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is not None


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """Turn whatever a damaged record makes SQLite or a parser raise into a one-line `InputError`."""
    try:
        yield
    except InputError:
        raise
    except _UNREADABLE as error:
        reason = message_of(error)
        raise InputError(f"{_place(connection)} cannot be read: {reason}; use a copy of it, or start anew") from None


def _place(connection: sqlite3.Connection) -> str:
    """Return the path of a connection's file; SQLite may not be able to say it of a damaged one."""
    with suppress(sqlite3.Error):
        return str(connection.execute("PRAGMA database_list").fetchone()[2]) or "the record in memory"
    return "the record"


@contextmanager
def plain_errors(folder: Path | None) -> Iterator[None]:
    """Turn SQLite's errors into a one-line `InputError` that names the folder."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(f"cannot write the record in {folder}: {error}; make room or choose another --out") from None
    except UnicodeDecodeError:  # SQLite's own message holds bytes of the file
        raise InputError(f"{folder}/{FILE} cannot be read: its tables are damaged; use a copy of it") from None
    except sqlite3.DatabaseError as error:
        reason = message_of(error)
        raise InputError(f"{folder}/{FILE} is not a record of quantattack ({reason}); choose another --out") from None


def take_lock(folder: Path) -> int:
    """Lock a folder for writing and return the lock's file descriptor; the system frees it if the process dies."""
    lock: Callable[[int], None] | None = _locker()
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if lock is not None:
            lock(handle)
    except OSError:
        os.close(handle)
        raise InputError(f"another process is writing to {folder}; wait for it or choose another --out") from None
    return handle


def _locker() -> Callable[[int], None] | None:
    try:
        import fcntl
    except ImportError:  # no such lock on this system; SQLite's own still keeps the file whole
        return None
    return lambda handle: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
