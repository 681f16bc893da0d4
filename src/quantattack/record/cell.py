"""One attack's outcomes as a NumPy array, read once, and the numbers over such arrays."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantattack.record.checksums import NO_STEP, Sum, read_sum, snapshot, stored, sum_of
from quantattack.record.file import reading
from quantattack.record.outcome import COLUMNS, Outcome, Subject

Table: TypeAlias = NDArray[Any]  # of `DTYPE`: the type checkers know no fields
_OBJECTS = np.dtype([(name, object) for name in COLUMNS])


@dataclass(frozen=True, eq=False)
class Cell:
    """One attack on the images of one model, data set and threat.

    Arguments:
        connection: The file that the outcomes are read from on first access.
        row: The cell's id in the `cell` table.
        attack: Name of the attack.
        settings: The attack's settings, as JSON.
        images: Number of images that the whole evaluation covers.
        kept: The checksum that the file keeps of the outcomes; None in records from before there were any.
    """

    connection: sqlite3.Connection
    row: int
    attack: str
    settings: str
    images: int
    kept: Sum | None = None

    @cached_property
    def outcomes(self) -> Table:
        """The outcomes, ascending by image, one field a column; a margin of None is NaN, a step of None is -1."""
        with reading(self.connection):
            outcomes = stored(self.connection, self.row)
            if self.kept is not None and self.kept != sum_of(outcomes):
                outcomes = self._checked_again()
        outcomes.flags.writeable = False
        return outcomes

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each clean image is classified correctly."""
        return np.asarray(self.outcomes["clean_prediction"] == self.outcomes["label"], dtype=np.bool_)

    @property
    def broken(self) -> NDArray[np.bool_]:
        """Whether the attack broke each image; an image that was wrong from the start is broken.

        An attack toward a class breaks the images that end as that class.
        """
        predicted, targets = self.outcomes["prediction"], self.targets
        missed = predicted != self.outcomes["label"] if targets is None else predicted == targets
        fooled = missed & self.outcomes["inside"]
        return np.asarray(fooled | ~self.right, dtype=np.bool_)

    @property
    def broken_itself(self) -> NDArray[np.bool_]:
        """Whether the attack itself broke each image: without those that it took over from earlier ones, at no cost."""
        spent = sum(self.column(name) for name in ("forwards", "backwards", "seconds"))
        itself: NDArray[np.bool_] = self.broken & self.right & (spent > 0)
        return itself

    @property
    def takes_over(self) -> bool:
        """Whether some of its outcomes are those of earlier attacks."""
        return bool((self.broken & self.right & ~self.broken_itself).any())

    def _checked_again(self) -> Table:
        """Read the outcomes and their checksum at one moment: another process may have written between the two."""
        with snapshot(self.connection):
            outcomes, kept = stored(self.connection, self.row), read_sum(self.connection, self.row)
        if kept != sum_of(outcomes):
            raise ValueError(f"the outcomes of {self.attack} are others than were written")
        return outcomes

    @property
    def done(self) -> int:
        """Number of images that have an outcome."""
        return len(self.outcomes)

    @property
    def complete(self) -> bool:
        """Whether every image has an outcome.  Those of an unfinished attack are no sample of the images."""
        return self.done == self.images

    @property
    def targets(self) -> NDArray[np.int64] | None:
        """The class that the attack is to reach, for each image; None where any wrong class counts."""
        settings = json.loads(self.settings)
        if not isinstance(settings, dict) or settings.get("part") != "Toward":
            return None
        wanted = settings["targets"]
        return np.array([wanted.get(str(image), NO_STEP) for image in self.outcomes["image"]], dtype=np.int64)

    @property
    def certifies(self) -> bool:
        """Whether the attack searches completely, so that the images that it leaves may be proved."""
        settings = json.loads(self.settings)
        return isinstance(settings, dict) and settings.get("part") == "Exact"

    @property
    def robust(self) -> float:
        """The robust accuracy under the attack, from 0 to 1; NaN until every image has an outcome."""
        return share(~self.broken) if self.complete else float("nan")

    @property
    def steps(self) -> NDArray[np.float64]:
        """The first iterate that fooled the model, for each image; NaN where none is known."""
        steps = self.outcomes["step"]
        return np.asarray(np.where(steps == NO_STEP, np.nan, steps), dtype=np.float64)

    def column(self, name: str) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return one column over the images: integers, or floats with NaN for None."""
        if name == "step" and np.any(self.outcomes["step"] == NO_STEP):
            return self.steps
        values: NDArray[np.int64] | NDArray[np.float64] = self.outcomes[name].copy()
        return values.astype(np.int64) if name == "inside" else values

    def rows(self) -> list[Outcome]:
        """Return one outcome per image."""
        table = self.outcomes.astype(_OBJECTS)
        table["margin"][np.isnan(self.outcomes["margin"])] = None
        table["step"][self.outcomes["step"] == NO_STEP] = None
        return [Outcome(*row) for row in table.tolist()]

    def places(self, images: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the positions in this cell's arrays of the images with the given data set indices."""
        return np.asarray(np.searchsorted(self.outcomes["image"], images), dtype=np.int64)


