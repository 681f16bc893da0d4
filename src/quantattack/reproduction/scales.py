"""Sizes of a reproduction: images, restarts, runs, steps and the budget of each cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from quantattack.reproduction.files import STRICT, read


@dataclass(frozen=True)
class Scale:
    """The size of a reproduction.

    Arguments:
        name: Its name.
        images: Number of test images in a cell, taken from the start of the test set.
        merged: Number of images for an attack with restarts or an ensemble.
        few: Number of images for minimum-norm attacks and for CLEVER.
        restarts: Number of restarts.
        runs: Number of independent runs that a worst and a mean are taken over.
        steps: Maximum number of steps of an attack.
        queries: Forward passes per image of the Square attack.
        budget: Maximum number of forward and backward passes of a cell, over all its images; None for no limit.
    """

    name: str
    images: int
    merged: int
    few: int
    restarts: int
    runs: int
    steps: int
    queries: int
    budget: int | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    @property
    def nearest_steps(self) -> int:
        """Number of steps of the Brendel-Bethge attack: its default of 1000 at the scale ``full``."""
        return 1000 if self.name == "full" else self.steps


@dataclass(frozen=True)
class ScalesFile:
    """The content of ``scales.yaml``."""

    scales: list[Scale]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


SCALES: Mapping[str, Scale] = {scale.name: scale for scale in read("", "scales.yaml", ScalesFile).scales}
QUICK = SCALES["quick"]
