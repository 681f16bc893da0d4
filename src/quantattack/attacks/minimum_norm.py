"""The smallest perturbation that an attack finds, and with it the accuracy at every radius in one run."""

from dataclasses import dataclass, replace

import torch

from quantattack.attacks.base import (
    Attack,
    Batch,
    Trace,
    Traits,
    attacked_images,
    passes,
    search,
    to_the_end,
    traits_around,
    untold,
)
from quantattack.attacks.success import Criterion, misclassified
from quantattack.attacks.threat import Threat
from quantattack.errors import check_count
from quantattack.gradients import logits_in_parts
from quantattack.record.description import tagged
from quantattack.types import Images, Mask, Model


@tagged("Nearest")
@dataclass(frozen=True)
class MinimumNorm:
    """Bisect each image's radius with an attack of fixed radius, and return the nearest image that fools the model.

    The first search has the whole radius; an image that it does not fool is done.  The sizes in the record are then
    upper bounds of the distances to the decision, and the share of sizes above a radius is the accuracy there.

    Arguments:
        attack: Any attack that takes a radius for each image.
        threat: Its threat, whose radius is the largest one searched.
        searches: Runs of the attack, the first one included.
        solved: What counts as success.

    Raises:
        InputError: If there is less than one search.
    """

    attack: Attack
    threat: Threat
    searches: int = 5
    solved: Criterion = misclassified

    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_count("searches", self.searches)

    @property
    def traits(self) -> Traits:
        return replace(traits_around(self.attack), solved=self.solved)

    def passes(self, classes: int) -> int:
        return self.searches * (passes(self.attack, classes) + 1)

    def to_the_end(self) -> Attack:
        return replace(self, attack=to_the_end(self.attack))

    def trace(self, model: Model, batch: Batch) -> Trace:
        far = self.threat.radii(batch.images, batch.radius).clone()
        images, near, tried = batch.images.clone(), torch.zeros_like(far), far
        left = torch.arange(len(batch), device=images.device)
        for number in range(self.searches):
            some = replace(batch.keep(left), radius=tried[left])
            attacked = search(self.attack, model, some if number == 0 else replace(some, start=None)).images
            fooled = self._fooled(model, attacked, some)
            hit = left[fooled]
            images[hit] = attacked[fooled]
            far[hit] = self.threat.norm.size(attacked[fooled].double() - batch.images[hit].double())
            near[left[~fooled]] = tried[left[~fooled]]
            if number == 0:  # what the whole radius does not break, no smaller one will
                images[left[~fooled]], left = attacked[~fooled], hit
            tried = (near + far) / 2
        return untold(images)

    def _fooled(self, model: Model, images: Images, batch: Batch) -> Mask:
        if not len(batch):
            return torch.zeros(0, dtype=torch.bool, device=images.device)
        return self.solved(logits_in_parts(model, images, batch.at_once), batch.labels)
