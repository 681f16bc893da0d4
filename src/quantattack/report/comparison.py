"""Networks side by side on the same images, with paired tests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quantattack.errors import InputError, unknown
from quantattack.record.cell import common_images, survivors
from quantattack.record.record import Record
from quantattack.record.statistics import holm, mcnemar
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
    common = reduce(np.intersect1d, [one.images for one in held.values()])
    if not len(common):
        return None
    _check_labels(group, names[0], common)
    held = {model: one.at(common) for model, one in held.items()}
    clean = {model: Share(int(one.right.sum()), len(common)) for model, one in held.items()}
    robust = {model: Share(int(one.robust.sum()), len(common)) for model, one in held.items()}
    pairs = [_pair(one, two, held[one].robust, held[two].robust) for one, two in combinations(held, 2)]
    threat = threat_words(group[0].threat)
    return Comparison(group[0].subject.data, threat, len(common), tuple(names), clean, robust, _adjusted(pairs))


@dataclass(frozen=True)
class _Held:
    """The images that all attacks have seen: their indices, and which were right before and after the attacks."""

    images: NDArray[np.int64]
    right: NDArray[np.bool_]
    robust: NDArray[np.bool_]

    def at(self, images: NDArray[np.int64]) -> "_Held":
        places = np.searchsorted(self.images, images)
        return _Held(images, self.right[places], self.robust[places])


def _held(record: Record, names: Sequence[str]) -> _Held:
    cells = {name: record.by_attack[name] for name in names}
    images, last = common_images(cells.values()), cells[names[-1]]
    return _Held(images, last.right[last.places(images)], survivors(cells))


def _check_labels(group: Sequence[Record], name: str, common: NDArray[np.int64]) -> None:
    cells = [record.by_attack[name] for record in group]
    labels = [cell.outcomes["label"][cell.places(common)] for cell in cells]
    if any(not np.array_equal(those, labels[0]) for those in labels):
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
