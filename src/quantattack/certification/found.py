"""What a complete search says of one image, and the limits that it works within."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

Verdict: TypeAlias = Literal["proved", "broken", "open"]


@dataclass(frozen=True, eq=False)
class Found:
    """The answer to one question: whether there is an image in the region that one rival wins.

    Arguments:
        verdict: `proved` if there is none, `broken` if `image` may be one, else `open`.
        image: A candidate in float64, with shape (1, ...), which the network itself is to confirm.
        slack: By how much the proof may be off; the margin is proved to exceed it.
        spent: Deterministic seconds spent.
        reason: Why it is open; empty otherwise.
    """

    verdict: Verdict
    image: Tensor | None = None
    slack: float = 0.0
    spent: float = 0.0
    reason: str = ""
