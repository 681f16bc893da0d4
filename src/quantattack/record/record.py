"""A read-only view of a store: all numbers of one model on one data set under one threat."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.errors import InputError, unknown, warn_renamed
from quantattack.record import cell as over
from quantattack.record.bounds import OPEN, PROVED, VERDICTS, Bound, read_bounds
from quantattack.record.cell import Cell
from quantattack.record.file import reading
from quantattack.record.outcome import COLUMNS, Outcome, Subject
from quantattack.record.parsing import parsed
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
        self._planned: list[str] = []

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
            self._planned = self.store.planned(self.subject)
            self._version = version
        return self._cells

    def _missing(self, cells: Mapping[str, Cell]) -> list[str]:
        """Return the attacks that the run's settings name and that have not begun."""
        return [name for name in self._planned if name not in cells]

    def _is_complete(self, cells: Mapping[str, Cell]) -> bool:
        return over.is_complete(cells) and not self._missing(cells)

    def _cell(self, name: str) -> Cell:
        cells = self.by_attack
        if name not in cells:
            raise unknown("attack", name, cells)
        return cells[name]

    @property
    def threat(self) -> dict[str, Any]:
        """The threat's description: norm, radius, low, high."""
        with reading(self.store.connection):
            return parsed(self.subject.threat, dict, finite=False)

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
        cell = self._cell(name)
        with reading(self.store.connection):
            return parsed(f"[{cell.settings}]", list, finite=False)[0]

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
        """Accuracy on the clean images, from 0 to 1; NaN until an attack has been run on every image."""
        return over.clean_accuracy(self.by_attack)

    def broken(self, name: str) -> NDArray[np.bool_]:
        """Return for each image whether an attack broke it; an image that was wrong from the start is broken."""
        return self._cell(name).broken

    def robust(self, name: str) -> float:
        """Return the robust accuracy under one attack, from 0 to 1; NaN until it has been run on every image."""
        return self._cell(name).robust

    @property
    def survivors(self) -> NDArray[np.bool_]:
        """Whether each image of `indices` is classified correctly and withstood every attack."""
        return over.survivors(self.by_attack)

    @property
    def worst_case(self) -> float:
        """Share of the images that are classified correctly and that no attack broke, from 0 to 1.

        NaN until every attack of the run has been run on every image; `at_most` bounds it from above.
        """
        cells = self.by_attack
        return over.worst_case(cells) if self._is_complete(cells) else float("nan")

    @property
    def bounds(self) -> dict[int, Bound]:
        """What a complete search says of each image that the other attacks left, by the image's index."""
        found: dict[int, Bound] = {}
        for cell in self.by_attack.values():
            for bound in read_bounds(self.store.connection, cell.row) if cell.certifies else ():
                if found.get(bound.image, bound).verdict == OPEN or bound.image not in found:
                    found[bound.image] = bound
        return found

    @property
    def proved(self) -> NDArray[np.bool_]:
        """Whether it is proved of each image of `indices` that nothing inside the threat breaks it."""
        proved = [image for image, bound in self.bounds.items() if bound.verdict == PROVED]
        return np.isin(self.indices, proved)

    @property
    def bracket(self) -> tuple[float, float] | None:
        """Robust accuracy from both sides: the share proved, and the worst case; None without a complete search.

        NaN until every attack of the run has been run on every image.
        """
        if not any(cell.certifies for cell in self.by_attack.values()):
            return None
        return (over.share(self.proved) if self.complete else float("nan")), self.worst_case

    @property
    def at_most(self) -> float:
        """The largest worst case that is still possible, from 0 to 1: what is broken so far stays broken."""
        return over.at_most(self.by_attack)

    @property
    def done(self) -> dict[str, int]:
        """How many images each attack of the run has an outcome of; 0 for an attack that has not begun."""
        return self._done(self.by_attack)

    def _done(self, cells: Mapping[str, Cell]) -> dict[str, int]:
        return {name: cell.done for name, cell in cells.items()} | dict.fromkeys(self._missing(cells), 0)

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
        """Robust accuracy under plain PGD minus the worst case; None without PGD, or until all is complete."""
        cells = self.by_attack
        return over.masking_gap(cells) if self._is_complete(cells) else None

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
        """Whether every attack of the run has been run on every image."""
        return self._is_complete(self.by_attack)

    def summary(self) -> dict[str, Any]:
        """Return the numbers as `quantattack show --json` prints them; None until they are complete."""
        cells = self.by_attack
        done, complete = self._done(cells), self._is_complete(cells)
        return {
            "model": self.subject.model,
            "data": self.subject.data,
            "threat": self.threat,
            "images": over.image_count(cells),
            "clean": _known(over.clean_accuracy(cells)),
            "attacks": {name: _known(cells[name].robust) if name in cells else None for name in done},
            "done": done,
            "worst_case": _known(over.worst_case(cells)) if complete else None,
            "masking_gap": _known(over.masking_gap(cells)) if complete else None,
            **self._from_below(cells),
            "flags": self.flags,
            "finished": self.store.finished and complete,
        }

    def _from_below(self, cells: Mapping[str, Cell]) -> dict[str, Any]:
        """Return what a complete search adds to the summary; nothing where there was none."""
        if not any(cell.certifies for cell in cells.values()) or self.bracket is None:
            return {}
        counts = Counter(bound.verdict for bound in self.bounds.values())
        return {
            "proved": _known(self.bracket[0]),
            "bracket": [_known(end) for end in self.bracket],
            "bounds": {verdict: counts[verdict] for verdict in VERDICTS},
        }


def _known(number: float | None) -> float | None:
    """Replace NaN, a share that is not known, by None, since JSON has no NaN."""
    return None if number is None or np.isnan(number) else number


def records_of(store: RecordFile) -> list[Record]:
    """Return a view of each model, data set and threat that a run holds, in the order in which they were run."""
    return [Record(store, subject) for subject in store.subjects()]
