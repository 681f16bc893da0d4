"""The summary of a reproduction in sentences, built from the verdicts on the papers' claims."""

from collections.abc import Mapping, Sequence

from quantattack.reproduction.claims import Claim
from quantattack.reproduction.paper import Paper
from quantattack.reproduction.verdicts import KINDS, LEANS, Kind, Lean

# the claims of each paper with their verdicts and where these lean, by its key
Judgments = Mapping[str, Sequence[tuple[Claim, Kind, Lean | None]]]


def summarize(judgments: Judgments, papers: Mapping[str, Paper]) -> list[str]:
    """Return a sentence that counts the verdicts, and for each paper one on what holds and one on what does not.

    Questions of this package's own are counted, and have a sentence of their own.
    """
    kinds = [kind for claims in judgments.values() for _, kind, _ in claims]
    if not kinds:
        return []
    holds, fails, open_ = (kinds.count(kind) for kind in KINDS)
    own = sum(claim.own for claims in judgments.values() for claim, _, _ in claims)
    ours = f" ({own} of them this package's own questions)" if own else ""
    counted = f"{holds} hold on these networks, {fails} do not, and {open_} cannot be told{_leaning(judgments)}"
    sentences = [f"Of {len(kinds)} claims{ours} {counted}."]
    for key, claims in judgments.items():
        authors = papers[key].source.partition(",")[0]
        for kind, none in ((KINDS[0], "nothing holds for certain"), (KINDS[1], "nothing is refuted")):
            found = _found([(claim, each) for claim, each, _ in claims if not claim.own], kind)
            sentences.append(f"Of what {authors} claim, {found or none}.")
    asked = [(claim, kind) for claims in judgments.values() for claim, kind, _ in claims if claim.own]
    answers = [found for kind in KINDS[:2] if (found := _found(asked, kind))]
    return sentences + [f"Of this package's own questions, {', and '.join(answers)}."] * bool(answers)


def _found(claims: Sequence[tuple[Claim, Kind]], kind: Kind) -> str:
    """Return what a verdict is on, in words; empty if it is on nothing."""
    shorts = "; ".join(claim.short for claim, found in claims if found == kind)
    where = ", of one network here at least" if kind == KINDS[1] else ""
    return f"this {kind}{where}: {shorts}" if shorts else ""


def _leaning(judgments: Judgments) -> str:
    """Return where the comparisons of what cannot be told lean, in words."""
    leans = [lean for claims in judgments.values() for _, kind, lean in claims if kind == KINDS[2]]
    counts = [f"{lean} in {leans.count(lean)}" for lean in LEANS if lean in leans]
    counts += [f"and there is none in {leans.count(None)}"] if None in leans else []
    return f", where the comparisons lean {', '.join(counts)}" if counts else ""
