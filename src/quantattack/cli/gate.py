"""What `--min-robust`, `--gate-on`, `--junit`, `--summary` and `--badge` do."""

import re
from dataclasses import dataclass
from pathlib import Path

from quantattack.errors import InputError, unknown

ON = ("number", "lower")


@dataclass(frozen=True)
class Gate:
    """What a run is held to, and what is written of it for other programs.

    Arguments:
        floor: The least worst case that passes, from 0 to 1; None for no gate.
        junit: File of the JUnit XML; None for none.
        summary: File that the Markdown summary is appended to; None for none.
        badge: File of the badge's JSON; None for none.
        on: What is held to the floor: the `number`, or the `lower` end of its interval.

    Raises:
        InputError: If the floor is no share, what is held to it has no floor or no such name, a file has no name, or
            JUnit XML is asked for without a floor.
    """

    floor: float | None = None
    junit: Path | None = None
    summary: Path | None = None
    badge: Path | None = None
    on: str = ON[0]

    def __post_init__(self) -> None:
        if self.floor is not None and not 0 <= self.floor <= 1:
            hint = f"; did you mean {self.floor:g}%?" if 1 < self.floor <= 100 else ""
            raise InputError(f"--min-robust is a share from 0 to 1, such as 0.3 or 30%, not {self.floor:g}{hint}")
        if self.on not in ON:
            raise unknown("--gate-on", self.on, ON)
        if self.on != ON[0] and self.floor is None:
            raise InputError("--gate-on says what is held to the least worst case; give that too, --min-robust 0.3")
        if self.junit is not None and self.floor is None:
            raise InputError("--junit says what passed and what did not; give the least worst case, --min-robust 0.3")
        for path in filter(None, (self.junit, self.summary, self.badge)):
            if not path.name or path.is_dir():
                raise InputError(f"{path} is a folder; name a file to write to")

    @property
    def is_asked(self) -> bool:
        """Whether anything is."""
        return self != Gate()

    def check_part(self, part: str) -> None:
        """Raise InputError where a part of the images would be held to the gate in place of all."""
        if self.is_asked and part.replace(" ", "") != "1/1":
            raise InputError(
                f"part {part} says nothing of all images; `quantattack merge` the parts, then `quantattack show` takes "
                "--min-robust, --junit, --summary and --badge"
            )


def share_of(text: str | None) -> float | None:
    """Return the share that a text like 0.95 or 95% is; None for none.

    Raises:
        InputError: If it is neither.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", text)
    if match is None:
        raise InputError(f"--min-robust is a share from 0 to 1, such as 0.3 or 30%, not {text!r}")
    return float(match.group(1)) / (100 if match.group(2) else 1)
