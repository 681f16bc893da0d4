"""One attack's outcomes as a NumPy array, read once, and the numbers over such arrays."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantattack.record.outcome import COLUMNS, Outcome, Subject

Table: TypeAlias = NDArray[Any]  # of `DTYPE`: the type checkers know no fields
NO_STEP = -1  # an array of whole numbers has no None
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
        connection: The file to read the outcomes from, when they are asked for first.
        row: Number of the cell's row in the file.
        attack: Name of the attack.
        settings: The attack's settings, as JSON.
        images: How many images the evaluation is of.
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
        """Whether the attack broke each image; an image that was wrong from the start is broken."""
        fooled = (self.outcomes["prediction"] != self.outcomes["label"]) & self.outcomes["inside"]
        return np.asarray(fooled | ~self.right, dtype=np.bool_)

    @property
    def robust(self) -> float:
        """The robust accuracy under the attack, from 0 to 1; NaN of no images."""
        return share(~self.broken)

    @property
    def steps(self) -> NDArray[np.float64]:
        """The first iterate that fooled the model, for each image; NaN where none is known."""
        steps = self.outcomes["step"]
        return np.asarray(np.where(steps == NO_STEP, np.nan, steps), dtype=np.float64)

    def column(self, name: str) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return one column over the images: whole numbers as they are, with NaN for None."""
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
        """Return where some of the cell's images, given by their indices, are in its arrays."""
        return np.asarray(np.searchsorted(self.outcomes["image"], images), dtype=np.int64)


def read_cells(connection: sqlite3.Connection, subject: Subject) -> dict[str, Cell]:
    """Return a subject's cells by the names of their attacks, in the order in which the attacks were run."""
    where = "model = ? AND data = ? AND threat = ?"
    query = f"SELECT id, attack, settings, images FROM cell WHERE {where} ORDER BY id"
    rows = connection.execute(query, (subject.model, subject.data, subject.threat))
    return {row[1]: Cell(connection, *row) for row in rows}


def common_images(cells: Iterable[Cell]) -> NDArray[np.int64]:
    """Return the indices of the images that all of some attacks have seen, ascending."""
    seen = [cell.outcomes["image"] for cell in cells]
    if not seen:
        return np.zeros(0, dtype=np.int64)
    return reduce(_common, seen).copy()


def _common(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    return first if np.array_equal(first, second) else np.intersect1d(first, second, assume_unique=True)


def broken_matrix(cells: Mapping[str, Cell]) -> NDArray[np.bool_]:
    """Return which attack (row) broke which image (column), over the images that every attack has seen."""
    images = common_images(cells.values())
    rows = [cell.broken[cell.places(images)] for cell in cells.values()]
    return np.array(rows, dtype=np.bool_).reshape(len(rows), len(images))


def survivors(cells: Mapping[str, Cell]) -> NDArray[np.bool_]:
    """Return whether each image that every attack has seen withstood all of them."""
    return np.asarray(~broken_matrix(cells).any(axis=0), dtype=np.bool_)


def most_seen(cells: Mapping[str, Cell]) -> Cell | None:
    """Return the attack that has seen the most images, the first of equals; None if there is none."""
    return max(cells.values(), key=lambda cell: len(cell.outcomes), default=None)


def clean_accuracy(cells: Mapping[str, Cell]) -> float:
    """Return the accuracy on the clean images, from 0 to 1; NaN of no images."""
    cell = most_seen(cells)
    return float("nan") if cell is None else share(cell.right)


def plain_pgd(names: Iterable[str]) -> str | None:
    """Return the name of plain PGD: `pgd`, else `pgd` with settings in brackets, the shortest; None if not there."""
    plain = [name for name in names if name == "pgd" or name.startswith("pgd[")]
    return min(plain, key=len, default=None)


def masking_gap(cells: Mapping[str, Cell]) -> float | None:
    """Return robust accuracy under plain PGD minus the worst case; None where it was not run."""
    name = plain_pgd(cells)
    return None if name is None else cells[name].robust - share(survivors(cells))


def image_count(cells: Mapping[str, Cell]) -> int:
    """Return how many images the evaluation is of."""
    return max((cell.images for cell in cells.values()), default=0)


def is_complete(cells: Mapping[str, Cell]) -> bool:
    """Return whether every attack has seen every image."""
    images = image_count(cells)
    return bool(cells) and all(len(cell.outcomes) == images for cell in cells.values())


def share(values: NDArray[np.bool_]) -> float:
    """Return the share of the values that are true, from 0 to 1; NaN of none."""
    return float(np.mean(values)) if len(values) else float("nan")
