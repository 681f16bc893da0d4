"""Judges of claims about a measured number: under a limit, larger than another, larger in another network."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from quantattack.reproduction.files import STRICT
from quantattack.reproduction.numbers import Number, Z
from quantattack.reproduction.paper import Column, Row
from quantattack.reproduction.read import Reader
from quantattack.reproduction.verdicts import Evidence, Verdict, rows_of, summed

Values = NDArray[np.float64] | None


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

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, self.kinds):
            number = reader.number(row.role, self.column)
            if number is not None and number.interval is not None:
                evidence.append(Evidence(self._words(row, number), self._says(number.interval)))
        return summed(evidence)

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

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        evidence = []
        for row in rows_of(reader, self.item, self.kinds):
            pair = [reader.number(row.role, column) for column in (self.first, self.second)]
            if pair[0] is not None and pair[1] is not None:
                lists = [reader.values(row.role, column) for column in (self.first, self.second)]
                evidence.append(Evidence(self._words(row, pair[0], pair[1]), self._says(pair[0], pair[1], *lists)))
        return summed(evidence)

    def _says(self, first: Number, second: Number, a: Values = None, b: Values = None) -> int:
        """Compare image by image where there is a number for each; else the numbers themselves."""
        if a is None or b is None or len(a) != len(b):
            return 1 if first.value > self.times * second.value else -1
        apart = a - self.times * b
        half = Z * float(np.std(apart)) / len(apart) ** 0.5
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

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        rows = {(row.role.kind, row.role.architecture): row for row in rows_of(reader, self.item, ())}
        evidence = []
        for (kind, net), row in rows.items():
            twin = rows.get((self.other, net))
            if kind == self.kind and twin is not None:
                pair = reader.number(row.role, self.column), reader.number(twin.role, self.column)
                if pair[0] is not None and pair[1] is not None:
                    share = pair[0].value / max(pair[1].value, float(np.finfo(float).tiny))
                    sizes = f"{pair[0].value:.3g} in {kind}, {pair[1].value:.3g} in {self.other}"
                    words = f"{net}: {self.column.header} {sizes}"
                    evidence.append(Evidence(words, 1 if share > self.times else -1))
        return summed(evidence)
