"""Judges of claims about two attacks, or two networks, on the same images."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from quantattack.reproduction.files import STRICT
from quantattack.reproduction.numbers import Pair
from quantattack.reproduction.paper import Row, label
from quantattack.reproduction.read import Reader
from quantattack.reproduction.verdicts import Evidence, Verdict, rows_of, summed

SURE = 0.05  # of a paired test


@dataclass(frozen=True)
class Stronger:
    """The first attack leaves fewer images than the second, on every network; both leaving nothing says nothing.

    Arguments:
        item: The table or figure.
        first: Name of the attack that should be stronger.
        second: Name of the other.
        kinds: Kinds of network; all where empty.
        times: The radius over the data set's own.
        step: Count only what had fallen after so many steps.
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
            if pair is not None and self._spent(reader, row):
                second = label(reader.plan.paper.items[self.item], self.second)
                evidence.append(Evidence(f"{row.role.label}: {second} leaves nothing, so nothing is stronger", None))
            elif pair is not None:
                evidence.append(Evidence(self._words(reader, row, pair), _side(pair)))
        return summed(evidence)

    def _spent(self, reader: Reader, row: Row) -> bool:
        """Whether the second attack leaves nothing, so that nothing can be stronger."""
        cells = reader.side(row.role, self.second, self.times)
        return bool(cells) and all(record.robust(name) == 0 for record, name in cells)

    def _words(self, reader: Reader, row: Row, pair: Pair) -> str:
        item = reader.plan.paper.items[self.item]
        first, second = label(item, self.first), label(item, self.second)
        after = f" after {self.step} steps" if self.step is not None else ""
        low, high = pair.interval
        return (
            f"{row.role.label}{after}: {first} leaves {100 * pair.difference:.1f} points less than {second} "
            f"({100 * low:.1f} to {100 * high:.1f}); {pair.first} images against {pair.second} of {pair.images}, "
            f"p = {pair.p:.2g}"
        )


def _side(pair: Pair) -> int:
    if pair.p >= SURE:
        return 0
    return 1 if pair.first > pair.second else -1


@dataclass(frozen=True)
class Alike:
    """Two attacks leave the same images to within some points, on every network.

    Arguments:
        item: The table or figure.
        first: Name of an attack.
        second: Name of the other.
        kinds: Kinds of network; all where empty.
        within: The largest difference that counts as none, as a share.
        times: The radius over the data set's own.
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
        return summed(evidence)

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
    """What an attack gains over another is larger after few steps than after many.

    Arguments:
        item: The table or figure.
        first: Name of the attack that gains.
        second: Name of the other.
        early: Few steps.
        late: Many steps.
        times: The radius over the data set's own.
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
                evidence.append(self._judged(row, early, late))
        return summed(evidence)

    def _judged(self, row: Row, early: Pair, late: Pair) -> Evidence:
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
    """A network withstands an attack no better than another, or no worse, to within some points.

    Arguments:
        item: The table.
        attack: Name of the attack.
        kind: The network's kind.
        other: The other's.
        no: Which of the two the claim is.
        within: The largest difference that counts as none, as a share.
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
            return summed([])
        pair = reader.across(rows[self.other].role, rows[self.kind].role, self.attack)
        if pair is None:
            return summed([])
        low, high = pair.interval
        most, least = (high, low) if self.no == "better" else (-low, -high)
        says = 1 if most <= self.within else -1 if least > 0 else 0
        words = (
            f"{self.kind}: {100 * pair.difference:.1f} points more robust than {self.other} "
            f"({100 * low:.1f} to {100 * high:.1f}), {pair.images} images"
        )
        return summed([Evidence(words, says)])
