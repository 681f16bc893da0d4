"""The papers' claims and the judges that decide them, read from each paper's `claims.yaml`."""

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
        judge: Decides the claim from the records.
        rule: The judge's criterion in words.
    """

    paper: str
    item: str
    words: str
    judge: Judge
    rule: str


@dataclass(frozen=True)
class ClaimFile:
    """A claim of `claims.yaml`, with one judge, or with several that are combined by `Every`."""

    item: str
    words: str
    rule: str
    judge: JudgeFile | list[JudgeFile]

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
