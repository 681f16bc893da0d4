"""Judges of claims that two attacks, or two ways of training, are alike to within a margin.

The margin is a quarter of the effect that the paper claims for what is said to make no difference here.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from quantattack.reproduction.files import STRICT
from quantattack.reproduction.numbers import Pair
from quantattack.reproduction.paper import Row, label
from quantattack.reproduction.read import Reader, Side
from quantattack.reproduction.verdicts import Evidence, Verdict, combine_votes, rows_of

PART = 0.25  # of the claimed effect


def no_larger(pair: Pair, margin: float) -> tuple[int, float]:
    """Return the vote on a difference of at most a margin, and its two-sided p-value."""
    over = pair.p_over(margin)
    return (1, 2 * (1 - over)) if over > 0.5 else (-1, 2 * over)


@dataclass(frozen=True)
class Alike:
    """Two attacks leave the same robust accuracy, to within a quarter of a claimed effect, on every network.

    By two one-sided tests: for the claim if the 95 % interval of the difference lies inside the margin, against it if
    wholly outside.

    Arguments:
        item: Key of the table or figure.
        first: Name of one attack.
        second: Name of the other attack.
        effect: Effect that the paper claims, in robust accuracy as a fraction.
        kinds: Kinds of network that the claim is about; all if empty.
        times: Multiple of the data set's standard radius.
        step: Count an image as broken only if it was broken within this many steps; None for all steps.
        where: Where the paper claims it, such as ``on MNIST``, for an effect of other networks than the item's.
    """

    item: str
    first: str
    second: str
    effect: float
    kinds: tuple[str, ...] = ()
    times: float = 1.0
    step: int | None = None
    where: str = ""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, self.kinds):
            pair = reader.pair(row.role, Side(self.first, self.times), Side(self.second, self.times), self.step)
            if pair is not None:
                says, p = self._vote(pair)
                evidence.append(Evidence(self._words(reader, row, pair), says, min(1.0, p)))
        return combine_votes(evidence)

    @property
    def within(self) -> float:
        """The margin, as a fraction."""
        return PART * self.effect

    def _vote(self, pair: Pair) -> tuple[int, float]:
        """Return the vote and its p-value: the difference is neither above the margin nor below its negative."""
        flipped = Pair(-pair.difference_by_image, pair.runs)
        above, below = no_larger(pair, self.within), no_larger(flipped, self.within)
        if above[0] == below[0] == 1:
            return 1, max(above[1], below[1])
        return above if above[0] == -1 else below

    def _words(self, reader: Reader, row: Row, pair: Pair) -> str:
        item, (low, high) = reader.plan.paper.items[self.item], pair.interval
        names = f"{label(item, self.second)} minus {label(item, self.first)}"
        where = f", {self.times:g} times the radius" if self.times != 1 else ""
        where += f" after {self.step} steps" if self.step is not None else ""
        return (
            f"{row.role.label}{where}: {names} is {100 * pair.difference:.1f} points ({100 * low:.1f} to "
            f"{100 * high:.1f}), {pair.images} images; the margin is {margin_words(self.effect, self.where)}"
        )


def margin_words(effect: float, where: str = "") -> str:
    """Return the margin of a claimed effect in words, with where the paper claims it if that is elsewhere."""
    there = f" {where}" if where else ""
    return f"{100 * PART * effect:.2g} points, a quarter of the {100 * effect:.3g} that the paper claims{there}"


@dataclass(frozen=True)
class NoStronger(Alike):
    """The first attack gains no more over the second than a quarter of a claimed effect, on every network."""

    def _vote(self, pair: Pair) -> tuple[int, float]:
        return no_larger(pair, self.within)


@dataclass(frozen=True)
class Trained:
    """A network trained one way is not more robust than one trained another way, or not less, to within a margin.

    For the claim if the 95 % interval of the difference lies below the margin; against it if the interval lies above 0.

    Arguments:
        item: Key of the table.
        attack: Name of the attack.
        kind: Kind of the network that the claim is about.
        other: Kind of the network that it is compared with.
        effect: Effect that the paper claims, in robust accuracy as a fraction.
        no: ``better`` if the claim is that `kind` is not more robust, ``worse`` if it is that it is not less robust.
        where: Where the paper claims the effect, if that is not where it is used.
    """

    item: str
    attack: str
    kind: str
    other: str
    effect: float
    no: Literal["better", "worse"] = "better"
    where: str = ""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        rows = {row.role.kind: row for row in rows_of(reader, self.item, (self.kind, self.other))}
        if len(rows) < len((self.kind, self.other)):
            return combine_votes([])
        pair = reader.network_pair(rows[self.other].role, rows[self.kind].role, self.attack)
        if pair is None:
            return combine_votes([])
        says, p = self._vote(pair if self.no == "better" else Pair(-pair.difference_by_image))
        low, high = pair.interval
        compared = "less" if pair.difference < 0 else "more"
        under = label(reader.plan.paper.items[self.item], self.attack)
        words = (
            f"{self.kind}: {abs(100 * pair.difference):.1f} points {compared} robust than {self.other} under {under} "
            f"(more by {100 * low:.1f} to {100 * high:.1f}), {pair.images} images, one training each; the margin is "
            f"{margin_words(self.effect, self.where)}"
        )
        return combine_votes([Evidence(words, says, min(1.0, p))])

    def _vote(self, pair: Pair) -> tuple[int, float]:
        """Return the vote and its p-value: the smaller one of being under the margin and of being above 0."""
        below, above = 2 * (1 - pair.p_over(PART * self.effect)), 2 * pair.p_over(0.0)
        return (1, below) if below <= above else (-1, above)
