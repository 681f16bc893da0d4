"""Start points of a search inside a threat."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from quantattack.attacks.batch import Batch
from quantattack.attacks.norms import L2
from quantattack.attacks.threat import Threat
from quantattack.record.description import tagged
from quantattack.rng import START, Rng
from quantattack.types import Images, PerImage

Start: TypeAlias = Callable[[Threat, Images, Rng, PerImage], Images]  # of threat, clean images, numbers and radii


def handed(threat: Threat, batch: Batch) -> Images:
    """Return where a search begins that is handed its start: inside the threat; the clean images where none is."""
    clean, start = batch.images, batch.start
    start = clean if start is None else threat.project(start.to(clean), clean, batch.radius)
    return threat.snap(start, clean, batch.radius)


@tagged("farthest")
def farthest(threat: Threat, clean: Images, rng: Rng, radius: PerImage) -> Images:
    """Start at a random point at distance radius from the clean image, projected onto the pixel range."""
    if isinstance(threat.norm, L2):
        noise = rng.normal(0, START, clean.shape[1:], clean.dtype)
    else:
        noise = 2 * rng.uniform(0, START, clean.shape[1:], clean.dtype) - 1
    size = threat.norm.size(noise).clamp_min(torch.finfo(noise.dtype).tiny)
    return threat.project(clean + noise * threat.spread((radius / size).to(noise), noise), clean, radius)


@tagged("anywhere")
def anywhere(threat: Threat, clean: Images, rng: Rng, radius: PerImage) -> Images:
    """Start at a random point of the threat, as PGD does."""
    return threat.sample(clean, rng, radius)


@tagged("Blocks")
@dataclass(frozen=True)
class Blocks:
    """Start from a grid of square blocks: one random sign per block and channel, scaled to the whole radius.

    Arguments:
        side: Side of a block in pixels.
    """

    side: int = 4

    def __call__(self, threat: Threat, clean: Images, rng: Rng, radius: PerImage) -> Images:
        planes = clean.reshape(len(clean), -1, *clean.shape[-2:]) if clean.ndim > 3 else clean.flatten(1)[:, None, None]
        _, channels, height, width = planes.shape
        signs = rng.signs(0, START, (channels, -(-height // self.side), -(-width // self.side)), clean.dtype)
        signs = signs.repeat_interleave(self.side, 2).repeat_interleave(self.side, 3)[:, :, :height, :width]
        noise = signs.reshape(clean.shape)
        size = threat.norm.size(noise)
        return threat.project(clean + noise * threat.spread((radius / size).to(noise), noise), clean, radius)