def read_cells(connection: sqlite3.Connection, subject: Subject) -> dict[str, Cell]:
    """Return a subject's cells by the names of their attacks, in the order in which the attacks were run."""
    where = "model = ? AND data = ? AND threat = ?"
    columns, key = "cell.id, attack, settings, images", (subject.model, subject.data, subject.threat)
    with reading(connection):
        try:
            query = f"SELECT {columns}, outcomes, total FROM cell LEFT JOIN checksum ON cell = cell.id"
            rows = connection.execute(f"{query} WHERE {where} ORDER BY cell.id", key).fetchall()
        except sqlite3.OperationalError:  # from before there were checksums
            query = f"SELECT {columns}, NULL, NULL FROM cell WHERE {where} ORDER BY cell.id"
            rows = connection.execute(query, key).fetchall()
        sums = [None if row[5] is None else Sum(int(row[4]), int(row[5], 16)) for row in rows]
    return {
        row[1]: Cell(connection, row[0], row[1], row[2], row[3], kept) for row, kept in zip(rows, sums, strict=True)
    }


def common_images(cells: Iterable[Cell]) -> NDArray[np.int64]:
    """Return the indices, ascending, of the images that every given attack has been run on."""
    seen = [cell.outcomes["image"] for cell in cells]
    if not seen:
        return np.zeros(0, dtype=np.int64)
    return reduce(_common, seen).copy()


def _common(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    return first if np.array_equal(first, second) else np.intersect1d(first, second, assume_unique=True)


def broken_matrix(cells: Mapping[str, Cell]) -> NDArray[np.bool_]:
    """Return whether each attack (row) broke each image (column), over the images common to all attacks."""
    images = common_images(cells.values())
    rows = [cell.broken[cell.places(images)] for cell in cells.values()]
    return np.array(rows, dtype=np.bool_).reshape(len(rows), len(images))


def survivors(cells: Mapping[str, Cell]) -> NDArray[np.bool_]:
    """Return whether each image common to all attacks is classified correctly and withstood all of them."""
    return np.asarray(~broken_matrix(cells).any(axis=0), dtype=np.bool_)


def first_complete(cells: Mapping[str, Cell]) -> Cell | None:
    """Return the first cell in which every image has an outcome; None if there is none."""
    return next((cell for cell in cells.values() if cell.complete), None)


def clean_accuracy(cells: Mapping[str, Cell]) -> float:
    """Return the clean accuracy, from 0 to 1; NaN until an attack has been run on every image."""
    cell = first_complete(cells)
    return float("nan") if cell is None else share(cell.right)


def worst_case(cells: Mapping[str, Cell]) -> float:
    """Return the share of images that withstood all attacks, from 0 to 1; NaN until each has been run on every image.

    Outcomes of an unfinished attack are no sample of the images: those that are wrong from the start are written first.
    """
    return share(survivors(cells)) if is_complete(cells) else float("nan")


def at_most(cells: Mapping[str, Cell]) -> float:
    """Return the largest worst case that the outcomes so far leave possible; NaN where attacks cover other images."""
    counts = {cell.images for cell in cells.values()}
    if len(counts) != 1 or counts == {0}:
        return float("nan")
    lost = reduce(np.union1d, [cell.outcomes["image"][cell.broken] for cell in cells.values()])
    count = counts.pop()
    return (count - len(lost)) / count  # not 1 - lost / count, which may be an ulp below the same share


def plain_pgd(names: Iterable[str]) -> str | None:
    """Return the name of plain PGD: `pgd`, else the shortest name of the form `pgd[...]`; None without one."""
    plain = [name for name in names if name == "pgd" or name.startswith("pgd[")]
    return min(plain, key=len, default=None)


def masking_gap(cells: Mapping[str, Cell]) -> float | None:
    """Return robust accuracy under plain PGD minus the worst case; None without PGD, or until all is complete."""
    name = plain_pgd(cells)
    if name is None or not is_complete(cells):
        return None
    return share(~cells[name].broken[cells[name].places(common_images(cells.values()))]) - worst_case(cells)


def image_count(cells: Mapping[str, Cell]) -> int:
    """Return the number of images that the whole evaluation covers, attacked yet or not."""
    return max((cell.images for cell in cells.values()), default=0)


def is_complete(cells: Mapping[str, Cell]) -> bool:
    """Return whether there are attacks and each has been run on every image that it is to be run on."""
    return bool(cells) and all(cell.complete for cell in cells.values())


def share(values: NDArray[np.bool_]) -> float:
    """Return the fraction of values that are true, from 0 to 1; NaN if there are none."""
    return float(np.mean(values)) if len(values) else float("nan")
