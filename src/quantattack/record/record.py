"""A read-only view of a store: all numbers of one model on one data set under one threat."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.errors import InputError, unknown, warn_renamed
from quantattack.record import cell as over
from quantattack.record.cell import Cell, share
from quantattack.record.outcome import COLUMNS, Outcome, Subject
from quantattack.record.record_file import RecordFile

MASKED = 0.10  # gap between an attack's robust accuracy and the worst case from which masking is flagged


class Record:
    """The results of one model on one data set under one threat, for each image and attack.

    Arrays are in the order of the images' indices in the data set.  Outcomes are cached and read
    again only after the file has changed.

    Arguments:
        store: The file (or memory) that holds the outcomes.
        subject: The model, data set and threat to view.

    """

    def __init__(self, store: RecordFile, subject: Subject) -> None:
        self.store, self.subject = store, subject
        self._version: tuple[int, int] | None = None
        self._cells: dict[str, Cell] = {}

    @classmethod
    def load(cls, folder: Path | str) -> "Record":
        """Open the record in a folder that holds a single model, data set and threat.

        Raises:
            InputError: If there is none, or several: then use `Store.load(folder).records()`.

        """
        store = RecordFile.load(folder)
        subjects = store.subjects()
        if len(subjects) != 1:
            raise InputError(f"{folder} holds {len(subjects)} evaluations; read them with Store.load(...).records()")
        return cls(store, subjects[0])

    def __repr__(self) -> str:
        rates = ", ".join(f"{name}={cell.robust:.3f}" for name, cell in self.by_attack.items())
        return f"Record({self.subject.model!r}, clean={self.clean:.3f}, {rates}, worst_case={self.worst_case:.3f})"

    @property
    def by_attack(self) -> Mapping[str, Cell]:
        """The outcomes of each attack as one array, in the order in which the attacks were run.

        The mapping is a snapshot: access the property again after a write.
        """
        version = self.store.version
        if version != self._version:
            self._cells = over.read_cells(self.store.connection, self.subject)
            self._version = version
        return self._cells

    def _cell(self, name: str) -> Cell:
        cells = self.by_attack
        if name not in cells:
            raise unknown("attack", name, cells)
        return cells[name]

    @property
    def threat(self) -> dict[str, Any]:
        """The threat's description: norm, radius, low, high."""
        return dict(json.loads(self.subject.threat))

    @property
    def cells(self) -> dict[str, int]:
        """The id of each attack's row in the `cell` table, by the attack's name."""
        return {name: cell.row for name, cell in self.by_attack.items()}

    @property
    def attacks(self) -> list[str]:
        """The attacks' names, in the order in which they were run."""
        return list(self.by_attack)

    def settings(self, name: str) -> Any:
        """Return every setting of an attack, as the record describes it."""
        return json.loads(self._cell(name).settings)

    def column(self, name: str, column: str) -> NDArray[Any]:
        """Return one column of an attack's outcomes, over the images (None becomes NaN)."""
        if column not in COLUMNS:
            raise unknown("column", column, COLUMNS)
        return self._cell(name).column(column)

    def outcomes(self, name: str) -> list[Outcome]:
        """Return an attack's outcomes, one per image."""
        return self._cell(name).rows()

    @property
    def indices(self) -> NDArray[np.int64]:
        """The indices of the images in their data set, ascending, of the images that every attack has been run on."""
        return over.common_images(self.by_attack.values())

    @property
    def images(self) -> int:
        """Number of images that the whole evaluation covers, whether or not they have been attacked yet."""
        return over.image_count(self.by_attack)

    @property
    def clean(self) -> float:
        """Accuracy on the clean images, from 0 to 1."""
        return over.clean_accuracy(self.by_attack)

    def broken(self, name: str) -> NDArray[np.bool_]:
        """Return for each image whether an attack broke it; an image that was wrong from the start is broken."""
        return self._cell(name).broken

    def robust(self, name: str) -> float:
        """Return the robust accuracy under one attack, from 0 to 1."""
        return self._cell(name).robust

    @property
    def survivors(self) -> NDArray[np.bool_]:
        """Whether each image of `indices` is classified correctly and withstood every attack."""
        return over.survivors(self.by_attack)

    @property
    def worst_case(self) -> float:
        """Share of the images that are classified correctly and that no attack broke, from 0 to 1."""
        return share(self.survivors)

    @property
    def plain_pgd(self) -> str | None:
        """The name of plain PGD among the attacks: `pgd`, else `pgd` with settings in brackets; None if not run."""
        return over.plain_pgd(self.by_attack)

    @property
    def ordinary(self) -> str | None:
        """The former name of `plain_pgd`."""
        warn_renamed("Record.ordinary", "Record.plain_pgd")
        return self.plain_pgd

    @property
    def masking_gap(self) -> float | None:
        """Robust accuracy under plain PGD minus the worst case; None if plain PGD was not run."""
        return over.masking_gap(self.by_attack)

    @property
    def codes(self) -> dict[str, str]:
        """The warning flags, as a mapping from code to sentence."""
        return self.store.flags_of(self.subject)

    @property
    def flags(self) -> list[str]:
        """What to know before trusting the numbers, each as `code: sentence`."""
        return [f"{code}: {sentence}" for code, sentence in self.codes.items()]

    @property
    def finished(self) -> bool:
        """Whether the run was marked as finished and every attack has been run on every image."""
        return self.store.finished and self.complete

    @property
    def complete(self) -> bool:
        """Whether every attack has been run on every image."""
        return over.is_complete(self.by_attack)

    def summary(self) -> dict[str, Any]:
        """Return the numbers as `quantattack show --json` prints them."""
        cells = self.by_attack
        return {
            "model": self.subject.model,
            "data": self.subject.data,
            "threat": self.threat,
            "images": over.image_count(cells),
            "clean": _known(over.clean_accuracy(cells)),
            "attacks": {name: _known(cell.robust) for name, cell in cells.items()},
            "worst_case": _known(share(over.survivors(cells))),
            "masking_gap": _known(over.masking_gap(cells)),
            "flags": self.flags,
            "finished": self.store.finished and over.is_complete(cells),
        }


def _known(number: float | None) -> float | None:
    """Replace NaN, the share of zero images, by None, since JSON has no NaN."""
    return None if number is None or np.isnan(number) else number


def records_of(store: RecordFile) -> list[Record]:
    """Return a view of each model, data set and threat that a run holds, in the order in which they were run."""
    return [Record(store, subject) for subject in store.subjects()]
