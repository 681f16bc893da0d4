"""Judges of claims that compare two attacks, or two networks, on the same images."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from quantattack.reproduction.files import STRICT
from quantattack.reproduction.numbers import Pair
from quantattack.reproduction.paper import Row, label
from quantattack.reproduction.read import Reader
from quantattack.reproduction.verdicts import Evidence, Verdict, combine_votes, rows_of

SIGNIFICANCE = 0.05  # level of McNemar's test


@dataclass(frozen=True)
class Stronger:
    """The first attack breaks more images than the second, on every network, by McNemar's test.

    A network on which the second attack breaks every image has no vote.

    Arguments:
        item: Key of the table or figure.
        first: Name of the attack that is claimed to be stronger.
        second: Name of the other attack.
        kinds: Kinds of network that the claim is about; all if empty.
        times: Multiple of the data set's standard radius.
        step: Count an image as broken only if it was broken within this many steps; None for all steps.
    """

    item: str
    first: str
    second: str
    kinds: tuple[str, ...] = ()
    times: float = 1.0
    step: int | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, self.kinds):
            pair = reader.pair(row.role, self.first, self.second, self.times, self.step)
            if pair is not None and self._breaks_all(reader, row):
                second = label(reader.plan.paper.items[self.item], self.second)
                evidence.append(
                    Evidence(f"{row.role.label}: {second} breaks every image, so no attack can be stronger", None)
                )
            elif pair is not None:
                evidence.append(Evidence(self._words(reader, row, pair), _vote(pair)))
        return combine_votes(evidence)

    def _breaks_all(self, reader: Reader, row: Row) -> bool:
        """Return whether the second attack breaks every image, so that no attack can be stronger."""
        cells = reader.side(row.role, self.second, self.times)
        return bool(cells) and all(record.robust(name) == 0 for record, name in cells)

    def _words(self, reader: Reader, row: Row, pair: Pair) -> str:
        item = reader.plan.paper.items[self.item]
        first, second = label(item, self.first), label(item, self.second)
        after = f" after {self.step} steps" if self.step is not None else ""
        low, high = pair.interval
        return (
            f"{row.role.label}{after}: robust accuracy is {100 * pair.difference:.1f} points lower under {first} than "
            f"under {second} ({100 * low:.1f} to {100 * high:.1f}); of {pair.images} images, {pair.first} fall more "
            f"often to {first} and {pair.second} to {second}, p = {pair.p:.2g}"
        )


def _vote(pair: Pair) -> int:
    if pair.p >= SIGNIFICANCE:
        return 0
    return 1 if pair.first > pair.second else -1


@dataclass(frozen=True)
class Alike:
    """Two attacks leave the same robust accuracy, to within a margin, on every network.

    For the claim if the 95 % interval of the difference lies inside the margin, against it if wholly outside.

    Arguments:
        item: Key of the table or figure.
        first: Name of one attack.
        second: Name of the other attack.
        kinds: Kinds of network that the claim is about; all if empty.
        within: Margin of the difference in robust accuracy, as a fraction.
        times: Multiple of the data set's standard radius.
    """

    item: str
    first: str
    second: str
    kinds: tuple[str, ...] = ()
    within: float = 0.05
    times: float = 1.0

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, self.kinds):
            pair = reader.pair(row.role, self.first, self.second, self.times)
            if pair is not None:
                evidence.append(Evidence(self._words(reader, row, pair), self._says(pair)))
        return combine_votes(evidence)

    def _says(self, pair: Pair) -> int:
        low, high = pair.interval
        if -self.within <= low and high <= self.within:
            return 1
        return -1 if low > self.within or high < -self.within else 0

    def _words(self, reader: Reader, row: Row, pair: Pair) -> str:
        item, (low, high) = reader.plan.paper.items[self.item], pair.interval
        names = f"{label(item, self.second)} minus {label(item, self.first)}"
        where = f", {self.times:g} times the radius" if self.times != 1 else ""
        return (
            f"{row.role.label}{where}: {names} is {100 * pair.difference:.1f} points "
            f"({100 * low:.1f} to {100 * high:.1f}), {pair.images} images"
        )


@dataclass(frozen=True)
class GainFalls:
    """The gain of one attack over another is larger after few steps than after many, on every network.

    The gain is the difference in robust accuracy; the 95 % interval of its change must exclude 0.

    Arguments:
        item: Key of the table or figure.
        first: Name of the attack that gains.
        second: Name of the attack that it is compared with.
        early: The smaller number of steps.
        late: The larger number of steps.
        times: Multiple of the data set's standard radius.
    """

    item: str
    first: str
    second: str
    early: int
    late: int
    times: float = 1.0

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, ()):
            early, late = (
                reader.pair(row.role, self.first, self.second, self.times, step) for step in (self.early, self.late)
            )
            if early is not None and late is not None:
                evidence.append(self._evidence(row, early, late))
        return combine_votes(evidence)

    def _evidence(self, row: Row, early: Pair, late: Pair) -> Evidence:
        change = Pair(early.difference_by_image - late.difference_by_image)
        low, high = change.interval
        words = (
            f"{row.role.label}: gains {100 * early.difference:.1f} points after {self.early} steps and "
            f"{100 * late.difference:.1f} after {self.late}, {100 * change.difference:.1f} less "
            f"({100 * low:.1f} to {100 * high:.1f})"
        )
        return Evidence(words, 1 if low > 0 else -1 if high < 0 else 0)


@dataclass(frozen=True)
class Trained:
    """A network trained one way is not more robust than one trained another way, or not less, to within a margin.

    For the claim if the 95 % interval of the difference lies below the margin; else against it if the interval lies
    above 0.

    Arguments:
        item: Key of the table.
        attack: Name of the attack.
        kind: Kind of the network that the claim is about.
        other: Kind of the network that it is compared with.
        no: ``better`` if the claim is that `kind` is not more robust, ``worse`` if it is that it is not less robust.
        within: Margin of the difference in robust accuracy, as a fraction.
    """

    item: str
    attack: str
    kind: str
    other: str
    no: Literal["better", "worse"] = "better"
    within: float = 0.05

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        rows = {row.role.kind: row for row in rows_of(reader, self.item, (self.kind, self.other))}
        if len(rows) < len((self.kind, self.other)):
            return combine_votes([])
        pair = reader.network_pair(rows[self.other].role, rows[self.kind].role, self.attack)
        if pair is None:
            return combine_votes([])
        low, high = pair.interval
        upper, lower = (high, low) if self.no == "better" else (-low, -high)
        vote = 1 if upper <= self.within else -1 if lower > 0 else 0
        words = (
            f"{self.kind}: {100 * pair.difference:.1f} points more robust than {self.other} "
            f"({100 * low:.1f} to {100 * high:.1f}), {pair.images} images"
        )
        return combine_votes([Evidence(words, vote)])
