"""Learning rates and temperatures as closed forms of the number of the update: no state to step or to restore."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from quantattack.errors import InputError

STRICT = {"extra": "forbid"}  # what a run file may not misspell


@dataclass(frozen=True)
class Constant:
    """One value: ``rate``."""

    rate: float = 1e-3
    kind: Literal["constant"] = "constant"
    __pydantic_config__: ClassVar = STRICT

    def __call__(self, step: int, steps: int) -> float:  # noqa: ARG002
        return self.rate


@dataclass(frozen=True)
class Steps:
    """A value that falls at intervals: ``rate * factor ** (step // every)``."""

    rate: float = 1e-3
    factor: float = 0.3
    every: int = 30_000
    kind: Literal["steps"] = "steps"
    __pydantic_config__: ClassVar = STRICT

    def __call__(self, step: int, steps: int) -> float:  # noqa: ARG002
        return self.rate * self.factor ** (step // self.every)


@dataclass(frozen=True)
class Drops:
    """A value that changes at given updates: ``rates[i]`` from update ``at[i - 1]`` on."""

    rates: tuple[float, ...]
    at: tuple[int, ...]
    kind: Literal["drops"] = "drops"
    __pydantic_config__: ClassVar = STRICT

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.at) + 1 or list(self.at) != sorted(self.at):
            raise InputError(
                f"a schedule of {len(self.rates)} rates changes at {len(self.rates) - 1} rising updates, "
                f"not at {list(self.at)}"
            )

    def __call__(self, step: int, steps: int) -> float:  # noqa: ARG002
        return self.rates[bisect_right(self.at, step)]


@dataclass(frozen=True)
class OneCycle:
    """A linear rise to the peak over a share of the updates, then half a cosine down to 0."""

    peak: float = 1e-2
    rise: float = 0.2
    kind: Literal["one-cycle"] = "one-cycle"
    __pydantic_config__: ClassVar = STRICT

    def __call__(self, step: int, steps: int) -> float:
        top = max(1.0, self.rise * steps)
        if step < top:
            return self.peak * (step + 1) / (top + 1)
        return self.peak * 0.5 * (1 + math.cos(math.pi * (step - top) / max(1.0, steps - top)))


@dataclass(frozen=True)
class Growth:
    """The published temperature: ``factor ** (step // every + 1)``, at most ``cap``."""

    factor: float = 1.02
    every: int = 200
    cap: float = 1e35
    kind: Literal["growth"] = "growth"
    __pydantic_config__: ClassVar = STRICT

    def __call__(self, step: int, steps: int) -> float:  # noqa: ARG002
        exponent = (step // self.every + 1) * math.log(self.factor)
        return math.exp(min(exponent, math.log(self.cap)))


@dataclass(frozen=True)
class Ramp:
    """Exponential growth over a share of all updates: ``end ** (step / (share * steps))``, then ``end``."""

    end: float = 1e4
    share: float = 0.8
    kind: Literal["ramp"] = "ramp"
    __pydantic_config__: ClassVar = STRICT

    def __call__(self, step: int, steps: int) -> float:
        return float(self.end ** min(1.0, step / max(1.0, self.share * steps)))


@dataclass(frozen=True)
class Rise:
    """A geometric rise to 1 between two shares of all updates: ``first`` until ``hold``, 1 from ``share`` on.

    Between them it is ``first ** ((share * steps - step) / ((share - hold) * steps))``.
    """

    first: float
    share: float = 0.4
    hold: float = 0.0
    kind: Literal["rise"] = "rise"
    __pydantic_config__: ClassVar = STRICT

    def __post_init__(self) -> None:
        if not (0 < self.first <= 1 and 0 <= self.hold < self.share <= 1):
            raise InputError(
                f"a rise from {self.first} between {self.hold} and {self.share} of the updates; give a first scale"
                " above 0, up to 1, and shares that grow, from 0 to 1"
            )

    def __call__(self, step: int, steps: int) -> float:
        left = (self.share * steps - step) / max(1.0, (self.share - self.hold) * steps)
        return float(self.first ** min(1.0, max(0.0, left)))


Rate: TypeAlias = Constant | Steps | Drops | OneCycle
Beta: TypeAlias = Growth | Ramp | Constant
