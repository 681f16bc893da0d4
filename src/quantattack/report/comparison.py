"""Networks side by side on the same images, with paired tests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quantattack.errors import InputError, unknown
from quantattack.record.statistics import holm, mcnemar
from quantattack.record.store import Record
from quantattack.report.tables import Share, interval, percent, threat_words


@dataclass(frozen=True)
class Pair:
    """Two networks on the same images.

    Arguments:
        first: One network.
        second: The other.
        both: Images that both hold.
        only_first: Images that the first alone holds.
        only_second: Images that the second alone holds.
        neither: Images that neither holds.
        p: Exact McNemar test: how likely so uneven a split is if both were equally robust.
        adjusted: The same, adjusted for the number of pairs.
    """

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int
    p: float
    adjusted: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """Networks on one data set under one threat.

    Arguments:
        data: The data set.
        threat: The threat in words.
        images: How many images all of them were attacked on.
        attacks: The attacks that all of them met.
        clean: Images that each has right before any attack.
        robust: Images that each has right after every one of the attacks.
        pairs: Each two of them.
    """

    data: str
    threat: str
    images: int
    attacks: tuple[str, ...]
    clean: Mapping[str, Share]
    robust: Mapping[str, Share]
    pairs: tuple[Pair, ...]


def comparisons(records: Sequence[Record], models: Sequence[str] = (), attack: str | None = None) -> list[Comparison]:
    """Compare the networks of a run wherever two or more were attacked on the same data set under the same threat.

    Arguments:
        records: The evaluations, as `Store.records` returns them.
        models: The networks to compare; all by default.
        attack: The attack to compare under; all that they have in common by default.

    Raises:
        InputError: If a network or the attack is not there.
    """
    there = list(dict.fromkeys(record.subject.model for record in records))
    for model in models:
        if model not in there:
            raise unknown("network of this record", model, there)
    chosen = [record for record in records if not models or record.subject.model in models]
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in chosen:
        groups.setdefault((record.subject.data, record.subject.threat), []).append(record)
    return [found for group in groups.values() if len(group) > 1 and (found := _compared(group, attack))]


def _compared(group: Sequence[Record], attack: str | None) -> Comparison | None:
    names = [name for name in group[0].attacks if all(name in record.attacks for record in group)]
    if attack is not None and attack not in names:
        raise unknown("attack that these networks have in common", attack, names)
    names = names if attack is None else [attack]
    if not names:
        return None
    held = {record.subject.model: _held(record, names) for record in group}
    common = np.array(sorted(set.intersection(*(set(found) for found in held.values()))), dtype=np.int64)
    if not len(common):
        return None
    columns = {model: np.array([found[int(at)] for at in common]) for model, found in held.items()}
    _check_labels(group, names[0], common)
    clean = {model: Share(int(rows[:, 0].sum()), len(common)) for model, rows in columns.items()}
    robust = {model: Share(int(rows[:, 1].sum()), len(common)) for model, rows in columns.items()}
    found = [_pair(one, two, columns[one][:, 1], columns[two][:, 1]) for one, two in combinations(columns, 2)]
    threat = threat_words(group[0].threat)
    return Comparison(group[0].subject.data, threat, len(common), tuple(names), clean, robust, _adjusted(found))


def _held(record: Record, names: Sequence[str]) -> dict[int, tuple[bool, bool]]:
    """Return for each image that all attacks have seen whether it was right before them, and after them."""
    found: dict[int, tuple[bool, bool]] = {}
    for place, name in enumerate(names):
        images, broken = record.column(name, "image").astype(int), record.broken(name)
        right = record.column(name, "clean_prediction") == record.column(name, "label")
        seen = dict(zip(images.tolist(), zip(right.tolist(), (~broken).tolist(), strict=True), strict=True))
        if place:
            seen = {at: (one, two and found[at][1]) for at, (one, two) in seen.items() if at in found}
        found = seen
    return found


def _check_labels(group: Sequence[Record], name: str, common: NDArray[np.int64]) -> None:
    labels = [dict(zip(one.column(name, "image"), one.column(name, "label"), strict=True)) for one in group]
    if any(part[at] != labels[0][at] for part in labels for at in common):
        raise InputError("the networks were attacked on different images under one name; they cannot be compared")


def _pair(first: str, second: str, one: NDArray[np.bool_], two: NDArray[np.bool_]) -> Pair:
    split = int((one & ~two).sum()), int((~one & two).sum())
    return Pair(first, second, int((one & two).sum()), *split, int((~one & ~two).sum()), mcnemar(*split))


def _adjusted(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Adjust the p-values for the number of pairs."""
    adjusted = holm([pair.p for pair in pairs])
    return tuple(replace(pair, adjusted=p) for pair, p in zip(pairs, adjusted, strict=True))


def words(pair: Pair) -> str:
    """Say which of two networks holds more of the images, and how sure that is."""
    if pair.adjusted >= 0.05:
        return "no difference can be told"
    return f"{pair.first if pair.only_first > pair.only_second else pair.second} holds more"


def p_words(p: float) -> str:
    """Return a p-value in a few digits."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}" if p > 0 and math.isfinite(math.log10(p)) else "< 1e-300"


def print_comparison(found: Comparison, console: Console) -> None:
    """Print a table of the networks and one of each two of them."""
    console.print(
        Text(f"{found.data}, {found.threat}: {found.images} images, {', '.join(found.attacks)}", style="bold")
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for header in ("model", "clean", "robust", "95 % interval"):
        table.add_column(header, justify="left" if header == "model" else "right")
    for model, share in found.robust.items():
        clean, rate = found.clean[model].value, share.value
        table.add_row(Text(model), percent(clean), percent(rate), interval(share))
    console.print(table)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for header in ("first", "second", "both", "only first", "only second", "neither", "p", "adjusted", ""):
        table.add_column(header, justify="left" if header in ("first", "second", "") else "right")
    for pair in found.pairs:
        counts = (str(n) for n in (pair.both, pair.only_first, pair.only_second, pair.neither))
        table.add_row(pair.first, pair.second, *counts, p_words(pair.p), p_words(pair.adjusted), words(pair))
    console.print(table)
