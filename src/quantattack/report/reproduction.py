"""A paper's tables with published and measured numbers side by side, as plain data; printed in the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

ABSENT = "-"
WIDE = 11  # a table with more columns is transposed on the page
WIDE_TERMINAL = 8  # the same in the terminal


@dataclass(frozen=True)
class Entry:
    """One number of a table.

    Arguments:
        published: As printed; empty where the paper has none.
        measured: As measured; empty where it was not.
        interval: Its 95 % interval; empty where it has none.
        link: Link to its record page, with the fragment.
        images: Number of images that it is computed over.
        quoted: Whether the column holds numbers that are only quoted, never measured.
    """

    published: str = ""
    measured: str = ""
    interval: str = ""
    link: str = ""
    images: int = 0
    quoted: bool = False


@dataclass(frozen=True)
class Line:
    """One network of a table.

    Arguments:
        label: What the paper calls it.
        network: The network used in its place; empty if there is none.
        entries: The numbers, in the order of the headers.
        published_for: The paper's network that the published numbers are of, where that is not the label's own.
        flags: The warnings of the records that the numbers are from, by their codes.
    """

    label: str
    network: str
    entries: tuple[Entry, ...]
    published_for: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def published_words(self) -> str:
        """Return what stands before the published numbers."""
        return f"published: {self.published_for}" if self.published_for else "published"


@dataclass(frozen=True)
class Comparison:
    """Two attacks on the same images.

    Arguments:
        label: The network.
        words: The two attacks, as shown to the reader.
        first: Images that only the first broke.
        second: Images that only the second broke.
        images: Images that both have seen.
        p: p-value of McNemar's exact test.
    """

    label: str
    words: str
    first: int
    second: int
    images: int
    p: float


@dataclass(frozen=True)
class Absence:
    """A cell that was not run, why, and what runs it."""

    row: str
    cell: str
    why: str
    command: str


@dataclass(frozen=True)
class View:
    """A table or figure.

    Arguments:
        paper: Key of the paper.
        key: Key of the item.
        title: What it shows.
        note: What a reader has to know.
        settings: Images, steps, restarts, queries and runs, and which are fewer than in the paper.
        headers: The columns.
        lines: The networks.
        comparisons: The paired tests.
        absences: What was not run.
        seconds: Total wall time of its attacks.
        figures: Figures as SVG, each with its caption.
    """

    paper: str
    key: str
    title: str
    note: str
    headers: tuple[str, ...]
    lines: tuple[Line, ...]
    comparisons: tuple[Comparison, ...] = ()
    absences: tuple[Absence, ...] = ()
    seconds: float = 0.0
    figures: tuple[tuple[str, str], ...] = field(default=())
    settings: str = ""

    @property
    def took(self) -> str:
        """What its attacks took, in words; empty where nothing was attacked."""
        return duration(self.seconds)

    @property
    def name(self) -> str:
        """Return the item's name as a reader of the paper knows it."""
        for kind in ("table", "figure", "section"):
            if self.key.startswith(kind):
                number = self.key.removeprefix(kind)
                return f"{kind.capitalize()} {'.'.join(number) if kind == 'section' else number}"
        return self.key.capitalize()


def duration(seconds: float) -> str:
    """Return a time in words; empty for none."""
    whole, minutes = ceil(seconds), round(seconds / 60)
    if whole < 60:
        return f"{whole} s" if whole else ""
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def turned(view: View) -> bool:
    """Return whether the page transposes a table: it has one network, or more than 11 columns."""
    return len(view.lines) == 1 or len(view.headers) > WIDE


def small(p: float) -> str:
    """Format a p-value with two significant digits."""
    return "under 0.0001" if p < 1e-4 else f"{p:.2g}"


def print_view(view: View, console: Console) -> None:
    """Print a table, and the cells that were not run.

    A table with one network or more than 8 columns is printed as one table per network, one row per number.
    """
    if any(entry.measured or entry.quoted for line in view.lines for entry in line.entries):
        alone = len(view.lines) == 1 or len(view.headers) > WIDE_TERMINAL
        for table in _turned(view) if alone else [_straight(view)]:
            console.print(table)
    for absence in view.absences:
        what = f"{absence.row}, {absence.cell}" if absence.cell else absence.row
        console.print(Text(f"not run: {what}: {absence.why}"), soft_wrap=True)
        if absence.command:
            console.print(Text(f"  {absence.command}"), soft_wrap=True)


def _table(title: str, headers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for place, header in enumerate(headers):
        table.add_column(Text(header), justify="right" if place else "left", overflow="fold")
    return table


def _straight(view: View) -> Table:
    table = _table(f"{view.paper} {view.key}: {view.title}", ("network", *view.headers))
    for line in view.lines:
        table.add_row(Text(line.label), *(Text(entry.measured or ABSENT) for entry in line.entries))
        if any(entry.published for entry in line.entries):
            table.add_row(
                Text(f"  {line.published_words}"), *(Text(entry.published or ABSENT) for entry in line.entries)
            )
    return table


def _turned(view: View) -> list[Table]:
    tables = []
    for line in view.lines:
        title = f"{view.paper} {view.key}: {view.title}; {line.label}"
        table = _table(title, ("", line.published_words, "measured", "95 % interval"))
        for header, entry in zip(view.headers, line.entries, strict=True):
            table.add_row(*map(Text, (header, entry.published, entry.measured or ABSENT, entry.interval)))
        tables.append(table)
    return tables
