"""What the terminal shows of a run: its evaluations with a sentence and the flags of each, and its comparisons."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quantattack.record.record import Record
from quantattack.report.bracket import worst_words
from quantattack.report.columns import NAME, folded, print_tables, tables_that_fit, width_of
from quantattack.report.comparison import Comparison, Pair, p_words, words
from quantattack.report.cost import Cost
from quantattack.report.deployed import COLUMNS, ONE_OF, UNDER, Line, deployed_lines, entry_words
from quantattack.report.percent import percent
from quantattack.report.tables import headline, interval, progress_words, threat_words
from quantattack.report.trust import trust_line

_WIDE = 80  # columns of a terminal, from which on a name of 40 letters has room
_COUNTS = ("both", "only first", "only second", "neither", "p", "adjusted")


def print_table(records: Sequence[Record], console: Console) -> None:
    """Print one row per evaluation, then the headline and flags of each.

    If the table is wider than the console, it is transposed: one column per evaluation, in several tables if they
    are too many.

    Arguments:
        records: The evaluations, as `Store.records` returns them.
        console: Where to print.

    """
    names = list(dict.fromkeys(name for record in records for name in record.done))
    table = _one_line_each(records, names)
    fits = width_of(table, console) <= console.width
    turned = [] if fits else tables_that_fit(records, lambda some: _one_column_each(some, names), console)
    print_tables([table] if fits else turned, console)
    if lines := deployed_lines(records):
        _print_deployed(lines, console)
    for record in records:
        _print_words(record, console)


def _one_line_each(records: Sequence[Record], names: Sequence[str]) -> Table:
    table = _table()
    for header in ("model", "data", "threat"):
        table.add_column(Text(header))
    for header in ("clean", *names, "worst case"):
        table.add_column(Text(_broken_lines(header)), justify="right", no_wrap=True)
    for record in records:
        table.add_row(*(Text(cell) for cell in _subject(record)), *_numbers(record, names))
    return table


def _one_column_each(records: Sequence[Record], names: Sequence[str]) -> Table:
    table = _table()
    table.add_column(Text("attack"), overflow="fold")
    for record in records:
        model, *rest = _subject(record)
        header = "\n".join(map(folded, (_file_name(model), *rest)))
        table.add_column(Text(header), justify="right", no_wrap=True)
    columns = [_numbers(record, names) for record in records]
    for place, header in enumerate(("clean", *names, "worst case")):
        table.add_row(Text(header if len(header) <= NAME else _parted(header)), *(column[place] for column in columns))
    return table


def _print_deployed(lines: Sequence[Line], console: Console) -> None:
    """Print a table for each deployed model, and what its numbers mean."""
    models = dict.fromkeys((line.model, line.data) for line in lines)
    console.print(Text("Deployed models, %", style="italic"))
    for model, data in models:
        if len(models) > 1:
            console.print(Text(f"{_file_name(model)} on {data}", style="bold"))
        console.print(_deployed([line for line in lines if (line.model, line.data) == (model, data)]))
    console.print(Text(f"{UNDER} {ONE_OF}"))


def _deployed(lines: Sequence[Line]) -> Table:
    """A deployed model, each number with how far it is above the worst case and the paired interval of that."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("threat", overflow="fold")
    table.add_column("ties", no_wrap=True)
    for header in COLUMNS:
        table.add_column(Text(header.replace(" ", "\n")), justify="right", no_wrap=True)
    for line in lines:
        cells = [Text(entry_words(line.entries[header])) for header in COLUMNS]
        table.add_row(Text(line.threat.replace(" ", "\n")), Text(line.ties.replace(" ", "\n", 1)), *cells)
    return table


def _table() -> Table:
    return Table(title="Robust accuracy, %", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))


def _broken_lines(header: str) -> str:
    """Let a long name take several lines, so that a column is as wide as its number."""
    return _parted(header.replace("_", "_\n").replace(" ", "\n"))


