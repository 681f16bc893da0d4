"""Judges of claims about a measured number: against a limit, against another number, or between two networks."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from quantattack.reproduction.files import STRICT
from quantattack.reproduction.numbers import Number, Z
from quantattack.reproduction.paper import Column, Row
from quantattack.reproduction.read import Reader
from quantattack.reproduction.verdicts import Evidence, Verdict, combine_votes, rows_of

Values = NDArray[np.float64] | None


@dataclass(frozen=True)
class Limit:
    """An accuracy is below a limit, or above it, on every network, by its whole 95 % interval.

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
                evidence.append(Evidence(self._words(row, number), self._says(number.interval)))
        return combine_votes(evidence)

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
class Larger:
    """One signal's number is more than `times` another, on every network that has both.

    If both have a value for each image, the mean of first - times * second must differ from 0 by its 95 % interval;
    otherwise the two numbers are compared without an interval.

    Arguments:
        item: Key of the table.
        first: Column that is claimed to be larger.
        second: Column that it is compared with.
        times: Factor on the second number.
        kinds: Kinds of network that the claim is about; all if empty.
    """

    item: str
    first: Column
    second: Column
    times: float = 1.0
    kinds: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, self.kinds):
            pair = [reader.number(row.role, column) for column in (self.first, self.second)]
            if pair[0] is not None and pair[1] is not None:
                per_image = [reader.values(row.role, column) for column in (self.first, self.second)]
                vote = self._says(pair[0], pair[1], *per_image)
                evidence.append(Evidence(self._words(row, pair[0], pair[1]), vote))
        return combine_votes(evidence)

    def _says(self, first: Number, second: Number, a: Values = None, b: Values = None) -> int:
        """Return the vote: by the per-image values if both have them, else by the two numbers."""
        if a is None or b is None or len(a) != len(b):
            return 1 if first.value > self.times * second.value else -1
        difference = a - self.times * b
        half = Z * float(np.std(difference)) / len(difference) ** 0.5
        mean = float(np.mean(difference))
        return 1 if mean > half else -1 if mean < -half else 0

    def _words(self, row: Row, first: Number, second: Number) -> str:
        return (
            f"{row.role.label}: {self.first.header} {first.value:.3g}, {self.second.header} {second.value:.3g}, "
            f"over {first.images} images"
        )


@dataclass(frozen=True)
class Wider:
    """A number is more than `times` as large in one kind of network as in another, for each architecture with both.

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
        rows = {(row.role.kind, row.role.architecture): row for row in rows_of(reader, self.item, ())}
        evidence = []
        for (kind, architecture), row in rows.items():
            other = rows.get((self.other, architecture))
            if kind == self.kind and other is not None:
                pair = reader.number(row.role, self.column), reader.number(other.role, self.column)
                if pair[0] is not None and pair[1] is not None:
                    ratio = pair[0].value / max(pair[1].value, float(np.finfo(float).tiny))
                    sizes = f"{pair[0].value:.3g} in {kind}, {pair[1].value:.3g} in {self.other}"
                    words = f"{architecture}: {self.column.header} {sizes}"
                    evidence.append(Evidence(words, 1 if ratio > self.times else -1))
        return combine_votes(evidence)
