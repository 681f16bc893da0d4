"""Networks side by side on the same images, with paired tests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from quantattack.errors import InputError, unknown
from quantattack.record.cell import Cell, common_images, survivors
from quantattack.record.record import Record
from quantattack.record.statistics import holm, mcnemar
from quantattack.report.tables import Share, threat_words


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
    present = list(dict.fromkeys(record.subject.model for record in records))
    for model in models:
        if model not in present:
            raise unknown("network of this record", model, present)
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if not models or record.subject.model in models:
            groups.setdefault((record.subject.data, record.subject.threat), []).append(record)
    compared = [_compared(group, attack) for group in groups.values() if len(group) > 1]
    return [comparison for comparison in compared if comparison is not None]


def _compared(group: Sequence[Record], attack: str | None) -> Comparison | None:
    cells = {record.subject.model: record.by_attack for record in group}
    names = _common_attacks(list(cells.values()), attack)
    if not names:
        return None
    correct = {model: _correct({name: by_attack[name] for name in names}) for model, by_attack in cells.items()}
    images = reduce(np.intersect1d, [network.images for network in correct.values()])
    if not len(images):
        return None
    _check_labels([by_attack[names[0]] for by_attack in cells.values()], images)
    correct = {model: network.on(images) for model, network in correct.items()}
    clean = {model: Share(int(network.clean.sum()), len(images)) for model, network in correct.items()}
    robust = {model: Share(int(network.robust.sum()), len(images)) for model, network in correct.items()}
    pairs = [_pair(*models, *(correct[model].robust for model in models)) for models in combinations(correct, 2)]
    subject, threat = group[0].subject, threat_words(group[0].threat)
    return Comparison(subject.data, threat, len(images), tuple(names), clean, robust, _adjusted(pairs))


def _common_attacks(cells: Sequence[Mapping[str, Cell]], attack: str | None) -> list[str]:
    """Return the attacks that all networks met, or the one of them that is asked for."""
    names = [name for name in cells[0] if all(name in by_attack for by_attack in cells)]
    if attack is not None and attack not in names:
        raise unknown("attack that these networks have in common", attack, names)
    return names if attack is None else [attack]


@dataclass(frozen=True)
class _Correct:
    """The images that every attack on a network has seen: which are right before the attacks, and after all of them."""

    images: NDArray[np.int64]
    clean: NDArray[np.bool_]
    robust: NDArray[np.bool_]

    def on(self, images: NDArray[np.int64]) -> "_Correct":
        """Return the same of some of the images."""
        places = np.searchsorted(self.images, images)
        return _Correct(images, self.clean[places], self.robust[places])


def _correct(cells: Mapping[str, Cell]) -> _Correct:
    images, last = common_images(cells.values()), list(cells.values())[-1]
    return _Correct(images, last.right[last.places(images)], survivors(cells))


def _check_labels(cells: Sequence[Cell], images: NDArray[np.int64]) -> None:
    first, *others = [cell.outcomes["label"][cell.places(images)] for cell in cells]
    if not all(np.array_equal(labels, first) for labels in others):
        raise InputError("the networks were attacked on different images under one name; they cannot be compared")


def _pair(first: str, second: str, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Pair:
    only_first, only_second = int((one & ~other).sum()), int((~one & other).sum())
    both, neither = int((one & other).sum()), int((~one & ~other).sum())
    return Pair(first, second, both, only_first, only_second, neither, mcnemar(only_first, only_second))


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
