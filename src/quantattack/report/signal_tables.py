"""A record's signals and ablations as tables, with the published numbers beside the measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, pstdev
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quantattack.record.signals import Signal, read_signals
from quantattack.record.store import Record, Store
from quantattack.report.tables import percent

ABSENT = "-"
KINDS = ("REF", "BNN-WQ", "BNN-WAQ", "REF*", "BNN-WQ*", "BNN-WAQ*")  # of the paper's networks
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
PRINTED = {  # the paper prints what its arithmetic gave
    "mean": "mean",
    "deviation": "deviation",
    "error": "error",
    "gradient_float": "gradient",
    "sign_float": "sign",
}


@dataclass(frozen=True)
class PaperTable:
    """A table of texts; the first column names the row.

    Arguments:
        title: What it shows.
        caption: Units, and what the published numbers are of.
        header: One text a column.
        rows: Texts, as many in each row as in the header.
        published: Whether each row holds published numbers alone.
    """

    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    published: tuple[bool, ...]


def measured(signals: Sequence[Signal], quantity: str) -> list[Signal]:
    """Return the signals of one quantity; where they are in several units, those in normalized pixels."""
    found = [signal for signal in signals if signal.quantity == quantity]
    normalized = [signal for signal in found if signal.unit == "normalized"]
    return normalized or found


def unit_words(signals: Sequence[Signal]) -> str:
    """Return the unit that signals are in, in words."""
    units = {signal.unit for signal in signals}
    return "normalized pixels" if units == {"normalized"} else "pixels from 0 to 1"


def tables(store: Store) -> list[PaperTable]:
    """Return the tables of what a record holds beside outcomes."""
    signals, paper = read_signals(store.connection), store.notes.get("reproduces", {})
    found = propagation_tables(signals, paper) if not str(paper.get("item")).startswith("figure") else []
    if measured(signals, "clever"):
        found.append(clever_table(signals, paper))
    if paper.get("item") in ("table11", "table13") and store.records():
        found.append(rho_table(store.records(), paper))
    return found


def propagation_tables(signals: Sequence[Signal], paper: Mapping[str, Any]) -> list[PaperTable]:
    """Return how signals propagate at each temperature in each network: table 12 of Gupta and Ajanthan (2022)."""
    models = dict.fromkeys(signal.model for signal in measured(signals, "propagation"))
    return [_propagation([signal for signal in signals if signal.model == model], paper, model) for model in models]


def _propagation(signals: Sequence[Signal], paper: Mapping[str, Any], model: str) -> PaperTable:
    own = {part.temperature: part.numbers for part in measured(signals, "propagation")}
    values = {part.temperature: part.numbers for part in measured(signals, "singular_values")}
    kind = paper.get("kinds", {}).get(model, "") if paper.get("item") == "table12" else ""
    rows, published = [], []
    for quantity, words in QUANTITIES.items():
        rows.append((words, *(_summary(quantity, own[name], values[name]) for name in own)))
        published.append(False)
        if printed := _printed(paper, kind, PRINTED.get(quantity, "")):
            rows.append((f"  published: {kind}", *(_number(printed.get(name)) for name in own)))
            published.append(True)
    images = len(next(iter(own.values()))["image"])
    beside = f" Published: {paper['networks']}." if any(published) else ""
    caption = (
        f"Means over {images} correctly classified images; {unit_words(measured(signals, 'propagation'))}.{beside}"
    )
    header = ("quantity", *map(_named, own))
    return PaperTable(f"Signal propagation in {model}", caption, header, tuple(rows), tuple(published))


def _printed(paper: Mapping[str, Any], kind: str, quantity: str) -> dict[str, float]:
    """Return the published numbers of a quantity by temperature; none where there are none."""
    table = paper.get("published", {}) if kind else {}
    values = table.get("rows", {}).get(kind, {}).get(quantity, [])
    return dict(zip(table.get("columns", []), values, strict=False))


def _summary(quantity: str, own: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    if quantity in ("mean", "deviation"):
        return _number(values[quantity])
    if quantity == "zero":
        return percent(fmean(size == 0 for size in own["sign_float"]))
    return _number(fmean(own[quantity]))


def clever_table(signals: Sequence[Signal], paper: Mapping[str, Any]) -> PaperTable:
    """Return CLEVER at each temperature, after table 10 of Gupta and Ajanthan (2022)."""
    found = measured(signals, "clever")
    names = list(dict.fromkeys(signal.temperature for signal in found))
    rows, published = [], []
    for model in dict.fromkeys(signal.model for signal in found):
        scores = {part.temperature: part.numbers["score"] for part in found if part.model == model}
        cells = (_spread(scores[name]) for name in names)
        rows.append((model, *cells))
        published.append(False)
    for kind, printed in _rows(paper) if paper.get("item") == "table10" else []:
        values = dict(zip(paper["published"]["columns"], printed, strict=True))
        rows.append((f"published: {kind}", *(_number(values.get(name)) for name in names)))
        published.append(True)
    images = len(found[0].numbers["image"])
    beside = f"Published: {paper['networks'].split(',')[0]}." if any(published) else ""
    what = "Mean, median in brackets, and standard error of the mean"
    caption = f"{what}, over {images} images; L1, {unit_words(found)}; on probabilities. {beside}"
    return PaperTable("CLEVER", caption.strip(), ("network", *map(_named, names)), tuple(rows), tuple(published))


def _spread(scores: Sequence[float]) -> str:
    error = pstdev(scores) / len(scores) ** 0.5
    return f"{_number(fmean(scores))} [{_number(median(scores))}] ±{error:.2g}"


def rho_table(records: Sequence[Record], paper: Mapping[str, Any]) -> PaperTable:
    """Return robust accuracy against rho, after tables 11 and 13 of Gupta and Ajanthan (2022)."""
    rhos = paper["published"]["columns"]
    rows = []
    for record in records:
        robust = {record.settings(name)["temperature"]["rho"]: record.robust(name) for name in record.attacks}
        rows.append((record.subject.model, *(percent(robust[rho]) if rho in robust else ABSENT for rho in rhos)))
    printed = [(f"published: {kind}", *(f"{value:.2f}%" for value in values)) for kind, values in _rows(paper)]
    header = ("network", *(f"rho {rho:g}" for rho in rhos))
    sizes = ", ".join(f"{record.subject.model} at {record.threat['radius']:.3g}" for record in records)
    caption = f"Robust accuracy; Linf, {sizes}, {records[0].images} images. Published: {paper['networks']}."
    published = (False,) * len(rows) + (True,) * len(printed)
    return PaperTable("Robust accuracy against rho", caption, header, (*rows, *printed), published)


def _rows(paper: Mapping[str, Any]) -> list[tuple[str, list[float]]]:
    rows: Mapping[str, list[float]] = paper["published"]["rows"]
    return sorted(rows.items(), key=lambda row: KINDS.index(row[0]))


def _named(temperature: str) -> str:
    return NAMES.get(temperature, temperature)


def _number(value: float | int | None) -> str:
    return ABSENT if value is None else f"{value:.3g}"


def print_paper_table(table: PaperTable, console: Console) -> None:
    """Print a table, its columns folded to the console's width, and its caption."""
    shown = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for place, header in enumerate(table.header):
        shown.add_column(Text(header), justify="left" if place == 0 else "right", no_wrap=place == 0)
    for row in table.rows:
        shown.add_row(*map(Text, row))
    console.print(shown)
    console.print(Text(table.caption))
