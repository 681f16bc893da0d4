"""A gate for a release: whether each model's worst case reaches a floor, and whether its number can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from quantattack.record.record import Record
from quantattack.report.deployed import shipped
from quantattack.report.percent import percent
from quantattack.report.statuses import BELOW, UNTRUSTED
from quantattack.report.tables import Share, clean_share, interval, threat_words, worst_share
from quantattack.report.trust import doubts

Outcome: TypeAlias = Literal["passed", "below", "untrusted"]


@dataclass(frozen=True)
class Case:
    """One model under one threat, held to the floor.

    Arguments:
        model: Name of the model.
        data: Name of its data set.
        threat: The threat in words.
        clean: Clean accuracy.
        worst: Worst-case robust accuracy; of no image while the run is unfinished.
        floor: The least worst case that passes, from 0 to 1; None where none is asked for.
        doubts: Why the worst case cannot be trusted, code to sentence; empty where it can.
        seconds: Wall time of its attacks.
        by_lower_end: Whether the lower end of the worst case's interval is held to the floor, in place of the number.
    """

    model: str
    data: str
    threat: str
    clean: Share
    worst: Share
    floor: float | None
    doubts: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    by_lower_end: bool = False

    @property
    def reached(self) -> float:
        """What is held to the floor."""
        return self.worst.interval[0] if self.by_lower_end else self.worst.value

    @property
    def outcome(self) -> Outcome:
        """Whether it passed: below the floor is below it whatever was tried, since a worst case only ever falls."""
        if self.floor is not None and self.worst.of and self.reached < self.floor:
            return "below"
        return "untrusted" if self.doubts else "passed"

    @property
    def name(self) -> str:
        """The model, the data set and the threat in words."""
        return f"{self.model} on {self.data}, {self.threat}"

    @property
    def words(self) -> str:
        """What came out, in a sentence."""
        if not self.worst.of:
            return "no number yet: " + "; ".join(self.doubts.values())
        number = f"worst case {percent(self.worst.value)} ({interval(self.worst)}) of {self.worst.of} images"
        if self.outcome == "untrusted":
            return f"{number}, not to be trusted: {'; '.join(self.doubts.values())}"
        if self.floor is None:
            return number
        held = "its lower end " if self.by_lower_end else ""
        return (
            f"{number}, {held}{'below' if self.outcome == 'below' else 'at or above'} the gate of {percent(self.floor)}"
        )


def cases(records: Sequence[Record], floor: float | None = None, by_lower_end: bool = False) -> list[Case]:
    """Return a case for each evaluation, but for the float networks that only stand beside a deployed file.

    Arguments:
        records: The evaluations.
        floor: The least worst case that passes, from 0 to 1; None where none is asked for.
        by_lower_end: Whether the lower end of the interval is held to it, in place of the number.
    """
    return [_case(record, floor, by_lower_end) for record in shipped(records)]


def _case(record: Record, floor: float | None, by_lower_end: bool) -> Case:
    subject, cells = record.subject, record.by_attack.values()
    return Case(
        model=subject.model,
        data=subject.data,
        threat=threat_words(record.threat),
        clean=clean_share(record),
        worst=worst_share(record),
        floor=floor,
        doubts=doubts(record),
        seconds=sum(float(cell.column("seconds").sum()) for cell in cells),
        by_lower_end=by_lower_end,
    )


def status(judged: Sequence[Case]) -> int:
    """Return the exit status: 1 where a case is below the gate, else 3 where one cannot be trusted, else 0."""
    outcomes = {case.outcome for case in judged}
    return BELOW if "below" in outcomes else UNTRUSTED if "untrusted" in outcomes else 0
