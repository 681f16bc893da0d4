"""Verdicts on a paper's claims from the records: holds, does not hold, or cannot be told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from quantattack.reproduction.paper import Row
from quantattack.reproduction.read import Reader

Kind = Literal["holds", "does not hold", "cannot be told"]


@dataclass(frozen=True)
class Evidence:
    """One network's vote on a claim.

    Arguments:
        words: The network's numbers, as a sentence.
        says: The vote: 1 for the claim, -1 against it, 0 undecided; None for an abstention, which is not counted.
    """

    words: str
    says: int | None


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict, with the evidence of each network."""

    kind: Kind
    evidence: tuple[Evidence, ...]


Judge = Callable[[Reader], Verdict]  # decides a claim from the records


def combine_votes(evidence: Sequence[Evidence]) -> Verdict:
    """Combine the networks' votes: one against the claim refutes it; it holds only if all are for it."""
    kind: Kind = "cannot be told"
    votes = [line.says for line in evidence if line.says is not None]
    if any(vote < 0 for vote in votes):
        kind = "does not hold"
    elif votes and all(vote > 0 for vote in votes):
        kind = "holds"
    return Verdict(kind, tuple(evidence))


def rows_of(reader: Reader, item: str, kinds: Sequence[str]) -> Iterator[Row]:
    """Yield an item's rows of some kinds, or of all if `kinds` is empty, whose networks have records."""
    for row in reader.plan.paper.items[item].rows:
        if (not kinds or row.role.kind in kinds) and reader.records(row.role).stores:
            yield row


@dataclass(frozen=True)
class Every:
    """Combine several judges of one claim: one against it refutes it; it holds only if all that have evidence agree."""

    judges: tuple[Judge, ...]

    def __call__(self, reader: Reader) -> Verdict:
        verdicts = [judge(reader) for judge in self.judges]
        evidence = tuple(line for verdict in verdicts for line in verdict.evidence)
        kinds = {verdict.kind for verdict in verdicts if verdict.evidence}
        if "does not hold" in kinds:
            return Verdict("does not hold", evidence)
        return Verdict("holds" if kinds == {"holds"} else "cannot be told", evidence)
