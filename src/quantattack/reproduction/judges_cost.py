"""Judge of claims about what one attack costs beside another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import ConfigDict

from quantattack.attacks.base import passes
from quantattack.data.sets import SETS
from quantattack.reproduction.files import STRICT
from quantattack.reproduction.judges_paired import sign_of
from quantattack.reproduction.numbers import RecordedCell, cost, passes_of
from quantattack.reproduction.paper import Item, Row, label
from quantattack.reproduction.read import Reader, Side
from quantattack.reproduction.settings import built_attacks
from quantattack.reproduction.verdicts import Evidence, Verdict, combine_votes, rows_of


@dataclass(frozen=True)
class Cheap:
    """The first attack costs at most `most` times as much as the second, on every network.

    Passes are those of an image that withstands both, by the attacks' settings, since an attack that breaks more images
    spends fewer; they are compared without a test.  Seconds are taken for each pass, for the same reason, and are
    compared run by run with a t-test of the logarithm of their ratio.

    Arguments:
        item: Key of the table or figure.
        first: Name of the attack that is claimed to be cheap.
        second: Name of the attack that it is compared with.
        unit: What is compared.
        most: Largest ratio that counts as cheap.
        kinds: Kinds of network that the claim is about; all if empty.
    """

    item: str
    first: str
    second: str
    unit: Literal["passes", "seconds a pass"]
    most: float = 1.1
    kinds: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __call__(self, reader: Reader) -> Verdict:
        item, evidence = reader.plan.paper.items[self.item], []
        for row in rows_of(reader, self.item, self.kinds):
            first, second = (reader.side(row.role, Side(name)) for name in (self.first, self.second))
            if first and len(first) == len(second):
                ratios = self._ratios(reader, row, first, second)
                words = f"{row.role.label}: {self._words(item, ratios)}"
                evidence.append(Evidence(words, *self.vote(ratios)))
        return combine_votes(evidence)

    def _ratios(
        self, reader: Reader, row: Row, first: Sequence[RecordedCell], second: Sequence[RecordedCell]
    ) -> list[float]:
        if self.unit == "passes":
            return [self._spent(reader, row, first[0]) / self._spent(reader, row, second[0])]
        return [cost(a) / passes_of(a) / (cost(b) / passes_of(b)) for a, b in zip(first, second, strict=True)]

    def _spent(self, reader: Reader, row: Row, cell: RecordedCell) -> int:
        """Return the passes that an attack spends on an image that withstands it."""
        data = cell[0].subject.data
        attacks = built_attacks(reader, reader.plan.paper.items[self.item], row, data, reader.plan.scale)
        return passes(attacks[cell[1]], SETS[data].classes)

    def _words(self, item: Item, ratios: Sequence[float]) -> str:
        runs = f" over {len(ratios)} runs" if len(ratios) > 1 else ""
        first, second = label(item, self.first), label(item, self.second)
        where = " on an image that withstands both" if self.unit == "passes" else ""
        return (
            f"{first} takes {np.mean(ratios):.2f} times the {self.unit} of {second}{where}{runs}; "
            f"the limit is {self.most:g}"
        )

    def vote(self, ratios: Sequence[float]) -> tuple[int, float | None]:
        """Return the vote and its p-value; None where there is nothing to test: counted passes, or one run."""
        from scipy.stats import ttest_1samp

        below = np.log(self.most) - np.log(ratios)
        tested = self.unit != "passes" and len(ratios) > 1
        p = float(ttest_1samp(below, 0.0).pvalue) if tested else None
        if self.unit != "passes" and not tested:
            return 0, 1.0
        return sign_of(float(np.mean(below))), p
