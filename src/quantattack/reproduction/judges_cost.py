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
        evidence: dict[str, Evidence] = {}
        for row in rows_of(reader, self.item, self.kinds):
            sides = [reader.side(row.role, Side(name)) for name in (self.first, self.second)]
            if sides[0] and len(sides[0]) == len(sides[1]):
                about, ratios = self._measured(reader, row, sides)
                words = f"{about}: {self._words(reader.plan.paper.items[self.item], ratios)}"
                evidence.setdefault(words, Evidence(words, *self.vote(ratios)))
        return combine_votes(list(evidence.values()))

    def _measured(self, reader: Reader, row: Row, sides: Sequence[list[RecordedCell]]) -> tuple[str, list[float]]:
        """Return what the ratios of the costs are about, and the ratios; passes depend on the classes alone."""
        if self.unit == "passes":
            (record, name), (_, other) = sides[0][0], sides[1][0]
            data = record.subject.data
            item, classes = reader.plan.paper.items[self.item], SETS[data].classes
            attacks = built_attacks(reader, item, row, data, reader.plan.scale)
            ratio = passes(attacks[name], classes) / passes(attacks[other], classes)
            return f"every network of {classes} classes", [ratio]
        costs = [(cost(a) / passes_of(a), cost(b) / passes_of(b)) for a, b in zip(*sides, strict=True)]
        return row.role.label, [first / second for first, second in costs]

    def _words(self, item: Item, ratios: Sequence[float]) -> str:
        runs = f" over {len(ratios)} runs" if len(ratios) > 1 else ""
        first, second = label(item, self.first), label(item, self.second)
        where = " on an image that withstands both" if self.unit == "passes" else ""
        return (
            f"{first} takes {np.mean(ratios):.2f} times the {self.unit} of {second}{where}{runs}; "
            f"the limit is {self.most:g}"
        )

    def vote(self, ratios: Sequence[float]) -> tuple[int, float | None]:
        """Return the vote and its p-value: None for counted passes, and undecided with 1 for the seconds of one run."""
        from scipy.stats import ttest_1samp

        below = np.log(self.most) - np.log(ratios)
        tested = self.unit != "passes" and len(ratios) > 1
        p = float(ttest_1samp(below, 0.0).pvalue) if tested else None
        if self.unit != "passes" and not tested:
            return 0, 1.0
        return sign_of(float(np.mean(below))), p
