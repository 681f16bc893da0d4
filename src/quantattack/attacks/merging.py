"""Attacks run one after the other on what is left, merged image by image."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from quantattack.attacks.base import Attack, Batch, Trace, search
from quantattack.attacks.success import Criterion, nearness
from quantattack.gradients import logits_in_parts
from quantattack.rng import Rng
from quantattack.types import Images, Indices, Labels, Logits, Model, PerImage


@dataclass(frozen=True)
class Member:
    """One of the attacks that are merged.

    Arguments:
        attack: The attack.
        rng: The random numbers of all images for it.
        goes_on: Whether it starts from the closest image that the earlier ones returned.
    """

    attack: Attack
    rng: Rng
    goes_on: bool = False


def merged(members: Iterable[Member], solved: Criterion, model: Model, batch: Batch) -> Trace:
    """Run attacks on what the earlier ones left, and keep for each image the first success, else the last try.

    Arguments:
        members: The attacks in their order.
        solved: What counts as success.
        model: Maps images in [0, 1] to logits.
        batch: The images.
    """
    left = torch.arange(len(batch), device=batch.images.device)
    result = Trace(batch.images.clone(), torch.full_like(left, -1), torch.zeros_like(left))
    closest = Closest.begin(batch.images, solved)
    for member in members:
        if not len(left):
            break
        some = replace(batch, rng=member.rng).keep(left)
        if member.goes_on and closest.seen:
            some = replace(some, start=closest.images[left])
        attacked = search(member.attack, model, some)
        _keep(result, attacked, member.rng, left)
        logits = logits_in_parts(model, attacked.images, batch.at_once)
        closest.see(attacked.images, logits, some.labels, left)
        left = left[~solved(logits, some.labels)]
    return result


def _keep(result: Trace, attacked: Trace, rng: Rng, left: Indices) -> None:
    result.images[left], result.step[left] = attacked.images, attacked.step
    result.restart[left] = attacked.restart if attacked.restart.any() else torch.full_like(left, rng.restart)


@dataclass
class Closest:
    """For each image what came closest to success, of what the attacks returned so far.

    Arguments:
        images: These images.
        nearness: How close each is.
        solved: What counts as success.
        seen: Whether any attack has returned anything.
    """

    images: Images
    nearness: PerImage
    solved: Criterion
    seen: bool = False

    @classmethod
    def begin(cls, clean: Images, solved: Criterion) -> "Closest":
        least = torch.full((len(clean),), -torch.inf, dtype=clean.dtype, device=clean.device)
        return cls(clean.clone(), least, solved)

    def see(self, images: Images, logits: Logits, labels: Labels, left: Indices) -> None:
        """Take into account what an attack returned for the images that were left."""
        near = nearness(self.solved, logits, labels).to(self.nearness)
        closer = near > self.nearness[left]
        self.images[left[closer]], self.nearness[left[closer]] = images[closer], near[closer]
        self.seen = True
