"""The smallest perturbation that an attack finds, and with it the accuracy at every radius in one run."""

from dataclasses import dataclass, replace

import torch

from quantattack.attacks.base import Attack, Trace, first_images, trace
from quantattack.attacks.success import Criterion, misclassified
from quantattack.attacks.threat import Threat
from quantattack.errors import check_count
from quantattack.record.description import tagged
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Model, PerImage


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

    def __post_init__(self) -> None:
        check_count("searches", self.searches)

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        return self.trace(model, clean, labels, start, rng, radius).images

    def trace(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Trace:
        rng, far = rng or first_images(clean), self.threat.radii(clean, radius).clone()
        images, near, tried = clean.clone(), torch.zeros_like(far), far
        left = torch.arange(len(clean), device=clean.device)
        for search in range(self.searches):
            seeds = replace(rng, index=rng.index.to(left.device)[left])
            begin = None if start is None or search else start[left]
            found = trace(self.attack, model, clean[left], labels[left], begin, seeds, tried[left]).images
            fooled = self._fooled(model, found, labels[left])
            hit = left[fooled]
            images[hit] = found[fooled]
            far[hit] = self.threat.norm.size(found[fooled].double() - clean[hit].double())
            near[left[~fooled]] = tried[left[~fooled]]
            if search == 0:  # what the whole radius does not break, no smaller one will
                images[left[~fooled]], left = found[~fooled], hit
            tried = (near + far) / 2
        unknown = torch.full((len(clean),), -1, device=clean.device)
        return Trace(images, unknown, torch.zeros_like(unknown))

    def _fooled(self, model: Model, images: Images, labels: Labels) -> torch.Tensor:
        if not len(images):
            return torch.zeros(0, dtype=torch.bool, device=images.device)
        with torch.no_grad():
            return self.solved(model(images), labels)
