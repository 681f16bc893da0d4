"""Sequential runs of attacks, each on the images not yet fooled, merged image by image."""

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
        rng: Its random numbers, for all images of the batch.
        goes_on: Whether it starts from the best image that the earlier attacks returned; see `Closest`.
    """

    attack: Attack
    rng: Rng
    goes_on: bool = False


def merged(members: Iterable[Member], solved: Criterion, model: Model, batch: Batch) -> Trace:
    """Run attacks one after the other on the images not yet fooled; keep each image's first success, else its last try.

    Arguments:
        members: The attacks, in the order in which they run.
        solved: Success criterion on the labels of the batch.
        model: Maps images in [0, 1] to logits.
        batch: The images.
    """
    unsolved = torch.arange(len(batch), device=batch.images.device)
    result = Trace(batch.images.clone(), torch.full_like(unsolved, -1), torch.zeros_like(unsolved))
    closest = Closest.begin(batch.images, solved)
    for member in members:
        if not len(unsolved):
            break
        remaining = replace(batch, rng=member.rng).keep(unsolved)
        if member.goes_on and closest.seen:
            remaining = replace(remaining, start=closest.images[unsolved])
        attacked = search(member.attack, model, remaining)
        _keep(result, attacked, member.rng, unsolved)
        logits = logits_in_parts(model, attacked.images, batch.at_once)
        closest.see(attacked.images, logits, remaining.labels, unsolved)
        unsolved = unsolved[~solved(logits, remaining.labels)]
    return result


def _keep(result: Trace, attacked: Trace, rng: Rng, rows: Indices) -> None:
    result.images[rows], result.step[rows] = attacked.images, attacked.step
    result.restart[rows] = attacked.restart if attacked.restart.any() else torch.full_like(rows, rng.restart)


@dataclass
class Closest:
    """For each image the candidate closest to success, of those that the attacks have returned so far.

    Arguments:
        images: The candidates, with shape (n, ...); the clean images before the first attack.
        nearness: Their `success.nearness`, with shape (n,): the larger, the closer to success.
        solved: Success criterion.
        seen: Whether any attack has returned images yet.
    """

    images: Images
    nearness: PerImage
    solved: Criterion
    seen: bool = False

    @classmethod
    def begin(cls, clean: Images, solved: Criterion) -> "Closest":
        least = torch.full((len(clean),), -torch.inf, dtype=clean.dtype, device=clean.device)
        return cls(clean.clone(), least, solved)

    def see(self, images: Images, logits: Logits, labels: Labels, rows: Indices) -> None:
        """Update the candidates at the indices `rows` with the images that an attack returned for them."""
        near = nearness(self.solved, logits, labels).to(self.nearness)
        closer = near > self.nearness[rows]
        self.images[rows[closer]], self.nearness[rows[closer]] = images[closer], near[closer]
        self.seen = True
