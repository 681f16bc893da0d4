"""What a diagnosis may spend: forward and backward passes, an image."""

from dataclasses import dataclass

from quantattack.evaluation.models import Passes


@dataclass(frozen=True, eq=False)
class Budget:
    """A limit on the passes through a model, and what is left of it.

    Arguments:
        passes: The model's count of rows, forward and backward.
        images: Number of images that the limit is for.
        limit: Passes an image, forward and backward together.
    """

    passes: Passes
    images: int
    limit: int | float

    @property
    def spent(self) -> tuple[float, float]:
        """Forward and backward passes so far, an image."""
        forwards, backwards = self.passes.snapshot()
        return forwards / self.images, backwards / self.images

    def fits(self, passes: int | float) -> bool:
        """Return whether so many more passes an image are within the limit."""
        return sum(self.spent) + passes <= self.limit
