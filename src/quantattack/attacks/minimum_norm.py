"""Minimum-norm search by bisection of the radius: one run gives the accuracy at every radius."""

from dataclasses import dataclass, replace

import torch

from quantattack.attacks.base import (
    Attack,
    Batch,
    Trace,
    Traits,
    attacked_images,
    passes,
    success_of,
    to_the_end,
    traits_around,
    without_steps,
)
from quantattack.attacks.merging import search_apart
from quantattack.attacks.success import Criterion, hits, misclassified
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, check_count
from quantattack.gradients import logits_in_parts
from quantattack.record.description import tagged
from quantattack.types import Images, Mask, Model


@tagged("Nearest")
@dataclass(frozen=True)
class MinimumNorm:
    """Bisect each image's radius with a fixed-radius attack; return the smallest perturbation that fools the model.

    The first search uses the whole radius; images that it does not fool are not searched further.  The perturbation
    sizes in the record are upper bounds on the distances to the decision boundary, so the share of images whose size
    exceeds a radius is the robust accuracy at that radius.

    Arguments:
        attack: An attack that accepts per-image radii.
        threat: The attack's threat; its radius is the largest one searched.
        searches: Number of runs of the attack, the first one included.
        solved: Success criterion.

    Raises:
        InputError: If searches is below 1, or the attack is targeted and `solved` is not.
    """

    attack: Attack
    threat: Threat
    searches: int = 5
    solved: Criterion = misclassified

    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_count("searches", self.searches)
        if self.solved is misclassified and success_of(self.attack) is hits:
            raise InputError("the attack climbs toward its labels, the targets: give MinimumNorm solved=hits too")

    @property
    def traits(self) -> Traits:
        return replace(traits_around(self.attack), solved=self.solved)

    def passes(self, classes: int) -> int:
        return self.searches * (passes(self.attack, classes) + 1)

    def to_the_end(self) -> Attack:
        return replace(self, attack=to_the_end(self.attack))

    def trace(self, model: Model, batch: Batch) -> Trace:
        upper = self.threat.radii(batch.images, batch.radius).clone()
        images, lower, radius = batch.images.clone(), torch.zeros_like(upper), upper
        active = torch.arange(len(batch), device=images.device)
        for number in range(self.searches):
            sub_batch = replace(batch.keep(active), radius=radius[active])
            attacked = search_apart(
                self.attack, model, sub_batch if number == 0 else replace(sub_batch, start=None)
            ).images
            attacked = self.threat.snap(attacked, sub_batch.images, sub_batch.radius)
            fooled = self._fooled(model, attacked, sub_batch)
            hits = active[fooled]
            images[hits] = attacked[fooled]
            upper[hits] = self.threat.distance(attacked[fooled], batch.images[hits])
            lower[active[~fooled]] = radius[active[~fooled]]
            if number == 0:  # not fooled at the whole radius: no smaller radius is tried
                images[active[~fooled]], active = attacked[~fooled], hits
            radius = (lower + upper) / 2
        return without_steps(images)

    def _fooled(self, model: Model, images: Images, batch: Batch) -> Mask:
        if not len(batch):
            return torch.zeros(0, dtype=torch.bool, device=images.device)
        return self.solved(logits_in_parts(model, images, batch.at_once), batch.labels)
