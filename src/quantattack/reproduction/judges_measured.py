"""Judges of claims about a measured number: against a limit, against another number, or between two networks."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from quantattack.record.statistics import above, mcnemar
from quantattack.reproduction.files import STRICT
from quantattack.reproduction.judges_paired import by_majority, sign_of
from quantattack.reproduction.numbers import Number, two_sided
from quantattack.reproduction.paper import Column, Row
from quantattack.reproduction.read import Reader
from quantattack.reproduction.verdicts import Evidence, Verdict, combine_votes, rows_of

Values = NDArray[np.float64] | None


@dataclass(frozen=True)
class Limit:
    """An accuracy is below a limit, or above it, on every network, by an exact binomial test.

    Arguments:
        item: Key of the table or figure.
        column: Column of the accuracy.
        limit: The limit, as a fraction.
        under: True if the claim is that the accuracy is below the limit, False if above.
        kinds: Kinds of network that the claim is about; all if empty.
    """

    item: str
    column: Column
    limit: float
    under: bool = True
    kinds: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, self.kinds):
            number = reader.number(row.role, self.column)
            if number is not None and number.interval is not None:
                evidence.append(Evidence(self._words(row, number), *self._vote(number)))
        return combine_votes(evidence)

    def _vote(self, number: Number) -> tuple[int, float]:
        """Return the vote and its two-sided p-value."""
        right, wrong = round(number.value * number.images), round((1 - number.value) * number.images)
        over, under = above(right, number.images, self.limit), above(wrong, number.images, 1 - self.limit)
        says = 1 if (under < over) == self.under else -1
        return says, min(1.0, 2 * min(over, under))

    def _words(self, row: Row, number: Number) -> str:
        low, high = number.interval or (0.0, 1.0)
        return (
            f"{row.role.label}, {self.column.name}: {100 * number.value:.1f} % "
            f"({100 * low:.1f} to {100 * high:.1f}) of {number.images} "
            f"images; the limit is {100 * self.limit:g} %"
        )


@dataclass(frozen=True)
class Larger:
    """One signal's number is more than `times` another, on every network that has both.

    If both have a value for each image, first - times * second is tested image by image by its mean; otherwise the two
    numbers are compared without a test.

    Arguments:
        item: Key of the table.
        first: Column that is claimed to be larger.
        second: Column that it is compared with.
        times: Factor on the second number.
        kinds: Kinds of network that the claim is about; all if empty.
        cap: The largest value that can be measured; images are then counted by which value is larger, by McNemar's
            test, since a mean over values at the cap is none, and those with both values at the cap are left out.
    """

    item: str
    first: Column
    second: Column
    times: float = 1.0
    kinds: tuple[str, ...] = ()
    cap: float | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, self.kinds):
            first, second = (reader.number(row.role, column) for column in (self.first, self.second))
            if first is not None and second is not None:
                values = [reader.values(row.role, column) for column in (self.first, self.second)]
                words, vote = self._words(row, first, second), self._vote(first, second, *values)
                if self.cap is not None and values[0] is not None and values[1] is not None:
                    counted, vote = self._counted(self.cap, values[0], values[1])
                    words += counted
                evidence.append(Evidence(words, *vote))
        return combine_votes(evidence)

    def _vote(self, first: Number, second: Number, a: Values, b: Values) -> tuple[int, float | None]:
        """Return the vote and its p-value: by the per-image values if both have them, else by the two numbers."""
        if a is None or b is None or len(a) != len(b):
            return (1 if first.value > self.times * second.value else -1), None
        difference = a - self.times * b
        mean, error = float(np.mean(difference)), float(np.std(difference)) / len(difference) ** 0.5
        if error == 0:
            return sign_of(mean), 0.0 if mean else 1.0
        return sign_of(mean), two_sided(NormalDist().cdf(mean / error))

    def _counted(self, cap: float, a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[str, tuple[int, float]]:
        """Return how many images have a larger first or second value, in words, and the vote with its p-value."""
        told = ~((a >= cap) & (b >= cap))
        more, less, capped = int((a > b)[told].sum()), int((a < b)[told].sum()), int((~told).sum())
        p = mcnemar(more, less)
        words = f": {self.first.header} larger on {more}, smaller on {less}, both at the cap of {cap:g} on {capped}"
        return f"{words}, p = {p:.2g}", (sign_of(more - less), p)

    def _words(self, row: Row, first: Number, second: Number) -> str:
        return (
            f"{row.role.label}: {self.first.header} {first.value:.3g}, {self.second.header} {second.value:.3g}, "
            f"over {first.images} images"
        )


@dataclass(frozen=True)
class MostlyLarger:
    """The first signal of a pair is larger than the second in most comparisons, on most networks by a binomial test.

    A network has one vote, since its comparisons share its images.

    Arguments:
        item: Key of the table.
        pairs: Columns, the one that is claimed to be larger first.
    """

    item: str
    pairs: tuple[tuple[Column, Column], ...]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        found = {row.role.label: self._signs(reader, row) for row in rows_of(reader, self.item, ())}
        smaller = [f"{header} of {label}" for label, signs in found.items() for header in signs if signs[header] < 0]
        votes = [sign_of(sum(signs.values())) for signs in found.values() if signs]
        more = f"; smaller: {', '.join(smaller)}" if smaller else ""
        return by_majority(votes, "most are larger", "most are smaller", "networks", more)

    def _signs(self, reader: Reader, row: Row) -> dict[str, int]:
        numbers = {columns[0].header: [reader.number(row.role, column) for column in columns] for columns in self.pairs}
        pairs = {header: (first, second) for header, (first, second) in numbers.items() if first and second}
        return {header: sign_of(first.value - second.value) for header, (first, second) in pairs.items()}


@dataclass(frozen=True)
class Nearer:
    """One number is nearer to a value than another, on every network that has both; the numbers have no test.

    Arguments:
        item: Key of the table.
        first: Column that is claimed to be nearer.
        second: Column that it is compared with.
        to: The value.
        kinds: Kinds of network that the claim is about; all if empty.
    """

    item: str
    first: Column
    second: Column
    to: float
    kinds: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, self.kinds):
            first, second = (reader.number(row.role, column) for column in (self.first, self.second))
            if first is not None and second is not None:
                words = (
                    f"{row.role.label}: {self.first.header} {first.value:.3g}, {self.second.header} {second.value:.3g}"
                )
                nearer = abs(second.value - self.to) - abs(first.value - self.to)
                evidence.append(Evidence(words, sign_of(nearer)))
        return combine_votes(evidence)


@dataclass(frozen=True)
class Wider:
    """A number is more than `times` as large in one kind of network as in another, for each architecture with both.

    The number grows with the logits; a network whose loss saw another scale of them in its training is compared at both
    scales, and decides nothing where they differ.

    Arguments:
        item: Key of the table.
        column: Column of the number.
        kind: Kind of network in which it is claimed to be larger.
        other: Kind of network that it is compared with.
        times: Factor that it must exceed.
    """

    item: str
    column: Column
    kind: str
    other: str
    times: float

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        larger, smaller = (
            [row.role for row in rows_of(reader, self.item, (kind,))] for kind in (self.kind, self.other)
        )
        evidence = []
        for first, second in ((a, b) for a in larger for b in smaller if a.family == b.family):
            pair = reader.number(first, self.column), reader.number(second, self.column)
            if pair[0] is not None and pair[1] is not None:
                scales = reader.logit_scale(first), reader.logit_scale(second)
                name = max(first.architecture, second.architecture, key=len)  # which says how a twin was trained
                evidence.append(self._evidence(name, (pair[0].value, pair[1].value), scales))
        return combine_votes(evidence)

    def _evidence(self, architecture: str, values: tuple[float, float], scales: tuple[float, float]) -> Evidence:
        at_training = values[0] * scales[0], values[1] * scales[1]
        votes = {1 if first > self.times * second else -1 for first, second in (values, at_training)}
        words = f"{architecture}: {self.column.header} {self._sizes(values)}"
        if at_training != values:
            words += f"; for the logits that their trainings saw {self._sizes(at_training)}"
        return Evidence(words, votes.pop() if len(votes) == 1 else 0)

    def _sizes(self, values: tuple[float, float]) -> str:
        return f"{values[0]:.3g} in {self.kind}, {values[1]:.3g} in {self.other}"
