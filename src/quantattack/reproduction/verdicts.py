"""How a claim is judged by the records: holds, does not hold, or cannot be told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from quantattack.reproduction.paper import Row
from quantattack.reproduction.read import Reader

Kind = Literal["holds", "does not hold", "cannot be told"]


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
    votes = [line.says for line in evidence if line.says is not None]
    if any(vote < 0 for vote in votes):
        kind = "does not hold"
    elif votes and all(vote > 0 for vote in votes):
        kind = "holds"
    return Verdict(kind, tuple(evidence))


def rows_of(reader: Reader, item: str, kinds: Sequence[str]) -> Iterator[Row]:
    """Return an item's networks of some kinds that there are records of."""
    for row in reader.plan.paper.items[item].rows:
        if (not kinds or row.role.kind in kinds) and reader.records(row.role).stores:
            yield row


@dataclass(frozen=True)
class Every:
    """Several judges of one claim: all must be for it, one against it is enough."""

    judges: tuple[Judge, ...]

    def __call__(self, reader: Reader) -> Verdict:
        verdicts = [judge(reader) for judge in self.judges]
        evidence = tuple(line for verdict in verdicts for line in verdict.evidence)
        kinds = {verdict.kind for verdict in verdicts if verdict.evidence}
        if "does not hold" in kinds:
            return Verdict("does not hold", evidence)
        return Verdict("holds" if kinds == {"holds"} else "cannot be told", evidence)
