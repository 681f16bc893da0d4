"""The input of an attack: images with what belongs to each, row by row."""

from dataclasses import dataclass, replace

from quantattack.attacks.reached import Reached
from quantattack.rng import Rng
from quantattack.types import Images, Indices, Labels, Mask, PerImage


@dataclass(frozen=True, eq=False)
class Batch:
    """The input of an attack: images with their labels, random numbers, starts and radii, aligned row by row.

    Arguments:
        images: Clean images with shape (n, ...).
        labels: True classes with shape (n,); target classes for a targeted attack.
        rng: Per-image random numbers.
        start: Start points with the shape of the images; None for the attack's own start.
        radius: Per-image radii with shape (n,); None for the threat's radius.
        at_once: Largest number of rows per call of the model; None for no limit.
        reached: What earlier attacks of a suite reached of these images; None where there was none.
    """

    images: Images
    labels: Labels
    rng: Rng
    start: Images | None = None
    radius: PerImage | None = None
    at_once: int | None = None
    reached: Reached | None = None

    def __len__(self) -> int:
        return len(self.images)

    def copied(self) -> "Batch":
        """Return a copy, for code that may write into what it is given; what a suite has reached is shared."""
        start, radius = (None if column is None else column.clone() for column in (self.start, self.radius))
        rng = replace(self.rng, index=self.rng.index.clone())
        images, labels = self.images.clone(), self.labels.clone()
        return replace(self, images=images, labels=labels, rng=rng, start=start, radius=radius)

    def keep(self, rows: Mask | Indices | slice) -> "Batch":
        """Return the sub-batch of the selected rows: a mask, indices, or a slice."""
        start, radius = (None if column is None else column[rows] for column in (self.start, self.radius))
        rng = replace(self.rng, index=self.rng.index.to(self.images.device)[rows])
        images, labels = self.images[rows], self.labels[rows]
        reached = None if self.reached is None else self.reached.keep(rows)
        return replace(self, images=images, labels=labels, rng=rng, start=start, radius=radius, reached=reached)
