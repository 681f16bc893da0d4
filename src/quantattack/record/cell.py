"""One attack's outcomes as a NumPy array, read once, and the numbers over such arrays."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantattack.record.outcome import COLUMNS, Outcome, Subject

Table: TypeAlias = NDArray[Any]  # of `DTYPE`: the type checkers know no fields
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
    """

    connection: sqlite3.Connection
    row: int
    attack: str
    settings: str
    images: int

    @cached_property
    def outcomes(self) -> Table:
        """The outcomes, ascending by image, one field a column; a margin of None is NaN, a step of None is -1."""
        columns = ", ".join(f"ifnull(step, {NO_STEP})" if name == "step" else name for name in COLUMNS)
        rows = self.connection.execute(f"SELECT {columns} FROM outcome WHERE cell = ? ORDER BY image", (self.row,))
        outcomes = np.fromiter(rows, DTYPE)
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
    def targets(self) -> NDArray[np.int64] | None:
        """The class that the attack is to reach, for each image; None where any wrong class counts."""
        settings = json.loads(self.settings)
        if not isinstance(settings, dict) or settings.get("part") != "Toward":
            return None
        wanted = settings["targets"]
        return np.array([wanted.get(str(image), NO_STEP) for image in self.outcomes["image"]], dtype=np.int64)

    @property
    def robust(self) -> float:
        """The robust accuracy under the attack, from 0 to 1; NaN if there are no images."""
        return share(~self.broken)

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
    query = f"SELECT id, attack, settings, images FROM cell WHERE {where} ORDER BY id"
    rows = connection.execute(query, (subject.model, subject.data, subject.threat))
    return {row[1]: Cell(connection, *row) for row in rows}


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


def most_seen(cells: Mapping[str, Cell]) -> Cell | None:
    """Return the cell with the most outcomes, the first in a tie; None if there are no cells."""
    return max(cells.values(), key=lambda cell: len(cell.outcomes), default=None)


def clean_accuracy(cells: Mapping[str, Cell]) -> float:
    """Return the clean accuracy over the cell with the most outcomes, from 0 to 1; NaN without images."""
    cell = most_seen(cells)
    return float("nan") if cell is None else share(cell.right)


def plain_pgd(names: Iterable[str]) -> str | None:
    """Return the name of plain PGD: `pgd`, else the shortest name of the form `pgd[...]`; None without one."""
    plain = [name for name in names if name == "pgd" or name.startswith("pgd[")]
    return min(plain, key=len, default=None)


def masking_gap(cells: Mapping[str, Cell]) -> float | None:
    """Return robust accuracy under plain PGD minus the worst case; None if plain PGD was not run."""
    name = plain_pgd(cells)
    return None if name is None else cells[name].robust - share(survivors(cells))


def image_count(cells: Mapping[str, Cell]) -> int:
    """Return the number of images that the whole evaluation covers, attacked yet or not."""
    return max((cell.images for cell in cells.values()), default=0)


def is_complete(cells: Mapping[str, Cell]) -> bool:
    """Return whether there are attacks and each has been run on every image."""
    images = image_count(cells)
    return bool(cells) and all(len(cell.outcomes) == images for cell in cells.values())


def share(values: NDArray[np.bool_]) -> float:
    """Return the fraction of values that are true, from 0 to 1; NaN if there are none."""
    return float(np.mean(values)) if len(values) else float("nan")
