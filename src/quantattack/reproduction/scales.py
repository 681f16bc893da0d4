"""How large a reproduction is: images, restarts and runs of a cell, and what a cell may cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from quantattack.reproduction.files import STRICT, read


@dataclass(frozen=True)
class Scale:
    """The numbers by which a reproduction is smaller than the papers.

    Arguments:
        name: Its name.
        images: Test images of a cell, from the first on.
        merged: Test images of a cell whose restarts are merged.
        few: Test images of a cell that looks for the smallest perturbation, and of CLEVER.
        restarts: Restarts that are merged.
        runs: Independent runs, of which worst and average are taken.
        steps: Most steps of an attack.
        queries: Forward passes of Square, an image.
        budget: Most forward and backward passes of a cell, over all its images; None for no limit.
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
        """Steps of Brendel and Bethge's attack: its own 1000 where nothing is reduced."""
        return 1000 if self.name == "full" else self.steps


@dataclass(frozen=True)
class ScalesFile:
    """The scales as the file has them."""

    scales: list[Scale]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


SCALES: Mapping[str, Scale] = {scale.name: scale for scale in read("", "scales.yaml", ScalesFile).scales}
QUICK = SCALES["quick"]
