"""A record's outcomes as a table for other programs: CSV, or Parquet where pyarrow is installed."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quantattack.errors import InputError, unknown
from quantattack.record.outcome import COLUMNS
from quantattack.record.store import Store

SUFFIXES = (".csv", ".parquet")
NAMES = ("model", "data", "threat", "attack", *COLUMNS)
_ROWS = 10_000  # per block, to bound memory


def export(folder: Path | str, file: Path | str) -> int:
    """Write one row for each image and attack, and return the number of rows.

    Arguments:
        folder: The record's folder.
        file: Where to write; the suffix, `.csv` or `.parquet`, selects the format.

    Raises:
        InputError: If there is no record, the suffix is another one, or the file cannot be written.
    """
    path, store = Path(file), Store.load(folder)
    if path.suffix not in SUFFIXES:
        raise unknown("kind of table", path.suffix, SUFFIXES)
    try:
        return (_csv if path.suffix == ".csv" else _parquet)(store, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; choose another --out") from None
    finally:
        store.close()


def _blocks(store: Store) -> Iterator[list[tuple[Any, ...]]]:
    columns = ", ".join(f"outcome.{name}" for name in COLUMNS)
    query = f"SELECT model, data, threat, attack, {columns} FROM outcome JOIN cell ON id = cell ORDER BY cell, image"
    rows = store.connection.execute(query)
    while block := rows.fetchmany(_ROWS):
        yield block


def _csv(store: Store, path: Path) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(NAMES)
        for block in _blocks(store):
            table.writerows(block)
            count += len(block)
    return count


def _parquet(store: Store, path: Path) -> int:
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
        for block in _blocks(store):
            columns = dict(zip(NAMES, map(list, zip(*block, strict=True)), strict=True))
            table.write_table(arrow.table(columns, schema))
            count += len(block)
    return count
