"""The file of a run: per-image outcomes in SQLite, opened, resumed, written, and read without torch.

``run`` holds the settings, ``cell`` one row for each model, data set, threat and attack, ``outcome`` one row for each
image of a cell.  Worst cases, intervals and paired comparisons are computed from the outcomes; no attack is rerun.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, TypeVar

from quantattack.errors import InputError
from quantattack.reading import is_file
from quantattack.record.bounds import Bound, insert_bounds
from quantattack.record.checksums import replace_rows
from quantattack.record.contents import check_contents
from quantattack.record.description import stable
from quantattack.record.file import (
    FILE,
    SCHEMA,
    connect,
    has_table,
    plain_errors,
    reading,
    take_lock,
    transaction,
    write_ahead,
)
from quantattack.record.identity import Identity
from quantattack.record.outcome import Outcome, Shard, Subject, values_of
from quantattack.record.parsing import parsed

FORMAT = 1
TABLES = {"run", "cell", "outcome", "flag"}
_SHARD = "file, images, sha256"
_File = TypeVar("_File", bound="RecordFile")


class RecordFile:
    """One run's SQLite database, on disk or, without a folder, in memory."""

    def __init__(self, connection: sqlite3.Connection, folder: Path | None = None, lock: int | None = None) -> None:
        self.connection, self.folder, self._lock = connection, folder, lock

    @classmethod
    def open(
        cls: type[_File], folder: Path | str | None, run: Identity | Mapping[str, Any], grow: bool = False
    ) -> _File:
        """Start a run in a folder, or resume the one that is there if its settings are equal.

        Arguments:
            folder: Where the record lies; None keeps it in memory.
            run: The settings that identify the run.
            grow: Whether to also resume a run to which these settings add models, data sets, threats or attacks.

        Raises:
            InputError: If the folder holds another run, a foreign file, or is in use by a living process.

        """
        if folder is None:
            return cls(sqlite3.connect(":memory:", isolation_level=None))._begin(run)
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = take_lock(path)
        except OSError as error:
            raise InputError(f"cannot write to {path}: {error.strerror or error}; choose another --out") from None
        with ExitStack() as undo:
            undo.callback(os.close, lock)
            connection = connect(path / FILE)
            undo.callback(connection.close)
            with plain_errors(path):
                write_ahead(connection, on=True)
            store = cls(connection, path, lock)._begin(run, grow)
            undo.pop_all()
        return store

    @classmethod
    def load(cls: type[_File], folder: Path | str) -> _File:
        """Open a record for reading."""
        path = Path(folder)
        if not is_file(path / FILE):
            raise InputError(f"no record in {path}; give a folder that `quantattack evaluate --out` wrote")
        store = cls(connect(path / FILE), path)
        with plain_errors(path):
            store.connection.execute("PRAGMA query_only = ON")
            store._check_ours()
        if not store._tables() >= TABLES:
            raise InputError(f"no record in {path} yet: the run was stopped before its first image; start it again")
        check_contents(store.connection)
        return store

    def _begin(self: _File, run: Identity | Mapping[str, Any], grow: bool = False) -> _File:
        with plain_errors(self.folder):
            self._check_ours()
            check_contents(self.connection)
            with self.transaction():
                for statement in filter(str.strip, SCHEMA.split(";")):
                    self.connection.execute(statement)
                identity = self._joined(run, grow).text
                grown = identity != self._get("identity")  # what was added to a finished run is still to be done
                values = {"identity": identity, "format": str(FORMAT), **({"finished": "no"} if grown else {})}
                self.connection.executemany("INSERT OR REPLACE INTO run VALUES (?, ?)", list(values.items()))
        return self

    def _joined(self, run: Identity | Mapping[str, Any], grow: bool) -> Identity:
        """Return the identity of the run to start or resume; raise InputError where the folder holds another run."""
        wanted, text = run if isinstance(run, Identity) else Identity.from_json(run), self._get("identity")
        if text in (None, wanted.text):
            return wanted
        present = Identity.from_json(self.identity)
        wanted = wanted.in_terms_of(present)
        if wanted.text == text:
            return present
        union = present.grown(wanted) if grow else None
        if union is None:
            why = present.contradiction(wanted) if grow else present.differing(wanted)
            raise InputError(f"{self.folder} holds another run ({why}); choose another --out")
        return union

    def _tables(self) -> set[str]:
        return {str(row[0]) for row in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def _check_ours(self) -> None:
        """Refuse a file of something else, before anything is written into it, and one of another version."""
        if self._tables() and "run" not in self._tables():
            raise InputError(f"{self.folder}/{FILE} is not a record of quantattack; choose another folder")
        if "run" in self._tables() and self._get("format") not in (None, str(FORMAT)):
            raise InputError(f"{self.folder}/{FILE} is of another version of quantattack; choose another folder")

    def _get(self, key: str) -> str | None:
        rows = self._rows("SELECT value FROM run WHERE key = ?", key)
        return str(rows[0][0]) if rows else None

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with reading(self.connection):
            return self.connection.execute(query, values).fetchall()

    def _set(self, key: str, value: str) -> None:
        with plain_errors(self.folder), self.transaction():
            self.connection.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, value))

    @property
    def version(self) -> tuple[int, int]:
        """Two numbers that change whenever this or another process writes to the file."""
        return self.connection.total_changes, int(self._rows("PRAGMA data_version")[0][0])

    @property
    def identity(self) -> dict[str, Any]:
        """The run's settings as JSON, including what was added when it was resumed."""
        with reading(self.connection):
            return parsed(self._get("identity") or "{}", dict, finite=False)

    def planned(self, subject: Subject) -> list[str]:
        """Return the names of the attacks that the run's settings name for a subject."""
        subjects = Identity.from_json(self.identity).subjects or ()
        return [name for about in subjects if about.subject == subject for name in about.attacks]

    @property
    def notes(self) -> dict[str, Any]:
        """Metadata of the run that is not part of its identity: versions, device, dates."""
        with reading(self.connection):
            return parsed(self._get("notes") or "{}", dict)

    def note(self, **notes: Any) -> None:
        """Add to the run's notes, replacing those of the same name."""
        self._set("notes", stable({**self.notes, **notes}))

    @property
    def finished(self) -> bool:
        """Whether the run was marked as finished by `finish`; the outcomes are not checked."""
        return self._get("finished") == "yes"

    def finish(self) -> None:
        """Mark the run as finished."""
        self._set("finished", "yes")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Mark the run as finished if the block does not raise, and release the folder either way."""
        try:
            yield
            self.finish()
        finally:
            self.release()

    def cell(self, subject: Subject, attack: str, settings: Any, images: int) -> int:
        """Return the id of a cell's row, inserting the row if it is new."""
        key = (subject.model, subject.data, subject.threat, attack)
        with plain_errors(self.folder), self.transaction():
            self.connection.execute(
                "INSERT OR IGNORE INTO cell (model, data, threat, attack, settings, images) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, stable(settings), images),
            )
        where = "model = ? AND data = ? AND threat = ? AND attack = ?"
        return int(self._rows(f"SELECT id FROM cell WHERE {where}", *key)[0][0])

    def done(self, cell: int) -> set[int]:
        """Return the images of a cell that have an outcome."""
        return {row[0] for row in self._rows("SELECT image FROM outcome WHERE cell = ?", cell)}

    def write(
        self,
        cell: int,
        outcomes: Iterable[Outcome],
        shard: Shard | None = None,
        lost: Iterable[int] = (),
        bounds: Iterable[Bound] = (),
    ) -> None:
        """Write outcomes, with what belongs to them, in one transaction.

        Arguments:
            cell: Id of their cell's row.
            outcomes: The outcomes.
            shard: The file with their attacked images; None if there is none.
            lost: The images of them that fool the model no longer when rounded to 8 bits.
            bounds: What was proved of them.
        """
        rows = [values_of(outcome) for outcome in outcomes]
        with plain_errors(self.folder), self.transaction():
            replace_rows(self.connection, cell, rows)
            if shard is not None:
                self.connection.execute("INSERT OR REPLACE INTO shard VALUES (?, ?, ?, ?)", (cell, *astuple(shard)))
            gone = [(cell, image) for image in lost]
            self.connection.executemany("INSERT OR REPLACE INTO lost VALUES (?, ?)", gone)
            insert_bounds(self.connection, cell, bounds)

    def lost(self, cell: int) -> set[int]:
        """Return the broken images of a cell that fool the model no longer when rounded to 8 bits."""
        if not has_table(self.connection, "lost"):
            return set()
        return {row[0] for row in self._rows("SELECT image FROM lost WHERE cell = ?", cell)}

    def shards(self, cell: int) -> list[Shard]:
        """Return the files of a cell's attacked images; none where they were not kept."""
        if not has_table(self.connection, "shard"):
            return []
        return [Shard(*row) for row in self._rows(f"SELECT {_SHARD} FROM shard WHERE cell = ? ORDER BY file", cell)]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in one transaction, rolled back if it raises."""
        with transaction(self.connection):
            yield

    def flag(self, subject: Subject, flags: Mapping[str, str]) -> None:
        """Replace a subject's flags (code to sentence)."""
        key = (subject.model, subject.data, subject.threat)
        with plain_errors(self.folder), self.transaction():
            self.connection.execute("DELETE FROM flag WHERE model = ? AND data = ? AND threat = ?", key)
            rows = [(*key, code, sentence) for code, sentence in flags.items()]
            self.connection.executemany("INSERT INTO flag VALUES (?, ?, ?, ?, ?)", rows)

    def flags_of(self, subject: Subject) -> dict[str, str]:
        """Return a subject's flags, code to sentence."""
        key = (subject.model, subject.data, subject.threat)
        query = "SELECT code, sentence FROM flag WHERE model = ? AND data = ? AND threat = ? ORDER BY rowid"
        return {str(code): str(sentence) for code, sentence in self._rows(query, *key)}

    def subjects(self) -> list[Subject]:
        """Return each model, data set and threat in the file, in the order in which they were run."""
        rows = self._rows("SELECT model, data, threat FROM cell GROUP BY 1, 2, 3 ORDER BY min(id)")
        return [Subject(*row) for row in rows]

    def close(self) -> None:
        """Release the folder and close the file."""
        self.release()
        self.connection.close()

    def release(self) -> None:
        """Release the write lock on the folder; this object can still read the record."""
        if self._lock is not None:
            write_ahead(self.connection, on=False)
            os.close(self._lock)
            self._lock = None
