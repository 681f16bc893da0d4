"""A record's outcomes as a table for other programs: CSV, or Parquet where pyarrow is installed."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from quantattack.errors import InputError, unknown
from quantattack.record.cell import Cell
from quantattack.record.file import reading
from quantattack.record.outcome import COLUMNS, values_of
from quantattack.record.store import Store
from quantattack.record.writing import written_whole

SUFFIXES = (".csv", ".parquet")
NAMES = ("model", "data", "threat", "attack", *COLUMNS)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ROWS = 10_000  # per block, to bound memory


def export(folder: Path | str, file: Path | str, unfinished: bool = False) -> int:
    """Write one row for each image and attack, and return the number of rows.

    The rows of an unfinished attack are no sample of its images, so they are left out unless they are asked for.

    Arguments:
        folder: The record's folder.
        file: Where to write; the suffix, `.csv` or `.parquet`, selects the format.
        unfinished: Whether to write the rows of unfinished attacks too.

    Raises:
        InputError: If there is no record, the suffix is another one, or the file cannot be written.
    """
    path, store = Path(file), Store.load(folder)
    if path.suffix not in SUFFIXES:
        raise unknown("kind of table", path.suffix, SUFFIXES)
    write = _csv if path.suffix == ".csv" else _parquet
    try:
        cells = [cell for record in store.records() for cell in record.by_attack.values()]
        written = [cell for cell in cells if cell.complete or unfinished]
        with written_whole(path) as part:
            return write(_blocks(store, written), part)
    finally:
        store.close()


def unfinished_attacks(folder: Path | str) -> list[str]:
    """Return a line for each attack of a record that has not been run on every image."""
    store = Store.load(folder)
    cells = [cell for record in store.records() for cell in record.by_attack.values() if not cell.complete]
    store.close()
    return [f"{cell.attack} is unfinished, {cell.done} of {cell.images} images" for cell in cells]


def _blocks(store: Store, cells: Sequence[Cell]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of cells, whose checksums are compared as they are read."""
    subject_of = "SELECT model, data, threat FROM cell WHERE id = ?"
    for cell in cells:
        with reading(store.connection):
            names = (*store.connection.execute(subject_of, (cell.row,)).fetchone(), cell.attack)
        outcomes = cell.rows()
        for first in range(0, len(outcomes), _ROWS):
            yield [(*names, *values_of(outcome)) for outcome in outcomes[first : first + _ROWS]]


def _csv(blocks: Iterable[list[tuple[Any, ...]]], path: Path) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(NAMES)
        for block in blocks:
            table.writerows([*map(_as_text, row[:4]), *_as_numbers(row[4:])] for row in block)
            count += len(block)
    return count


def _as_text(name: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{name}" if name.startswith(_FORMULA) else name


def _as_numbers(values: Iterable[Any]) -> list[Any]:
    return [int(value) if isinstance(value, bool) else value for value in values]


def _parquet(blocks: Iterable[list[tuple[Any, ...]]], path: Path) -> int:
    try:
        import pyarrow as arrow
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        raise InputError("Parquet needs pyarrow: pip install 'quantattack[parquet]'; or write .csv") from None
    text, real = arrow.string(), arrow.float64()
    kinds = dict.fromkeys(NAMES, arrow.int64()) | dict.fromkeys(NAMES[:4], text)
    kinds |= dict.fromkeys(("margin", "size", "forwards", "backwards", "seconds"), real)
    schema, count = arrow.schema(list(kinds.items())), 0
    with ParquetWriter(path, schema) as table:
        for block in blocks:
            values = zip(*([*row[:4], *_as_numbers(row[4:])] for row in block), strict=True)
            columns = dict(zip(NAMES, map(list, values), strict=True))
            table.write_table(arrow.table(columns, schema))
            count += len(block)
    return count
