"""The papers' claims and the judges that decide them, read from each paper's `claims.yaml`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from pydantic import ConfigDict

from quantattack.errors import InputError, unknown
from quantattack.reproduction.files import STRICT, checked, read
from quantattack.reproduction.judges_alike import Alike, NoStronger, Trained
from quantattack.reproduction.judges_cost import Cheap
from quantattack.reproduction.judges_measured import Larger, Limit, MostlyLarger, Nearer, Wider
from quantattack.reproduction.judges_paired import GainLarger, Mostly, Stronger
from quantattack.reproduction.read import Reader
from quantattack.reproduction.verdicts import Every, Judge, Verdict, corrected

_KINDS: tuple[type[Judge], ...] = (
    *(Alike, Cheap, GainLarger, Larger, Limit),
    *(Mostly, MostlyLarger, Nearer, NoStronger, Stronger, Trained, Wider),
)
JUDGES: Mapping[str, type[Judge]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind for kind in _KINDS
}  # by the names that the files have for them, such as gain_larger
JudgeFile: TypeAlias = dict[
    str, dict[str, object]
]  # name of a judge: its arguments; `item` is the claim's unless given


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Arguments:
        paper: Key of the paper.
        item: Key of the table or figure that supports it.
        words: The claim in one sentence.
        short: The same in a few words, for the summary.
        judge: Decides the claim from the records.
        rule: The judge's criterion in words.
        own: Whether the question is this package's own, which the paper says nothing of.
    """

    paper: str
    item: str
    words: str
    short: str
    judge: Judge
    rule: str
    own: bool = False


Decided: TypeAlias = tuple[Claim, Verdict, float]  # a claim, its verdict, and its p-value corrected


@dataclass(frozen=True)
class ClaimFile:
    """A claim of `claims.yaml`, with one judge, or with several that are combined by `Every`."""

    item: str
    words: str
    short: str
    rule: str
    judge: JudgeFile | list[JudgeFile]
    own: bool = False

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True)
class ClaimsFile:
    """The content of `claims.yaml`."""

    claims: list[ClaimFile]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


def read_claims(paper: str) -> tuple[Claim, ...]:
    """Return the claims of a paper.

    Raises:
        InputError: If the file has an unknown key, or names an unknown judge.
    """
    return tuple(built(paper, claim) for claim in read(paper, "claims.yaml", ClaimsFile).claims)


def built(paper: str, file: ClaimFile) -> Claim:
    """Build a claim, resolving the names of its judges."""
    files = [file.judge] if isinstance(file.judge, dict) else file.judge
    judges = tuple(_judge(paper, file.item, judge) for judge in files)
    together = judges[0] if len(judges) == 1 else Every(judges)
    return Claim(paper, file.item, file.words, file.short, together, file.rule, file.own)


def _judge(paper: str, item: str, file: JudgeFile) -> Judge:
    where = f"{paper}/claims.yaml"
    if len(file) != 1:
        raise InputError(f"{where}: a judge of {item} must have one name, not {', '.join(file) or 'none'}")
    ((name, arguments),) = file.items()
    if name not in JUDGES:
        raise unknown(f"judge in {where}", name, JUDGES)
    return checked(where, {"item": item, **arguments}, JUDGES[name])


def judged(claims: Sequence[Claim], reader: Reader) -> list[Decided]:
    """Return a paper's claims with their verdicts and their p-values, corrected for the number of claims."""
    verdicts = [claim.judge(reader) for claim in claims]
    return list(zip(claims, verdicts, corrected(verdicts), strict=True))


CLAIMS: Sequence[Claim] = (*read_claims("gupta2022"), *read_claims("liu2020"))
