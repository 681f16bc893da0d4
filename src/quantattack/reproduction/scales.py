"""How large a reproduction is: images, restarts and runs of a cell, and what a cell may cost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


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

    @property
    def nearest_steps(self) -> int:
        """Steps of Brendel and Bethge's attack: its own 1000 where nothing is reduced."""
        return 1000 if self.name == "full" else self.steps


SCALES: Mapping[str, Scale] = {
    scale.name: scale
    for scale in (
        Scale("smallest", 10, 10, 1, restarts=2, runs=2, steps=10, queries=30),
        Scale("quick", 200, 100, 20, restarts=5, runs=3, steps=100, queries=500, budget=250_000),
        Scale("full", 10_000, 10_000, 1_000, restarts=50, runs=5, steps=200, queries=5_000),
    )
}
QUICK = SCALES["quick"]

# Quantized gradients and the sign are close: fewer images could not tell them apart.
_LARGER: Mapping[tuple[str, str], Scale] = {
    ("liu2020", "quick"): replace(QUICK, images=500, merged=500, budget=1_250_000),
}


def scale_of(name: str, paper: str) -> Scale:
    """Return a scale by its name, as it is for a paper."""
    return _LARGER.get((paper, name), SCALES[name])
