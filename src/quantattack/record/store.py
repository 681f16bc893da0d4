"""The record of an evaluation: one SQLite file of per-image outcomes, read and written without torch.

``run`` holds the settings, ``cell`` one row for each model, data set, threat and attack, ``outcome`` one row for each
image of a cell.  Worst cases, intervals and paired comparisons are computed from the outcomes, without a new attack.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.errors import InputError, unknown
from quantattack.record.description import differing, grown, stable
from quantattack.record.file import FILE, SCHEMA, connect, plain_errors, take_lock, write_ahead
from quantattack.record.outcome import COLUMNS, Outcome, Shard, Subject

FORMAT = 1
TABLES = {"run", "cell", "outcome", "flag"}
MASKED = 0.10  # how far above the worst case a gradient attack's number may lie and still be trusted


class Store:
    """One run's SQLite file, or the same in memory where no folder is asked for."""

    def __init__(self, connection: sqlite3.Connection, folder: Path | None = None, lock: int | None = None) -> None:
        self.connection, self.folder, self._lock = connection, folder, lock

    @classmethod
    def open(cls, folder: Path | str | None, run: Mapping[str, Any], grow: bool = False) -> "Store":
        """Start a run in a folder, or continue it where the folder holds the same one.

        Arguments:
            folder: Where the record lies; None keeps it in memory.
            run: The settings that make the run what it is; only a run with equal settings is continued.
            grow: Whether a run is continued too to which these settings add models, data sets, threats or attacks.

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
    def load(cls, folder: Path | str) -> "Store":
        """Open a record for reading."""
        path = Path(folder)
        if not (path / FILE).is_file():
            raise InputError(f"no record in {path}; give a folder that `quantattack evaluate --out` wrote")
        store = cls(connect(path / FILE), path)
        with plain_errors(path):
            store.connection.execute("PRAGMA query_only = ON")
            store._check_ours()
        if not store._tables() >= TABLES:
            raise InputError(f"no record in {path} yet: the run was stopped before its first image; start it again")
        return store

    def _begin(self, run: Mapping[str, Any], grow: bool = False) -> "Store":
        with plain_errors(self.folder):
            self._check_ours()
            self.connection.executescript(SCHEMA)
            wanted, found = stable(run), self._get("identity")
            union = grown(json.loads(found), run) if grow and found is not None else None
            wanted, found = (stable(union), None) if union is not None else (wanted, found)
            if found not in (None, wanted):
                other = differing(json.loads(str(found)), run)
                raise InputError(f"{self.folder} holds another run ({other}); choose another --out")
            self._set("identity", wanted)
            self._set("format", str(FORMAT))
        return self

    def _tables(self) -> set[str]:
        return {str(row[0]) for row in self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def _check_ours(self) -> None:
        """Refuse a file of something else, before anything is written into it, and one of another version."""
        if self._tables() and "run" not in self._tables():
            raise InputError(f"{self.folder}/{FILE} is not a record of quantattack; choose another folder")
        if "run" in self._tables() and self._get("format") not in (None, str(FORMAT)):
            raise InputError(f"{self.folder}/{FILE} is of another version of quantattack; choose another folder")

    def _get(self, key: str) -> str | None:
        row = self.connection.execute("SELECT value FROM run WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _set(self, key: str, value: str) -> None:
        with plain_errors(self.folder):
            self.connection.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, value))

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that the run was started with."""
        return dict(json.loads(self._get("identity") or "{}"))

    @property
    def notes(self) -> dict[str, Any]:
        """What is known of the run beside its settings: versions, device, dates."""
        return dict(json.loads(self._get("notes") or "{}"))

    def note(self, **notes: Any) -> None:
        """Add to what is known of the run."""
        self._set("notes", stable({**self.notes, **notes}))

    @property
    def finished(self) -> bool:
        """Whether every image of every cell has its outcome and the run said that it ended."""
        return self._get("finished") == "yes"

    def finish(self) -> None:
        """Say that the run is complete."""
        self._set("finished", "yes")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say that the run is complete, if it gets there, and give the folder back, however it ends."""
        try:
            yield
            self.finish()
        finally:
            self.release()

    def cell(self, subject: Subject, attack: str, settings: Any, images: int) -> int:
        """Return the row of a cell, made where it is new."""
        key = (subject.model, subject.data, subject.threat, attack)
        with plain_errors(self.folder):
            self.connection.execute(
                "INSERT OR IGNORE INTO cell (model, data, threat, attack, settings, images) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, stable(settings), images),
            )
        where = "model = ? AND data = ? AND threat = ? AND attack = ?"
        return int(self.connection.execute(f"SELECT id FROM cell WHERE {where}", key).fetchone()[0])

    def done(self, cell: int) -> set[int]:
        """Return the images of a cell that have an outcome."""
        return {row[0] for row in self.connection.execute("SELECT image FROM outcome WHERE cell = ?", (cell,))}

    def write(self, cell: int, outcomes: Iterable[Outcome], shard: Shard | None = None) -> None:
        """Write outcomes, and what is known of the file of their images, in one transaction: all of it or nothing."""
        rows = [(cell, *astuple(outcome)) for outcome in outcomes]
        places = ", ".join("?" * (len(COLUMNS) + 1))
        with plain_errors(self.folder), self.transaction():
            columns = ", ".join(("cell", *COLUMNS))
            self.connection.executemany(f"INSERT OR REPLACE INTO outcome ({columns}) VALUES ({places})", rows)
            if shard is not None:
                self.connection.execute("INSERT OR REPLACE INTO shard VALUES (?, ?, ?, ?)", (cell, *astuple(shard)))

    def shards(self, cell: int) -> list[Shard]:
        """Return the files of a cell's attacked images; none where they were not kept."""
        if "shard" not in self._tables():
            return []
        rows = self.connection.execute("SELECT file, images, sha256 FROM shard WHERE cell = ? ORDER BY file", (cell,))
        return [Shard(*row) for row in rows]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do several things to the file, all or none of them."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # on a full disk SQLite has undone it already
                self.connection.execute("ROLLBACK")
            raise

    def flag(self, subject: Subject, flags: Mapping[str, str]) -> None:
        """Put a subject's flags (code to sentence) in place of the ones it had."""
        key = (subject.model, subject.data, subject.threat)
        with plain_errors(self.folder), self.transaction():
            self.connection.execute("DELETE FROM flag WHERE model = ? AND data = ? AND threat = ?", key)
            rows = [(*key, code, sentence) for code, sentence in flags.items()]
            self.connection.executemany("INSERT INTO flag VALUES (?, ?, ?, ?, ?)", rows)

    def flags_of(self, subject: Subject) -> dict[str, str]:
        """Return a subject's flags, code to sentence."""
        key = (subject.model, subject.data, subject.threat)
        query = "SELECT code, sentence FROM flag WHERE model = ? AND data = ? AND threat = ? ORDER BY rowid"
        return {str(code): str(sentence) for code, sentence in self.connection.execute(query, key)}

    def subjects(self) -> list[Subject]:
        """Return what the record holds, in the order in which it was run."""
        rows = self.connection.execute("SELECT model, data, threat FROM cell GROUP BY 1, 2, 3 ORDER BY min(id)")
        return [Subject(*row) for row in rows]

    def records(self) -> list["Record"]:
        """Return a view of each model, data set and threat."""
        return [Record(self, subject) for subject in self.subjects()]

    def close(self) -> None:
        """Close the file and give the folder back."""
        self.release()
        self.connection.close()

    def release(self) -> None:
        """Let another process write to the folder; the record can still be read."""
        if self._lock is not None:
            write_ahead(self.connection, on=False)
            os.close(self._lock)
            self._lock = None


