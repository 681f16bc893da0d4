"""A record's signals as tables: how they propagate at each temperature, and CLEVER."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, pstdev
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quantattack.record.signals import Signal, read_signals
from quantattack.record.store import Store
from quantattack.report.columns import folded, print_tables, tables_that_fit
from quantattack.report.percent import percent

NAMES = {
    "unit": "unscaled",
    "njs": "NJS",
    "hns_paper": "HNS paper",
    "hns": "HNS",
    "gap": "Gap",
    "fixed": "beta 0.01",
}
QUANTITIES = {
    "mean": "singular values, mean",
    "deviation": "singular values, deviation",
    "error": "norm of the error signal",
    "gradient_float": "norm of the gradient",
    "sign_float": "norm of its sign",
    "zero": "gradients that are zero",
    "gradient": "norm of the gradient, exact",
    "sign": "norm of its sign, exact",
}


@dataclass(frozen=True)
class SignalTable:
    """A table of texts; the first column names the row.

    Arguments:
        title: What it shows.
        caption: Units, and how many images.
        header: One text a column.
        rows: Texts, as many in each row as in the header.
    """

    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def measured(signals: Sequence[Signal], quantity: str) -> list[Signal]:
    """Select the signals of one quantity, only those in normalized pixels if there are any."""
    chosen = [signal for signal in signals if signal.quantity == quantity]
    normalized = [signal for signal in chosen if signal.unit == "normalized"]
    return normalized or chosen


def unit_words(signals: Sequence[Signal]) -> str:
    """Return the unit that signals are in, in words."""
    units = {signal.unit for signal in signals}
    return "normalized pixels" if units == {"normalized"} else "pixels from 0 to 1"


def tables(store: Store) -> list[SignalTable]:
    """Return the tables of the signals and CLEVER scores in a record."""
    signals = read_signals(store.connection)
    clever = [clever_table(signals)] if measured(signals, "clever") else []
    return [*propagation_tables(signals), *clever]


def propagation_tables(signals: Sequence[Signal]) -> list[SignalTable]:
    """Return how signals propagate at each temperature in each network: table 12 of Gupta and Ajanthan (2022)."""
    models = dict.fromkeys(signal.model for signal in measured(signals, "propagation"))
    return [_propagation([signal for signal in signals if signal.model == model], model) for model in models]


def _propagation(signals: Sequence[Signal], model: str) -> SignalTable:
    propagated = {signal.temperature: signal.numbers for signal in measured(signals, "propagation")}
    spectra = {signal.temperature: signal.numbers for signal in measured(signals, "singular_values")}
    rows = tuple(
        (words, *(_summary(quantity, propagated[name], spectra[name]) for name in propagated))
        for quantity, words in QUANTITIES.items()
    )
    images = len(next(iter(propagated.values()))["image"])
    units = unit_words(measured(signals, "propagation"))
    caption = f"Means over {images} correctly classified images; {units}."
    return SignalTable(f"Signal propagation in {model}", caption, ("quantity", *map(_named, propagated)), rows)


def _summary(quantity: str, propagated: Mapping[str, Any], spectrum: Mapping[str, Any]) -> str:
    if quantity in ("mean", "deviation"):
        return _number(spectrum[quantity])
    if quantity == "zero":
        return percent(fmean(size == 0 for size in propagated["sign_float"]))
    return _number(fmean(propagated[quantity]))


def clever_table(signals: Sequence[Signal]) -> SignalTable:
    """Return CLEVER at each temperature, after table 10 of Gupta and Ajanthan (2022)."""
    clever = measured(signals, "clever")
    names = list(dict.fromkeys(signal.temperature for signal in clever))
    rows = []
    for model in dict.fromkeys(signal.model for signal in clever):
        scores = {signal.temperature: signal.numbers["score"] for signal in clever if signal.model == model}
        rows.append((model, *(_spread(scores[name]) for name in names)))
    images = len(clever[0].numbers["image"])
    what = "Mean, median in brackets, and standard error of the mean"
    caption = f"{what}, over {images} images; L1, {unit_words(clever)}; on probabilities."
    return SignalTable("CLEVER", caption, ("network", *map(_named, names)), tuple(rows))


def _spread(scores: Sequence[float]) -> str:
    error = pstdev(scores) / len(scores) ** 0.5
    return f"{_number(fmean(scores))} [{_number(median(scores))}] ±{error:.2g}"


def _named(temperature: str) -> str:
    return NAMES.get(temperature, temperature)


def _number(value: float) -> str:
    return f"{value:.3g}"


def print_signal_table(table: SignalTable, console: Console) -> None:
    """Print a table, in several parts where its columns do not fit beside each other, and its caption."""
    columns = range(1, len(table.header))
    print_tables(tables_that_fit(columns, lambda some: _with_columns(table, some), console), console)
    console.print(Text(table.caption))


def _with_columns(table: SignalTable, columns: Sequence[int]) -> Table:
    """Return some columns of a table behind its first."""
    shown = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    shown.add_column(Text(table.header[0]), overflow="fold")
    for place in columns:
        shown.add_column(Text(folded(table.header[place])), justify="right", no_wrap=True)
    for row in table.rows:
        shown.add_row(Text(row[0]), *(Text(row[place]) for place in columns))
    return shown
