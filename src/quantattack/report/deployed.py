"""What a report says of a deployed file: its facts, and the ordinary numbers beside the worst case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.record.cell import Cell, common_images
from quantattack.record.deployed import agreements, deployed_note, pixel_words
from quantattack.record.record import Record
from quantattack.record.statistics import paired_difference
from quantattack.report.percent import percent
from quantattack.report.tables import Share, threat_words

TRANSFERRED, SQUARE = "transfer", "square"
COLUMNS = ("float", "transferred", "Square", "ordinary PGD", "worst case")
ARGMAX, TIES = "by argmax", "for the label"  # how a tie of the two largest outputs is decided
UNDER = "Below each number: how far it is above the worst case, in points, and the paired 95% interval of that."
ONE_OF = "A robustness number is one of file and runtime: under another runtime, kernel or processor it may be another."


@dataclass(frozen=True)
class Entry:
    """One number of the table.

    Arguments:
        share: Share of the images that are right and stay so.
        over: How far it is above the worst case on the same images; None for the worst case itself.
        interval: The 95 % interval of that difference, paired; None likewise.
    """

    share: Share
    over: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Line:
    """One line of the table: a deployed model under a threat, with one reading of ties.

    Arguments:
        model: Name of the model.
        data: Name of the data set.
        threat: The threat in words.
        ties: How ties are decided.
        entries: The numbers by column; None where an attack was not run.
    """

    model: str
    data: str
    threat: str
    ties: str
    entries: Mapping[str, Entry | None]


def shipped(records: Sequence[Record]) -> list[Record]:
    """Return the evaluations but for the float networks that only stand beside a deployed file; else all of them.

    Arguments:
        records: The evaluations, as `Store.records` returns them.
    """
    beside = _floats(records) - {None}
    return [record for record in records if record.subject.model not in beside] or list(records)


def _floats(records: Sequence[Record]) -> set[str | None]:
    notes = [deployed_note(record.store, record.subject.model) for record in records]
    return {note["float"] for note in notes if note}


def deployed_lines(records: Sequence[Record]) -> list[Line]:
    """Return the table of a run's deployed models: two lines for each, one by argmax and one with ties for the label.

    Arguments:
        records: The evaluations, as `Store.records` returns them.
    """
    every = {(record.subject.model, record.subject.data, record.subject.threat): record for record in records}
    floats, lines = _floats(records), []
    for record in records:
        subject, about = record.subject, deployed_note(record.store, record.subject.model)
        if about is None or subject.model in floats or not (record.complete and len(record.indices)):
            continue
        relative = every.get((about["float"], subject.data, subject.threat))
        lines += [_line(record, relative, ties) for ties in (ARGMAX, TIES)]
    return lines


def _line(record: Record, relative: Record | None, ties: str) -> Line:
    cells, images = record.by_attack, record.indices
    stands = {name: _stands(cell, ties)[cell.places(images)] for name, cell in cells.items()}
    worst = np.logical_and.reduce(list(stands.values()))
    columns: dict[str, NDArray[np.bool_] | None] = {
        "float": None if relative is None else _float_stands(relative, images, ties),
        "transferred": stands.get(TRANSFERRED),
        "Square": stands.get(SQUARE),
        "ordinary PGD": stands.get(record.plain_pgd or ""),
    }
    entries = {name: None if column is None else _entry(column, worst) for name, column in columns.items()}
    subject = record.subject
    entries["worst case"] = Entry(Share(int(worst.sum()), len(worst)))
    return Line(subject.model, subject.data, threat_words(record.threat), ties, entries)


def _stands(cell: Cell, ties: str) -> NDArray[np.bool_]:
    """Return which images an attack leaves standing; a success that ends on a tie with the label may count for it."""
    broken = cell.broken
    if ties == TIES:
        broken = broken & ~(cell.right & (cell.outcomes["margin"] == 0))
    return np.asarray(~broken, dtype=np.bool_)


def _float_stands(relative: Record, images: NDArray[np.int64], ties: str) -> NDArray[np.bool_] | None:
    """Return which images the float network withstands under all its attacks; None unless it saw the same images."""
    cells = relative.by_attack.values()
    if not relative.complete or not np.isin(images, common_images(cells)).all():
        return None
    return np.asarray(np.logical_and.reduce([_stands(cell, ties)[cell.places(images)] for cell in cells]))


def _entry(stands: NDArray[np.bool_], worst: NDArray[np.bool_]) -> Entry:
    both, total = int((stands & worst).sum()), len(stands)
    first, second = int((stands & ~worst).sum()), int((~stands & worst).sum())
    return Entry(
        Share(int(stands.sum()), total), (first - second) / total, paired_difference(first, second, both, total)
    )


def entry_words(entry: Entry | None) -> str:
    """Return a number in percent, below it how far it is above the worst case, and below that the interval."""
    if entry is None:
        return "-"
    share = percent(entry.share.value).rstrip("%")
    low, high = entry.share.interval if entry.interval is None else entry.interval
    over = "" if entry.over is None else f"{100 * entry.over:+.1f}\n"
    return f"{share}\n{over}{100 * low:.0f} to {100 * high:.0f}"


def over_words(entry: Entry) -> str:
    """Return how far a number is above the worst case, in points with its interval; the worst case's own interval."""
    if entry.over is None or entry.interval is None:
        low, high = entry.share.interval
        return f"{100 * low:.1f} to {100 * high:.1f}"
    low, high = entry.interval
    return f"{100 * entry.over:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def fact_rows(about: Mapping[str, Any], data: str) -> list[tuple[str, str]]:
    """Return the facts of a deployed file, each a name and words.

    Arguments:
        about: What a record notes of the model.
        data: Name of the data set, for what depends on images.
    """
    file, on = about["file"], about["on"].get(data, {})
    settings = ", ".join(f"{name} {value}" for name, value in file["settings"].items())
    rows = [
        ("file", f"{file['name']}, {file['format']}, {file['bytes']:,} bytes"),
        ("SHA-256", file["sha256"]),
        ("judged by", ", ".join(filter(None, (file["runtime"], settings)))),
        ("numbers", "float: attacked as it is, nothing in it is quantized" if file["is_float"] else "quantized"),
        ("gradient", "from the file's differentiable twin" if file["twin"] else "none: the format has only a judge"),
        ("pixels", pixel_words(file["pixels"])),
        ("input", _input_words(file["input"], on.get("clipped"))),
    ]
    return [*rows, *_softmax_rows(file, on)]


def _input_words(quantized: Mapping[str, Any] | None, clipped: float | None) -> str:
    if quantized is None:
        return "float"
    size = f"{quantized['in_pixels']:.3g}"
    levels = f"{size} pixel level{'' if size == '1' else 's'}"
    words = f"{quantized['type']}, a step of {quantized['scale']:.4g} is {levels}"
    return words if clipped is None else f"{words}, {percent(clipped)} of the pixels are clipped"


def _softmax_rows(file: Mapping[str, Any], on: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not file["softmax"]:
        return [("softmax", "none at the end")]
    share = on.get("saturated")
    words = "" if share is None else f", at its maximum {on['top']:.6g} on {percent(share)} of {on['images']} images"
    return [("softmax", f"at the end{words}")]


def facts_of(record: Record) -> list[tuple[str, str]]:
    """Return the facts of a record's deployed model, with how far twin and runtime agree; none of any other model.

    Arguments:
        record: The record of one model, data set and threat.
    """
    about = deployed_note(record.store, record.subject.model)
    if about is None:
        return []
    found = agreements(about, record.subject)
    agreed = [(f"twin against runtime, {name} images", each.words) for name, each in found.items()]
    return [*fact_rows(about, record.subject.data), *agreed]
