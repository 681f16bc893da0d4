"""What the papers claim, in one sentence each, and what decides it: read from `claims.yaml` of each paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from pydantic import ConfigDict

from quantattack.errors import InputError, unknown
from quantattack.reproduction.files import STRICT, checked, read
from quantattack.reproduction.judges_measured import Larger, Limit, Wider
from quantattack.reproduction.judges_paired import Alike, GainFalls, Stronger, Trained
from quantattack.reproduction.verdicts import Every, Judge

JUDGES: Mapping[str, type[Judge]] = {
    "alike": Alike,
    "gain_falls": GainFalls,
    "larger": Larger,
    "limit": Limit,
    "stronger": Stronger,
    "trained": Trained,
    "wider": Wider,
}
JudgeFile: TypeAlias = dict[str, dict[str, object]]  # a judge's name to its arguments; the item where it is another


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper.

    Arguments:
        paper: Key of the paper.
        item: The table or figure that it stands on.
        words: The claim in one sentence.
        judge: Decides it by the records.
        rule: When it counts as holding.
    """

    paper: str
    item: str
    words: str
    judge: Judge
    rule: str


@dataclass(frozen=True)
class ClaimFile:
    """A claim as the file has it: one judge, or several that must all be for it."""

    item: str
    words: str
    rule: str
    judge: JudgeFile | list[JudgeFile]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True)
class ClaimsFile:
    """The claims of a paper as the file has them."""

    claims: list[ClaimFile]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


def read_claims(paper: str) -> tuple[Claim, ...]:
    """Return the claims of a paper.

    Raises:
        InputError: If its file has an unknown key, or a judge that there is not.
    """
    return tuple(built(paper, claim) for claim in read(paper, "claims.yaml", ClaimsFile).claims)


def built(paper: str, file: ClaimFile) -> Claim:
    """Return a claim with the judges that its file names."""
    if isinstance(file.judge, dict):
        return Claim(paper, file.item, file.words, _judge(paper, file.item, file.judge), file.rule)
    judges = Every(tuple(_judge(paper, file.item, judge) for judge in file.judge))
    return Claim(paper, file.item, file.words, judges, file.rule)


def _judge(paper: str, item: str, file: JudgeFile) -> Judge:
    where = f"{paper}/claims.yaml"
    if len(file) != 1:
        raise InputError(f"{where}: a judge of {item} must have one name, not {', '.join(file) or 'none'}")
    ((name, arguments),) = file.items()
    if name not in JUDGES:
        raise unknown(f"judge in {where}", name, JUDGES)
    return checked(where, {"item": item, **arguments}, JUDGES[name])


CLAIMS: Sequence[Claim] = (*read_claims("gupta2022"), *read_claims("liu2020"))
