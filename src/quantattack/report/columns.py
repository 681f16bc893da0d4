"""Tables of a terminal's width: as many columns as fit, names folded at their hyphens, numbers on one line."""

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

Item = TypeVar("Item")
NAME = 22  # letters of a name on a line, above a column


def width_of(table: Table, console: Console) -> int:
    """Return the width that a table takes where nothing is folded."""
    return console.measure(table, options=console.options.update(width=10_000)).maximum


def tables_that_fit(items: Sequence[Item], make: Callable[[Sequence[Item]], Table], console: Console) -> list[Table]:
    """Return one table of all items, or several of as many as fit beside each other, at least one.

    Arguments:
        items: What each has a column of its own, such as networks.
        make: Returns the table of some of them.
        console: Where they are printed.
    """
    tables, first = list[Table](), 0
    while first < len(items):
        last = first + 1
        while last < len(items) and width_of(make(items[first : last + 1]), console) <= console.width:
            last += 1
        tables.append(make(items[first:last]))
        first = last
    return tables


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """Print tables, and say so where one has become several."""
    for table in tables:
        console.print(table)
    if len(tables) > 1:
        console.print(Text(f"In {len(tables)} tables, since a line has {console.width} columns."))


def folded(name: str, width: int = NAME) -> str:
    """Break a long name over several lines, after hyphens where there are any; no letter is lost."""
    return "\n".join(wrap(name, width)) or name


def print_rows(
    headers: Sequence[str], rows: Sequence[Sequence[str]], console: Console, title: str = "", right: Sequence[str] = ()
) -> None:
    """Print rows so that no word and no number is cut: the last columns that do not fit are left out, which is said.

    Arguments:
        headers: What each column is, the most important first.
        rows: The cells of each line.
        console: Where they are printed.
        title: A line above.
        right: The headers of columns of numbers.
    """
    columns = [[header, *cells] for header, *cells in zip(headers, *rows, strict=True)]
    while len(columns) > 1 and sum(map(_least, columns)) > _room(columns, console):
        columns.pop()
    table = Table(title=Text(title, style="bold") if title else None, title_justify="left", box=None, padding=(0, 1))
    for column, width in zip(columns, _widths(columns, console), strict=True):
        table.add_column(column[0], width=width, overflow="fold", justify="right" if column[0] in right else "left")
    for line in zip(*(column[1:] for column in columns), strict=True):
        table.add_row(*map(Text, line))
    console.print(table)
    if left := headers[len(columns) :]:
        console.print(Text(f"Left out, since a line has {console.width} columns: {', '.join(left)}; --json has all."))


def _least(column: Sequence[str]) -> int:
    """Return the letters of a column's longest word."""
    return max((len(word) for cell in column for word in cell.split()), default=0)


def _room(columns: Sequence[Sequence[str]], console: Console) -> int:
    return console.width - 2 * len(columns)  # a space on both sides of each


def _widths(columns: Sequence[Sequence[str]], console: Console) -> list[int]:
    """Return each column's width: its longest word, and of what is left as much as it needs, least first."""
    widths = [_least(column) for column in columns]
    most = [max(len(line) for cell in column for line in (cell.splitlines() or [""])) for column in columns]
    spare = max(0, _room(columns, console) - sum(widths))
    for place in sorted(range(len(columns)), key=lambda place: most[place] - widths[place]):
        more = min(spare, most[place] - widths[place])
        widths[place], spare = widths[place] + more, spare - more
    return widths
