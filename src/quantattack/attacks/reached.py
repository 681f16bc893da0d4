"""What the attacks of a suite have reached so far, image by image: each hands it on to the next."""

from dataclasses import dataclass

import torch

from quantattack.attacks.norms import per_image
from quantattack.attacks.success import Criterion, nearness
from quantattack.types import Images, Indices, Labels, Logits, Mask, PerImage


@dataclass(frozen=True, eq=False)
class Reached:
    """For each image the candidate closest to success, and how near each class has come to the label.

    Arguments:
        images: Of the images that attacks returned the closest ones, with shape (n, ...).
        nearness: Their `success.nearness`, with shape (n,): the larger, the closer to success.
        gaps: The least label's logit minus each class's on any image that an attack returned, with shape (n, k).
    """

    images: Images
    nearness: PerImage
    gaps: Logits

    @classmethod
    def by(cls, solved: Criterion, images: Images, logits: Logits, labels: Labels) -> "Reached":
        """Return what an attack has reached that returned images, with their logits."""
        true = logits.gather(1, labels.long()[:, None])
        return cls(images, nearness(solved, logits, labels).to(images), (true - logits).to(images))

    def keep(self, rows: Mask | Indices | slice) -> "Reached":
        """Return what was reached of the selected images: a mask, indices, or a slice."""
        return Reached(self.images[rows], self.nearness[rows], self.gaps[rows])

    def joined(self, other: "Reached") -> "Reached":
        """Return the closer of two candidates for each image, the first one on a tie, and the least of the gaps."""
        closer = other.nearness > self.nearness
        images = torch.where(per_image(closer, self.images), other.images, self.images)
        near = torch.where(closer, other.nearness, self.nearness)
        return Reached(images, near, torch.fmin(self.gaps, other.gaps))

    def put(self, rows: Indices, part: "Reached") -> "Reached":
        """Return it with the rows of some images replaced."""
        images, near, gaps = self.images.clone(), self.nearness.clone(), self.gaps.clone()
        images[rows], near[rows], gaps[rows] = part.images, part.nearness, part.gaps
        return Reached(images, near, gaps)
