"""Verdicts on a paper's claims from the records: holds, does not hold, or cannot be told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from quantattack.record.statistics import holm
from quantattack.reproduction.paper import Row
from quantattack.reproduction.read import Reader

Kind = Literal["holds", "does not hold", "cannot be told"]
KINDS: tuple[Kind, ...] = ("holds", "does not hold", "cannot be told")
Lean = Literal["to the claim", "against it", "both ways", "neither way"]
LEANS: tuple[Lean, ...] = ("to the claim", "against it", "both ways", "neither way")
SIGNIFICANCE = 0.05  # level of the tests of all claims of a paper together


@dataclass(frozen=True)
class Evidence:
    """One network's vote on a claim.

    Arguments:
        words: The network's numbers, as a sentence.
        says: The vote: 1 for the claim, -1 against it, 0 undecided; None for an abstention, which is not counted.
        p: Two-sided p-value of the vote; None if it compares two numbers without a test.
    """

    words: str
    says: int | None
    p: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict from the evidence of its networks.

    Arguments:
        supports: p-value of the claim's being true of every network: the largest p-value of the votes, and 1 if one of
            them is not for it.
        opposes: p-value of its being false of some network: the smallest p-value of the votes against it, times the
            number of votes.
        evidence: The votes.
    """

    supports: float
    opposes: float
    evidence: tuple[Evidence, ...]

    @property
    def tested(self) -> bool:
        """Whether a test decides it, so that it counts in a correction for the number of tests."""
        return any(line.says is not None and line.p is not None for line in self.evidence)

    @property
    def p(self) -> float:
        """The smaller of both p-values."""
        return min(self.supports, self.opposes)

    def kind_at(self, p: float) -> Kind:
        """Return the verdict at a p-value, which is `p` or larger by a correction for the number of claims."""
        if p >= SIGNIFICANCE:
            return "cannot be told"
        return "holds" if self.supports < self.opposes else "does not hold"

    @property
    def lean(self) -> Lean | None:
        """Where the votes point, however weak each is; None if there is none."""
        if all(line.says is None for line in self.evidence):
            return None
        votes = {line.says for line in self.evidence if line.says}
        return LEANS[2] if len(votes) > 1 else LEANS[0] if 1 in votes else LEANS[1] if votes else LEANS[3]

    @property
    def votes(self) -> str:
        """The votes counted in words; empty if there is none."""
        said = [line for line in self.evidence if line.says is not None]
        sides = {word: [line for line in said if line.says == says] for word, says in _SIDES.items()}
        counts = [f"{len(lines)} {word}{_surely(lines)}" for word, lines in sides.items() if lines]
        of = f"of {len(said)} comparison{'s' if len(said) > 1 else ''}"
        return f"{of} {', '.join(counts)}" if said else ""

    @property
    def kind(self) -> Kind:
        """The verdict on this claim alone, without a correction for the number of claims."""
        return self.kind_at(self.p)


_SIDES = {"for it": 1, "against it": -1, "undecided": 0}


def _surely(lines: Sequence[Evidence]) -> str:
    """Return how many of some votes a test decides on their own; empty for votes that say nothing or have no test."""
    tests = [line.p for line in lines if line.says and line.p is not None]
    return f" ({sum(p < SIGNIFICANCE for p in tests)} with p under {SIGNIFICANCE:g})" if tests else ""


Judge = Callable[[Reader], Verdict]  # decides a claim from the records


def corrected(verdicts: Sequence[Verdict]) -> list[float]:
    """Return the verdicts' p-values by Holm's correction over those that a test decides; the others' as they are."""
    adjusted = iter(holm([verdict.p for verdict in verdicts if verdict.tested]))
    return [next(adjusted) if verdict.tested else verdict.p for verdict in verdicts]


def combine_votes(evidence: Sequence[Evidence]) -> Verdict:
    """Combine the networks' votes: one against the claim refutes it; it holds only if all are for it."""
    votes = [line for line in evidence if line.says is not None]
    if not votes:
        return Verdict(1.0, 1.0, tuple(evidence))
    supports = max(_p(line) if line.says == 1 else 1.0 for line in votes)
    against = [_p(line) for line in votes if line.says == -1]
    return Verdict(supports, min(1.0, len(votes) * min(against, default=1.0)), tuple(evidence))


def _p(line: Evidence) -> float:
    return 0.0 if line.p is None else line.p


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
        verdicts = [verdict for judge in self.judges if (verdict := judge(reader)).evidence]
        together = combine_votes([line for verdict in verdicts for line in verdict.evidence])
        return replace(together, supports=max((verdict.supports for verdict in verdicts), default=1.0))
