"""Compare networks image by image with McNemar's exact test, adjusted after Holm."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantattack.errors import InputError, unknown
from quantattack.record.bounds import PROVED
from quantattack.record.cell import Cell, common_images, survivors
from quantattack.record.identity import Identity
from quantattack.record.record import Record
from quantattack.record.statistics import holm, mcnemar
from quantattack.report.bracket import bracket_words
from quantattack.report.leaderboard import checksum_of
from quantattack.report.percent import percent
from quantattack.report.tables import Share, threat_words

_OTHER = "the networks were attacked on different images under one name; they cannot be compared"


@dataclass(frozen=True)
class Pair:
    """Paired robustness counts of two networks on the same images.

    An image is robust if the network classifies it correctly before and after every compared attack.

    Arguments:
        first: One network.
        second: The other.
        both: Images on which both are robust.
        only_first: Images on which only the first is robust.
        only_second: Images on which only the second is robust.
        neither: Images on which neither is robust.
        p: p-value of McNemar's exact test, computed from `only_first` and `only_second`.
        adjusted: Holm-adjusted p-value over all pairs; 1 until it is computed.
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
    """Comparison of networks on one data set under one threat.

    Arguments:
        data: The data set.
        threat: The threat in words.
        images: Number of images that every compared attack has seen on every network.
        attacks: The attacks that were run on every network.
        clean: Clean accuracy of each network on these images.
        robust: Robust accuracy of each network under all of these attacks.
        pairs: The paired comparison of every two networks.
        left_out: Attacks that were begun on every network and are unfinished on some.
        clean_pairs: The same before any attack.
        proved: Share of the images that are proved robust, of each network that was searched completely.
        runs: The folders of the runs that the networks are of.
    """

    data: str
    threat: str
    images: int
    attacks: tuple[str, ...]
    clean: Mapping[str, Share]
    robust: Mapping[str, Share]
    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...] = ()
    clean_pairs: tuple[Pair, ...] = ()
    proved: Mapping[str, Share] = field(default_factory=dict)
    runs: frozenset[Path | None] = frozenset()

    def robust_words(self, model: str) -> str:
        """Return a network's robust accuracy in percent, with what is proved before it where something was."""
        worst = self.robust[model].value
        return bracket_words(self.proved[model].value, worst) if model in self.proved else percent(worst)


def comparisons(records: Sequence[Record], models: Sequence[str] = (), attack: str | None = None) -> list[Comparison]:
    """Compare networks wherever two or more were attacked on the same data set under the same threat.

    Arguments:
        records: The evaluations, as `Store.records` returns them, of one run or of several.
        models: The networks to compare, in this order; all by default.
        attack: The attack to compare under; by default, all attacks that a group has in common.

    Raises:
        InputError: If a network or the attack is absent, the same images differ, or no attack is complete on the
            networks to compare.
    """
    present = list(dict.fromkeys(record.subject.model for record in records))
    for model in models:
        if model not in present:
            raise unknown("network of this record", model, present)
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in _asked(records, models):
        groups.setdefault((record.subject.data, record.subject.threat), []).append(record)
    compared = [_compared(_named(group), attack) for group in groups.values() if len(group) > 1]
    return [comparison for comparison in compared if comparison is not None]


def _asked(records: Sequence[Record], models: Sequence[str]) -> list[Record]:
    """Return the evaluations of the networks that are asked for, in the order in which they are named."""
    if not models:
        return list(records)
    return sorted(
        (record for record in records if record.subject.model in models),
        key=lambda each: models.index(each.subject.model),
    )


def strangers(records: Sequence[Record], compared: Sequence[Comparison]) -> list[Path | None]:
    """Return the folders of several runs of which no network was compared with one of another run.

    Arguments:
        records: The evaluations.
        compared: Their comparisons.
    """
    runs = _runs(records)
    met = {run for comparison in compared if len(comparison.runs) > 1 for run in comparison.runs}
    return [run for run in runs if run not in met] if len(runs) > 1 else []


def _runs(records: Iterable[Record]) -> list[Path | None]:
    return list(dict.fromkeys(record.store.folder for record in records))


def why_not(records: Sequence[Record]) -> str:
    """Say why no two evaluations can be compared: what each is of, and what they would have to share."""
    lines = [f"{record.subject.model} on {record.subject.data}, {threat_words(record.threat)}" for record in records]
    about = f"{'; '.join(lines[:4])}{'; ...' if len(lines) > 4 else ''}"
    if len(records) < 2:
        return f"a comparison needs two networks, and there is {about}; name a second: quantattack compare RUN1 RUN2"
    return (
        f"nothing is common to two networks: {about}; attack both on the same images, under one threat, by one attack"
    )


def _named(group: Sequence[Record]) -> dict[str, Record]:
    """Return evaluations by their network's name; with the folder behind it where two have the same."""
    names = [record.subject.model for record in group]
    several = {name for name in names if names.count(name) > 1}
    return {
        f"{name} ({record.store.folder})" if name in several else name: record
        for name, record in zip(names, group, strict=True)
    }


