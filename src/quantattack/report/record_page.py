"""A record as a plain HTML page: settings, seed, versions, and the outcome of each image."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantattack.record.outcome import Outcome
from quantattack.record.record import Record
from quantattack.record.signals import Signal, read_signals
from quantattack.record.store import Store
from quantattack.record.writing import written_whole
from quantattack.report.percent import percent
from quantattack.report.render import render
from quantattack.report.tables import interval, robust_share, threat_words

PAGE = "record.html"
HEAD = "image label clean after margin size step restart"


@dataclass(frozen=True)
class Section:
    """One attack of one evaluation (a cell), or one signal.

    Arguments:
        anchor: HTML id that links point to.
        title: Heading.
        share: Robust accuracy with its interval; empty for a signal.
        settings: Every setting as JSON.
        lines: The outcome of each image, one per line; for a signal, its numbers as JSON.
    """

    anchor: str
    title: str
    share: str
    settings: str
    lines: str


def write_record_page(folder: Path | str) -> Path:
    """Write the page of the record in a folder and return its path.

    Raises:
        InputError: If there is no record, or the page cannot be written.
    """
    store = Store.load(folder)
    text = render(
        "record.html.j2",
        title=Path(folder).name,
        identity=_json(store.identity),
        notes=_json(_notes(store)),
        sections=list(sections(store)),
    )
    store.close()
    path = Path(folder) / PAGE
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def _notes(store: Store) -> dict[str, Any]:
    return {"finished": store.finished, **store.notes}


def sections(store: Store) -> Iterator[Section]:
    """Return the cells and the signals of a record."""
    for record in store.records():
        for name in record.attacks:
            yield _cell(record, name)
    for signal in read_signals(store.connection):
        yield _signal(signal)


def _cell(record: Record, name: str) -> Section:
    share = robust_share(record, name)
    lines = [HEAD, *(_line(outcome) for outcome in record.outcomes(name))]
    subject = f"{record.subject.model} on {record.subject.data}, {threat_words(record.threat)}"
    return Section(
        anchor=f"cell-{record.cells[name]}",
        title=f"{name}: {subject}",
        share=f"{percent(share.value)} robust ({interval(share)}), {share.count} of {share.of} images",
        settings=_json({"threat": record.threat, "attack": record.settings(name)}),
        lines="\n".join(lines),
    )


def _line(outcome: Outcome) -> str:
    margin = "-" if outcome.margin is None else f"{outcome.margin:.3g}"
    step = "-" if outcome.step is None else str(outcome.step)
    outside = "" if outcome.inside else " outside"
    numbers = (outcome.image, outcome.label, outcome.clean_prediction, outcome.prediction)
    return f"{' '.join(map(str, numbers))} {margin} {outcome.size:.4g} {step} {outcome.restart}{outside}"


def _signal(signal: Signal) -> Section:
    name = signal.temperature or "curves"
    return Section(
        anchor=f"{signal.quantity}-{name}",
        title=f"{signal.quantity}, {name}: {signal.model} on {signal.data}, {signal.unit}",
        share="",
        settings="",
        lines=json.dumps(signal.numbers, separators=(",", ":")),
    )


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True)
