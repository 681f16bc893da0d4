"""Judges of claims that one attack is stronger than another on the same images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from quantattack.record.statistics import mcnemar
from quantattack.reproduction.files import STRICT
from quantattack.reproduction.numbers import Pair, two_sided
from quantattack.reproduction.paper import Row, label
from quantattack.reproduction.read import Reader, Side
from quantattack.reproduction.verdicts import Evidence, Verdict, combine_votes, rows_of


def sign_of(value: int | float) -> int:
    """Return 1, 0 or -1."""
    return (value > 0) - (value < 0)


@dataclass(frozen=True)
class Stronger:
    """The first attack breaks more images than the second, on every network, by McNemar's test.

    A network on which the second attack breaks every image, or one of both was not run, has no vote.

    Arguments:
        item: Key of the table or figure.
        first: Name of the attack that is claimed to be stronger.
        second: Name of the other attack; the same name for one attack at two radii.
        kinds: Kinds of network that the claim is about; all if empty.
        times: Multiple of the data set's standard radius.
        other_times: That of the second attack, where it differs.
        step: Count an image as broken only if it was broken within this many steps; None for all steps.
    """

    item: str
    first: str
    second: str
    kinds: tuple[str, ...] = ()
    times: float = 1.0
    other_times: float | None = None
    step: int | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, self.kinds):
            pair = reader.pair(row.role, *self._sides, step=self.step)
            if pair is None:
                evidence.append(Evidence(f"{row.role.label}: {' or '.join(self._names(reader))} was not run", None))
            elif self._breaks_all(reader, row):
                words = f"{row.role.label}: {self._names(reader)[1]} breaks every image, so no attack can be stronger"
                evidence.append(Evidence(words, None))
            else:
                evidence.append(Evidence(self._words(reader, row, pair), sign_of(pair.first - pair.second), pair.p))
        return combine_votes(evidence)

    @property
    def _sides(self) -> tuple[Side, Side]:
        other = self.times if self.other_times is None else self.other_times
        return Side(self.first, self.times), Side(self.second, other)

    def _breaks_all(self, reader: Reader, row: Row) -> bool:
        """Return whether the second attack breaks every image, so that no attack can be stronger."""
        cells = reader.side(row.role, self._sides[1])
        return bool(cells) and all(record.robust(name) == 0 for record, name in cells)

    def _names(self, reader: Reader) -> tuple[str, str]:
        """Return how both attacks are called, with their radii where these are all that differs."""
        item = reader.plan.paper.items[self.item]
        if self.other_times is None:
            return label(item, self.first), label(item, self.second)
        first, second = (f"{label(item, side.name)} at {side.times:g} times the radius" for side in self._sides)
        return first, second

    def _words(self, reader: Reader, row: Row, pair: Pair) -> str:
        first, second = self._names(reader)
        after = f" after {self.step} steps" if self.step is not None else ""
        low, high = pair.interval
        lower, higher = (first, second) if pair.difference >= 0 else (second, first)
        low, high = (low, high) if pair.difference >= 0 else (-high, -low)
        return (
            f"{row.role.label}{after}: robust accuracy is {100 * abs(pair.difference):.1f} points lower under {lower} "
            f"than under {higher} ({100 * low:.1f} to {100 * high:.1f}); of {pair.images} images, {pair.first} fall "
            f"more often to {first} and {pair.second} to {second}, p = {pair.p:.2g}"
        )


@dataclass(frozen=True)
class Point:
    """Where a gain is measured: after some steps, and at some radius.

    Arguments:
        step: Number of steps; None for all.
        times: Multiple of the data set's standard radius.
        radius: Radius in pixels of [0, 1]; None for `times` the data set's standard radius.
    """

    step: int | None = None
    times: float = 1.0
    radius: float | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __str__(self) -> str:
        return f"at radius {self.radius:g}" if self.radius is not None else f"after {self.step} steps"


@dataclass(frozen=True)
class GainLarger:
    """The gain of one attack over another is larger at one point than at another, on every network.

    The gain is the difference in robust accuracy; its change is tested by the mean over the images.

    Arguments:
        item: Key of the table or figure.
        first: Name of the attack that gains.
        second: Name of the attack that it is compared with.
        at: Where the gain is claimed to be larger.
        than: Where it is claimed to be smaller.
    """

    item: str
    first: str
    second: str
    at: Point
    than: Point

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, ()):
            larger, smaller = (self._pair(reader, row, point) for point in (self.at, self.than))
            if larger is not None and smaller is not None:
                item = reader.plan.paper.items[self.item]
                evidence.append(self._evidence(f"{row.role.label}: {label(item, self.first)}", larger, smaller))
        return combine_votes(evidence)

    def _pair(self, reader: Reader, row: Row, point: Point) -> Pair | None:
        first, second = (Side(name, point.times, point.radius) for name in (self.first, self.second))
        return reader.pair(row.role, first, second, point.step)

    def _evidence(self, who: str, larger: Pair, smaller: Pair) -> Evidence:
        change = Pair(larger.difference_by_image - smaller.difference_by_image, larger.runs)
        low, high = change.interval
        p = two_sided(change.p_over(0.0))
        words = (
            f"{who} gains {100 * larger.difference:.1f} points {self.at} and "
            f"{100 * smaller.difference:.1f} {self.than}, {100 * change.difference:.1f} more "
            f"({100 * low:.1f} to {100 * high:.1f}), p = {p:.2g}"
        )
        return Evidence(words, sign_of(change.difference), p)


def by_majority(signs: Sequence[int], more: str, less: str, of: str = "comparisons", besides: str = "") -> Verdict:
    """Decide by how many comparisons are for a claim and how many against it, by a binomial test.

    Arguments:
        signs: What each comparison says: 1 for the claim, -1 against it, 0 for neither.
        more: What one for the claim says, in words.
        less: What one against it says.
        of: What is compared.
        besides: What else is to be said.
    """
    if not signs:
        return combine_votes([])
    first, second = signs.count(1), signs.count(-1)
    p = mcnemar(first, second)
    words = f"{more} in {first} of {len(signs)} {of} and {less} in {second}, p = {p:.2g}{besides}"
    return combine_votes([Evidence(words, sign_of(first - second), p)])


@dataclass(frozen=True)
class Mostly:
    """The first attack of a pair breaks more images than the second in most comparisons, by a binomial test.

    The comparisons of one network share its images, so that the test counts more evidence than there is.

    Arguments:
        item: Key of a table whose networks are compared.
        items: Keys of the other tables.
        pairs: Names of the attacks, the one that is claimed to be stronger first.
    """

    item: str
    pairs: tuple[tuple[str, str], ...]
    items: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        signs = [sign_of(pair.first - pair.second) for pair in self._compared(reader)]
        return by_majority(signs, "the first breaks more images", "fewer")

    def _compared(self, reader: Reader) -> Iterator[Pair]:
        rows = (row for item in (self.item, *self.items) for row in rows_of(reader, item, ()))
        for row in rows:
            for first, second in self.pairs:
                pair = reader.pair(row.role, Side(first), Side(second))
                if pair is not None:
                    yield pair
