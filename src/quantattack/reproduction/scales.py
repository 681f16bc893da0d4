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
        few: Number of images for CLEVER.
        nearest: Number of images for minimum-norm attacks.
        signals: Number of images for the other signals.
        restarts: Number of restarts.
        runs: Number of independent runs that a worst and a mean are taken over.
        steps: Maximum number of steps of an attack.
        queries: Forward passes per image of the Square attack.
        boundary: Number of steps of the Brendel-Bethge attack, of which the published default is 1000.
        budget: Maximum number of forward and backward passes of a cell, over all its images; None for no limit.
    """

    name: str
    images: int
    merged: int
    few: int
    nearest: int
    signals: int
    restarts: int
    runs: int
    steps: int
    queries: int
    boundary: int
    budget: int | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True)
class ScalesFile:
    """The content of ``scales.yaml``."""

    scales: list[Scale]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


SCALES: Mapping[str, Scale] = {scale.name: scale for scale in read("", "scales.yaml", ScalesFile).scales}
QUICK = SCALES["quick"]
