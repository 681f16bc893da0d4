"""What a diagnosis looks at: a model under a threat, and images that it classifies correctly."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from quantattack.attacks.base import Attack
from quantattack.attacks.success import misclassified
from quantattack.attacks.threat import Threat
from quantattack.evaluation.models import CountedModel
from quantattack.gradients import climbed_logits
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Logits, Mask

SHARE = 0.05  # share of the images from which what should never happen is a failure
GAP = 0.15  # share that a stronger search of the same kind must win before the weaker one's number is wrong
_FEWEST = 3  # images: fewer are an accident


@dataclass(frozen=True, eq=False)
class Case:
    """A model under a threat, and images that it classifies correctly.

    Arguments:
        host: The model, which counts its passes.
        images: Images with shape (n, ...), classified correctly.
        labels: Their classes with shape (n,).
        threat: What an attack may do to them.
        rng: Their random numbers.
        batch_size: Images shown at once.
        relative: The float network, or another differentiable one, from which attacks are transferred.
    """

    host: CountedModel
    images: Images
    labels: Labels
    threat: Threat
    rng: Rng
    batch_size: int
    relative: CountedModel | None = None

    def __len__(self) -> int:
        return len(self.images)

    def where(self, mask: Mask) -> "Case":
        """Return the case of some of the images."""
        return replace(self, images=self.images[mask], labels=self.labels[mask], rng=self.rng.keep(mask))

    def first(self, count: int) -> "Case":
        """Return the case of the first images."""
        return self.where(torch.arange(len(self), device=self.images.device) < count)

    def batches(self) -> Iterator["Case"]:
        """Yield the case in batches."""
        at = torch.arange(len(self), device=self.images.device)
        for start in range(0, len(self), self.batch_size):
            yield self.where((at >= start) & (at < start + self.batch_size))

    def logits(self, images: Images | None = None) -> Logits:
        """Return the model's logits on the images, or on others, without gradients."""
        shown = self.images if images is None else images
        with torch.no_grad():
            return torch.cat([self.host(batch) for batch in torch.split(shown, self.batch_size)])

    def climbed(self, images: Images | None = None) -> Logits:
        """Return the logits that an attack climbs, without gradients: a deployed model's are those of its twin."""
        shown = self.images if images is None else images
        return climbed_logits(self.host, shown, self.batch_size) if self.host.twinned else self.logits(shown)


def broken_by(case: Case, attack: Attack) -> Mask:
    """Return which images an attack breaks, judged on its final images by the model itself."""
    broken = [torch.zeros(0, dtype=torch.bool, device=case.images.device)]
    for batch in case.batches():
        final = attack(batch.host, batch.images, batch.labels, rng=batch.rng)
        inside = batch.threat.contains(final, batch.images, 1e-6)
        broken.append(misclassified(batch.logits(final), batch.labels) & inside)
    return torch.cat(broken)


def many(count: int, total: int, share: float = SHARE) -> bool:
    """Return whether a count of images is more than an accident: at least 3, and at least a share of the total."""
    return count >= max(_FEWEST, share * total)


def percent(share: float) -> str:
    """Return a share of 0 to 1 as text, in percent."""
    return f"{100 * share:.1f} %"