def _parted(attack: str) -> str:
    """Give each setting of an attack a line of its own."""
    return attack.replace("[", "\n[").replace(",", ",\n")


def _subject(record: Record) -> tuple[str, str, str]:
    return record.subject.model, record.subject.data, threat_words(record.threat)


def _file_name(model: str) -> str:
    """Return a file's name without its folder, which is printed below the table; keep any other name."""
    if model.endswith(".safetensors"):
        return Path(model).stem
    return Path(model).name if Path(model).suffix and ":" not in model else model


def _numbers(record: Record, names: Sequence[str]) -> list[Text]:
    cells = record.by_attack
    planned = record.done
    robust = [cells[name].robust if name in cells else float("nan") if name in planned else None for name in names]
    shares = ["" if share is None else percent(share).rstrip("%") for share in (record.clean, *robust)]
    return [*map(Text, shares), Text(_without_percent(worst_words(record)), style="bold")]


def _without_percent(words: str) -> str:
    return words.replace("%", "")


def _print_words(record: Record, console: Console) -> None:
    model, data, threat = _subject(record)
    state = f" ({progress_words(record)})" if progress_words(record) else ""
    console.print()
    console.print(Text(f"{model} on {data}, {threat}{state}", style="bold"))
    console.print(Text(headline(record)))
    for flag in record.flags:
        console.print(Text(f"- {flag}"))
    if record.finished:
        console.print(Text(trust_line(record)))


def print_comparison(comparison: Comparison, costs: Sequence[Cost], console: Console) -> None:
    """Print a table of the networks, a table of their pairs, and a sentence for each thing that one cost."""
    about = f"{comparison.data}, {comparison.threat}: {comparison.images} images, {', '.join(comparison.attacks)}"
    console.print(Text(about, style="bold"))
    if comparison.left_out:
        console.print(Text(f"not compared, since unfinished: {', '.join(comparison.left_out)}"))
    console.print(_networks(comparison, 40 if console.width >= _WIDE else NAME))
    fits = console.measure(_pairs(comparison.pairs)).minimum <= console.width
    turned = [] if fits else tables_that_fit(comparison.pairs, _pairs_turned, console)
    print_tables([_pairs(comparison.pairs)] if fits else turned, console)
    for cost in costs:
        console.print(Text(cost.words))


def _networks(comparison: Comparison, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("model", overflow="fold")
    for header in ("clean", "robust", "95 % interval"):
        table.add_column(header, justify="right", no_wrap=True)
    for model, share in comparison.robust.items():
        table.add_row(
            Text(folded(model, width)),
            percent(comparison.clean[model].value),
            comparison.robust_words(model),
            interval(share),
        )
    return table


def _pairs(pairs: Sequence[Pair]) -> Table:
    """One row for each pair: both names and the outcome in words below each other, so that each has room."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("first, second,\nin words", overflow="fold")
    for header in _COUNTS:
        table.add_column(header.replace(" ", "\n"), justify="right", no_wrap=True)
    for pair in pairs:
        names = Text("\n".join((folded(pair.first), folded(pair.second), words(pair), "")))
        table.add_row(names, *_counts(pair))
    return table


def _pairs_turned(pairs: Sequence[Pair]) -> Table:
    """One column for each pair, where a line has no room for all its numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("first,\nsecond,\nin words", no_wrap=True)
    for pair in pairs:
        header = (folded(pair.first), folded(pair.second), folded(words(pair)))
        table.add_column(Text("\n".join(header)), justify="right", no_wrap=True)
    for header, *counts in zip(_COUNTS, *map(_counts, pairs), strict=True):
        table.add_row(header, *counts)
    return table


def _counts(pair: Pair) -> tuple[str, ...]:
    counts = (str(count) for count in (pair.both, pair.only_first, pair.only_second, pair.neither))
    return (*counts, p_words(pair.p), p_words(pair.adjusted))