def _compared(group: Mapping[str, Record], attack: str | None) -> Comparison | None:
    cells = {model: record.by_attack for model, record in group.items()}
    begun = _common_attacks(list(cells.values()), attack)
    names = [name for name in begun if all(by_attack[name].complete for by_attack in cells.values())]
    if begun and not names:
        raise _unfinished(cells, begun)
    if not names:
        return None
    correct = {model: _correctness({name: by_attack[name] for name in names}) for model, by_attack in cells.items()}
    images = reduce(np.intersect1d, [network.images for network in correct.values()])
    if not len(images):
        return None
    _check_images(group)
    _check_labels([by_attack[names[0]] for by_attack in cells.values()], images)
    correct = {model: network.on(images) for model, network in correct.items()}
    clean, clean_pairs = _counted({model: network.clean for model, network in correct.items()}, _different(group))
    robust, pairs = _counted({model: network.robust for model, network in correct.items()}, _different(group))
    first = next(iter(group.values()))
    left_out = tuple(name for name in begun if name not in names)
    proved = {model: _proved(record, images) for model, record in group.items() if record.bracket is not None}
    numbers = clean, robust, pairs, left_out, clean_pairs, proved, frozenset(_runs(group.values()))
    return Comparison(first.subject.data, threat_words(first.threat), len(images), tuple(names), *numbers)


def _proved(record: Record, images: NDArray[np.int64]) -> Share:
    known = [image for image, bound in record.bounds.items() if bound.verdict == PROVED]
    return Share(int(np.isin(images, known).sum()), len(images))


def _unfinished(cells: Mapping[str, Mapping[str, Cell]], names: Sequence[str]) -> InputError:
    """Return the error for networks on which no attack is complete, with how far the attacks have come."""
    short = [(model, by_attack[name]) for model, by_attack in cells.items() for name in names]
    far = ", ".join(f"{cell.attack} on {model} {cell.done} of {cell.images}" for model, cell in short)
    return InputError(f"no attack is complete on these networks ({far} images); let the run end, then compare")


def _common_attacks(cells: Sequence[Mapping[str, Cell]], attack: str | None) -> list[str]:
    """Return the attacks that were run on all networks, or only the requested one."""
    names = [name for name in cells[0] if all(name in by_attack for by_attack in cells)]
    if attack is not None and attack not in names:
        raise unknown("attack that these networks have in common", attack, names)
    return names if attack is None else [attack]


@dataclass(frozen=True)
class _Correctness:
    """Whether a network is correct, clean and after all attacks, on each image that every attack has seen."""

    images: NDArray[np.int64]
    clean: NDArray[np.bool_]
    robust: NDArray[np.bool_]

    def on(self, images: NDArray[np.int64]) -> "_Correctness":
        """Select the rows of the given images."""
        rows = np.searchsorted(self.images, images)
        return _Correctness(images, self.clean[rows], self.robust[rows])


def _correctness(cells: Mapping[str, Cell]) -> _Correctness:
    images, last = common_images(cells.values()), list(cells.values())[-1]
    return _Correctness(images, last.right[last.places(images)], survivors(cells))


def _check_images(group: Mapping[str, Record]) -> None:
    """Raise InputError where two runs say that they have the same images, and their checksums differ."""
    sums: dict[tuple[int, str], str] = {}
    for record in group.values():
        for about in Identity.from_json(record.store.identity).subjects or ():
            same = sums.setdefault((about.count, about.index_digest), about.data_checksum)
            if about.subject == record.subject and same != about.data_checksum:
                raise InputError(_OTHER)


def _check_labels(cells: Sequence[Cell], images: NDArray[np.int64]) -> None:
    first, *others = [cell.outcomes["label"][cell.places(images)] for cell in cells]
    if not all(np.array_equal(labels, first) for labels in others):
        raise InputError(_OTHER)


def _different(group: Mapping[str, Record]) -> list[tuple[str, str]]:
    """Return every two evaluations that are not of one network; where all are of one, every two."""
    network = {name: (record.subject.model, checksum_of(record)) for name, record in group.items()}
    every = list(combinations(group, 2))
    return [(first, second) for first, second in every if network[first] != network[second]] or every


def _counted(
    right: Mapping[str, NDArray[np.bool_]], of: Sequence[tuple[str, str]]
) -> tuple[dict[str, Share], tuple[Pair, ...]]:
    """Count the images that each network is right on, and every two that are named against each other."""
    shares = {model: Share(int(images.sum()), len(images)) for model, images in right.items()}
    return shares, _adjusted([_pair(first, second, right[first], right[second]) for first, second in of])


def _pair(first: str, second: str, robust: NDArray[np.bool_], other: NDArray[np.bool_]) -> Pair:
    only_first, only_second = int((robust & ~other).sum()), int((~robust & other).sum())
    both, neither = int((robust & other).sum()), int((~robust & ~other).sum())
    return Pair(first, second, both, only_first, only_second, neither, mcnemar(only_first, only_second))


def _adjusted(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Adjust the p-values after Holm."""
    adjusted = holm([pair.p for pair in pairs])
    return tuple(replace(pair, adjusted=p) for pair, p in zip(pairs, adjusted, strict=True))


def words(pair: Pair) -> str:
    """Name the more robust network, or say that the adjusted p-value is 0.05 or more."""
    if pair.adjusted >= 0.05:
        return "no difference can be told"
    return f"{pair.first if pair.only_first > pair.only_second else pair.second} holds more"


def p_words(p: float) -> str:
    """Return a p-value in a few digits."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}" if p > 0 and math.isfinite(math.log10(p)) else "< 1e-300"
