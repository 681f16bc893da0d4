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