class Record:
    """What is known of one model on one data set under one threat: per image and attack, right or wrong and how.

    Arrays are in the order of the images' indices in the data set.

    Arguments:
        store: The file (or memory) that holds the outcomes.
        subject: Which model, data set and threat of it.

    """

    def __init__(self, store: Store, subject: Subject) -> None:
        self.store, self.subject = store, subject

    @classmethod
    def load(cls, folder: Path | str) -> "Record":
        """Open the record in a folder that holds a single model, data set and threat.

        Raises:
            InputError: If there is none, or several: then use `Store.load(folder).records()`.

        """
        records = Store.load(folder).records()
        if len(records) != 1:
            raise InputError(f"{folder} holds {len(records)} evaluations; read them with Store.load(...).records()")
        return records[0]

    def __repr__(self) -> str:
        rates = ", ".join(f"{name}={self.robust(name):.3f}" for name in self.attacks)
        return f"Record({self.subject.model!r}, clean={self.clean:.3f}, {rates}, worst_case={self.worst_case:.3f})"

    @property
    def threat(self) -> dict[str, Any]:
        """The threat's description: norm, radius, low, high."""
        return dict(json.loads(self.subject.threat))

    @property
    def cells(self) -> dict[str, int]:
        """The attacks' names and the rows of their cells."""
        key = (self.subject.model, self.subject.data, self.subject.threat)
        query = "SELECT attack, id FROM cell WHERE model = ? AND data = ? AND threat = ? ORDER BY id"
        return {str(name): int(cell) for name, cell in self.store.connection.execute(query, key)}

    @property
    def attacks(self) -> list[str]:
        """The attacks' names, in the order in which they were run."""
        return list(self.cells)

    def settings(self, name: str) -> Any:
        """Return every setting of an attack, as the record describes it."""
        row = self.store.connection.execute("SELECT settings FROM cell WHERE id = ?", (self._cell(name),)).fetchone()
        return json.loads(row[0])

    def _cell(self, name: str) -> int:
        cells = self.cells
        if name not in cells:
            raise unknown("attack", name, cells)
        return cells[name]

    def column(self, name: str, column: str) -> NDArray[Any]:
        """Return one column of an attack's outcomes, over the images (None becomes NaN)."""
        if column not in COLUMNS:
            raise unknown("column", column, COLUMNS)
        query = f"SELECT {column} FROM outcome WHERE cell = ? ORDER BY image"
        rows = self.store.connection.execute(query, (self._cell(name),))
        return np.array([np.nan if value is None else value for (value,) in rows])

    def outcomes(self, name: str) -> list[Outcome]:
        """Return an attack's outcomes, one an image."""
        query = f"SELECT {', '.join(COLUMNS)} FROM outcome WHERE cell = ? ORDER BY image"
        rows = self.store.connection.execute(query, (self._cell(name),))
        return [Outcome(**{**dict(zip(COLUMNS, row, strict=True)), "inside": bool(row[-1])}) for row in rows]

    @property
    def indices(self) -> NDArray[np.int64]:
        """The indices of the images in their data set, ascending: those that every attack has seen."""
        seen = [set(self.column(name, "image").astype(int).tolist()) for name in self.attacks]
        return np.array(sorted(set.intersection(*seen)) if seen else [], dtype=np.int64)

    @property
    def images(self) -> int:
        """How many images the evaluation is of."""
        query = f"SELECT max(images) FROM cell WHERE id IN ({', '.join(map(str, self.cells.values()))})"
        return int(self.store.connection.execute(query).fetchone()[0] or 0)

    @property
    def clean(self) -> float:
        """Accuracy on the clean images, from 0 to 1."""
        if not self.attacks:
            return float("nan")
        name = max(self.attacks, key=lambda attack: len(self.column(attack, "image")))
        return _mean(self.column(name, "clean_prediction") == self.column(name, "label"))

    def broken(self, name: str) -> NDArray[np.bool_]:
        """Return for each image whether an attack broke it; an image that was wrong from the start is broken."""
        label = self.column(name, "label")
        fooled = (self.column(name, "prediction") != label) & (self.column(name, "inside") == 1)
        return np.asarray(fooled | (self.column(name, "clean_prediction") != label), dtype=np.bool_)

    def robust(self, name: str) -> float:
        """Return the robust accuracy under one attack, from 0 to 1."""
        return _mean(~self.broken(name))

    @property
    def survivors(self) -> NDArray[np.bool_]:
        """Whether each image withstood every attack that was tried on it (over `indices`)."""
        indices, alive = self.indices, np.ones(len(self.indices), dtype=np.bool_)
        for name in self.attacks:
            seen = np.isin(self.column(name, "image").astype(int), indices)
            alive &= ~self.broken(name)[seen]
        return alive

    @property
    def worst_case(self) -> float:
        """Share of the images that are classified correctly and that no attack broke, from 0 to 1."""
        return _mean(self.survivors)

    @property
    def ordinary(self) -> str | None:
        """The name of plain PGD among the attacks: `pgd`, else `pgd` with settings in brackets; None if not run."""
        plain = [name for name in self.attacks if name == "pgd" or name.startswith("pgd[")]
        return min(plain, key=len, default=None)

    @property
    def masking_gap(self) -> float | None:
        """Robust accuracy under plain PGD minus the worst case; None where it was not run."""
        return None if self.ordinary is None else self.robust(self.ordinary) - self.worst_case

    @property
    def codes(self) -> dict[str, str]:
        """The flags: code to sentence."""
        return self.store.flags_of(self.subject)

    @property
    def flags(self) -> list[str]:
        """What to know before trusting the numbers, each as `code: sentence`."""
        return [f"{code}: {sentence}" for code, sentence in self.codes.items()]

    @property
    def finished(self) -> bool:
        """Whether the run said that it ended, and every attack has seen every image."""
        return self.store.finished and self.complete

    @property
    def complete(self) -> bool:
        """Whether every attack has seen every image."""
        query = "SELECT count(*) FROM outcome WHERE cell = ?"
        cells = self.cells.values()
        counts = [self.store.connection.execute(query, (cell,)).fetchone()[0] for cell in cells]
        return bool(counts) and all(count == self.images for count in counts)

    def summary(self) -> dict[str, Any]:
        """Return the numbers as `quantattack show --json` prints them."""
        return {
            "model": self.subject.model,
            "data": self.subject.data,
            "threat": self.threat,
            "images": self.images,
            "clean": _known(self.clean),
            "attacks": {name: _known(self.robust(name)) for name in self.attacks},
            "worst_case": _known(self.worst_case),
            "masking_gap": _known(self.masking_gap),
            "flags": self.flags,
            "finished": self.finished,
        }


def _known(number: float | None) -> float | None:
    """Return None for a share of no images: JSON has no NaN."""
    return None if number is None or np.isnan(number) else number


def _mean(values: NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
