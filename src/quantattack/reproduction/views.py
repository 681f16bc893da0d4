"""A plan's tables with published and measured numbers side by side, for the terminal and the page."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import zip_longest

from quantattack.report.reproduction import Absence, Comparison, Entry, Line, View
from quantattack.reproduction.numbers import Number
from quantattack.reproduction.paper import Column, Item, Row, label
from quantattack.reproduction.plan import Missing, Plan
from quantattack.reproduction.read import Reader, Side
from quantattack.reproduction.settings import settings_words

RECORD_PAGE = "record.html"


def keep_missing(plan: Plan, missing: Sequence[Missing]) -> None:
    """Write the list of cells that were not run, replacing the earlier entries of the plan's items."""
    path = plan.not_run
    merged = [cell for cell in read_missing(plan) if cell.item not in plan.items] + list(missing)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(cell) for cell in sorted(merged, key=lambda cell: (cell.item, cell.row, cell.cell))]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def read_missing(plan: Plan) -> list[Missing]:
    """Read the list of a paper's cells that were not run; empty if there is no such file."""
    if not plan.not_run.is_file():
        return []
    return [Missing(**row) for row in json.loads(plan.not_run.read_text(encoding="utf-8"))]


def views(reader: Reader, keys: Iterable[str] | None = None) -> list[View]:
    """Return the views of the items with these keys, or of all the plan's items."""
    missing = read_missing(reader.plan)
    return [view(reader, key, [cell for cell in missing if cell.item == key]) for key in keys or reader.plan.items]


def view(reader: Reader, key: str, missing: Sequence[Missing] = ()) -> View:
    """Return the view of one item: its rows, paired comparisons, missing cells and run time."""
    item = reader.plan.paper.items[key]
    all_rows = reader.plan.rows_of(key)
    rows = [row for row in all_rows if row.published or reader.records(row.role).stores] or all_rows
    columns = [column for column in item.columns if _shown(reader, item, rows, column)]
    return View(
        paper=reader.plan.paper.key,
        key=key,
        title=item.title,
        note=item.note,
        headers=tuple(column.header for column in columns),
        lines=tuple(_line(reader, item, row, columns) for row in rows),
        comparisons=tuple(_comparisons(reader, item, rows)),
        absences=tuple(Absence(cell.row, cell.cell, cell.why, cell.command) for cell in missing),
        seconds=reader.seconds(rows, columns),
        settings=settings_words(reader, key),
    )


def _shown(reader: Reader, item: Item, rows: Sequence[Row], column: Column) -> bool:
    """Return whether a column has a number, published or measured, in any row."""
    index = item.columns.index(column)
    published = any(len(row.published) > index and row.published[index] is not None for row in rows)
    return published or any(reader.number(row.role, column) is not None for row in rows)


def _line(reader: Reader, item: Item, row: Row, columns: Sequence[Column]) -> Line:
    published = dict(zip_longest(item.columns, row.published[: len(item.columns)]))
    shared = reader.shared(row.role, item.columns)
    entries = tuple(_entry(reader, row, column, published[column], shared) for column in columns)
    return Line(
        label=row.role.label,
        network=reader.plan.network(row.role) or "",
        entries=entries,
        published_for=row.published_for,
        flags=_flags(reader, row, columns),
    )


def _flags(reader: Reader, row: Row, columns: Sequence[Column]) -> dict[str, str]:
    """Return the warnings of the records that a row's numbers are from, code to sentences."""
    sentences: dict[str, list[str]] = {}
    cells = [cell for column in columns if column.how != "signal" for cell in reader.cells(row.role, column)]
    for record in {id(record): record for record, _ in cells}.values():  # each asks its file once
        for code, sentence in record.codes.items():
            sentences.setdefault(code, []).append(sentence)
    return {code: ". ".join(dict.fromkeys(said)) for code, said in sentences.items()}


def _entry(reader: Reader, row: Row, column: Column, value: float | int | None, shared: int | None) -> Entry:
    number = reader.number(row.role, column, shared)
    is_accuracy = column.how != "signal"
    published = "" if value is None else f"{value:.2f}" if is_accuracy else f"{value:.3g}"
    if number is None:
        return Entry(published, quoted=column.how == "quoted")
    measured = f"{100 * number.value:.1f}" if is_accuracy else f"{number.value:.3g}"
    low, high = number.interval or (0.0, 0.0)
    interval = f"{100 * low:.1f} to {100 * high:.1f}" if number.interval else ""
    return Entry(published, measured, interval, _link(reader, number), number.images)


def _link(reader: Reader, number: Number) -> str:
    folder = number.store.relative_to(reader.plan.out)
    return f"{folder.as_posix()}/{RECORD_PAGE}#{number.anchor}"


def _comparisons(reader: Reader, item: Item, rows: Sequence[Row]) -> Iterable[Comparison]:
    multiples = sorted({column.times for column in item.columns if column.norm == "Linf"} | {1.0})
    for row in rows:
        for first, second in item.pairs:
            for times in multiples:
                pair = reader.pair(row.role, Side(first, times), Side(second, times), item.steps)
                if pair is not None:
                    where = f", {times:g} times the radius" if times != 1 else ""
                    words = f"{label(item, first)} against {label(item, second)}{where}"
                    yield Comparison(row.role.label, words, pair.first, pair.second, pair.images, pair.p)
