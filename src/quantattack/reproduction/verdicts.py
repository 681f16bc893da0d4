"""How a claim is judged by the records: holds, does not hold, or cannot be told at this size."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantattack.reproduction.items import Column, Row
from quantattack.reproduction.read import Number, Pair, Reader, label

Kind = Literal["holds", "does not hold", "cannot be told"]
Values = NDArray[np.float64] | None
SURE = 0.05  # of a paired test


@dataclass(frozen=True)
class Evidence:
    """What one network says of a claim.

    Arguments:
        words: The numbers in a sentence.
        says: 1 for the claim, -1 against it, 0 for neither; None where it has no say.
    """

    words: str
    says: int | None


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict with its evidence, one line a network."""

    kind: Kind
    evidence: tuple[Evidence, ...]


Judge = Callable[[Reader], Verdict]


def summed(evidence: Sequence[Evidence]) -> Verdict:
    """Return the verdict on a claim about every network: one against it is enough, and all must be for it."""
    kind: Kind = "cannot be told"
    says = [one.says for one in evidence if one.says is not None]
    if any(one < 0 for one in says):
        kind = "does not hold"
    elif says and all(one > 0 for one in says):
        kind = "holds"
    return Verdict(kind, tuple(evidence))


def rows_of(reader: Reader, item: str, kinds: Sequence[str]) -> Iterator[Row]:
    """Return an item's networks of some kinds that there are records of."""
    for row in reader.plan.paper.items[item].rows:
        if (not kinds or row.role.kind in kinds) and reader.found(row.role).stores:
            yield row


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

    def __call__(self, reader: Reader) -> Verdict:
        found = []
        for row in rows_of(reader, self.item, self.kinds):
            pair = reader.pair(row.role, self.first, self.second, self.times, self.step)
            if pair is not None and self._spent(reader, row):
                second = label(reader.plan.paper.items[self.item], self.second)
                found.append(Evidence(f"{row.role.label}: {second} leaves nothing, so nothing is stronger", None))
            elif pair is not None:
                found.append(Evidence(self._words(reader, row, pair), _side(pair)))
        return summed(found)

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

    def __call__(self, reader: Reader) -> Verdict:
        found = []
        for row in rows_of(reader, self.item, self.kinds):
            pair = reader.pair(row.role, self.first, self.second, self.times)
            if pair is not None:
                found.append(Evidence(self._words(reader, row, pair), self._says(pair)))
        return summed(found)

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
class Limit:
    """A share is under a limit, or over it, on every network.

    Arguments:
        item: The table or figure.
        column: Which number.
        limit: The limit, as a share.
        under: Whether the claim is that the share is under the limit, or over it.
        kinds: Kinds of network; all where empty.
    """

    item: str
    column: Column
    limit: float
    under: bool = True
    kinds: tuple[str, ...] = ()

    def __call__(self, reader: Reader) -> Verdict:
        found = []
        for row in rows_of(reader, self.item, self.kinds):
            number = reader.number(row.role, self.column)
            if number is not None and number.interval is not None:
                found.append(Evidence(self._words(row, number), self._says(number.interval)))
        return summed(found)

    def _says(self, interval: tuple[float, float]) -> int:
        low, high = interval
        below = 1 if high < self.limit else -1 if low > self.limit else 0
        return below if self.under else -below

    def _words(self, row: Row, number: Number) -> str:
        low, high = number.interval or (0.0, 1.0)
        return (
            f"{row.role.label}: {100 * number.value:.1f} % ({100 * low:.1f} to {100 * high:.1f}) of {number.images} "
            f"images; the limit is {100 * self.limit:g} %"
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

    def __call__(self, reader: Reader) -> Verdict:
        found = []
        for row in rows_of(reader, self.item, ()):
            early, late = (
                reader.pair(row.role, self.first, self.second, self.times, step) for step in (self.early, self.late)
            )
            if early is not None and late is not None:
                found.append(self._judged(row, early, late))
        return summed(found)

    def _judged(self, row: Row, early: Pair, late: Pair) -> Evidence:
        change = Pair(early.apart - late.apart)
        low, high = change.interval
        words = (
            f"{row.role.label}: gains {100 * early.difference:.1f} points after {self.early} steps and "
            f"{100 * late.difference:.1f} after {self.late}, {100 * change.difference:.1f} less "
            f"({100 * low:.1f} to {100 * high:.1f})"
        )
        return Evidence(words, 1 if low > 0 else -1 if high < 0 else 0)


@dataclass(frozen=True)
class Larger:
    """A measured quantity is so many times another, on every network that has both.

    Arguments:
        item: The table.
        first: The column that should be larger.
        second: The other.
        times: How many times at least.
        kinds: Kinds of network; all where empty.
    """

    item: str
    first: Column
    second: Column
    times: float = 1.0
    kinds: tuple[str, ...] = ()

    def __call__(self, reader: Reader) -> Verdict:
        found = []
        for row in rows_of(reader, self.item, self.kinds):
            pair = [reader.number(row.role, column) for column in (self.first, self.second)]
            if pair[0] is not None and pair[1] is not None:
                lists = [reader.values(row.role, column) for column in (self.first, self.second)]
                found.append(Evidence(self._words(row, pair[0], pair[1]), self._says(pair[0], pair[1], *lists)))
        return summed(found)

    def _says(self, first: Number, second: Number, a: Values = None, b: Values = None) -> int:
        """Compare image by image where there is a number for each; else the numbers themselves."""
        if a is None or b is None or len(a) != len(b):
            return 1 if first.value > self.times * second.value else -1
        apart = a - self.times * b
        half = 1.959964 * float(np.std(apart)) / len(apart) ** 0.5
        mean = float(np.mean(apart))
        return 1 if mean > half else -1 if mean < -half else 0

    def _words(self, row: Row, first: Number, second: Number) -> str:
        return (
            f"{row.role.label}: {self.first.header} {first.value:.3g}, {self.second.header} {second.value:.3g}, "
            f"over {first.images} images"
        )


@dataclass(frozen=True)
class Wider:
    """A measured quantity is so many times larger in one kind of network than in another of the same architecture.

    Arguments:
        item: The table.
        column: The quantity.
        kind: The kind in which it should be larger.
        other: The other kind.
        times: How many times at least.
    """

    item: str
    column: Column
    kind: str
    other: str
    times: float

    def __call__(self, reader: Reader) -> Verdict:
        rows = {(row.role.kind, row.role.architecture): row for row in rows_of(reader, self.item, ())}
        found = []
        for (kind, net), row in rows.items():
            twin = rows.get((self.other, net))
            if kind == self.kind and twin is not None:
                pair = reader.number(row.role, self.column), reader.number(twin.role, self.column)
                if pair[0] is not None and pair[1] is not None:
                    share = pair[0].value / max(pair[1].value, float(np.finfo(float).tiny))
                    sizes = f"{pair[0].value:.3g} in {kind}, {pair[1].value:.3g} in {self.other}"
                    words = f"{net}: {self.column.header} {sizes}"
                    found.append(Evidence(words, 1 if share > self.times else -1))
        return summed(found)


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


@dataclass(frozen=True)
class Every:
    """Several judges of one claim: all must be for it, one against it is enough."""

    judges: tuple[Judge, ...]

    def __call__(self, reader: Reader) -> Verdict:
        found = [judge(reader) for judge in self.judges]
        evidence = tuple(one for verdict in found for one in verdict.evidence)
        kinds = {verdict.kind for verdict in found if verdict.evidence}
        if "does not hold" in kinds:
            return Verdict("does not hold", evidence)
        return Verdict("holds" if kinds == {"holds"} else "cannot be told", evidence)
