"""Holds a model's gradient against its own outputs: whether steps along it raise the loss, and whether it is a slope.

Every other look at a gradient compares two of the same autograd, and a backward pass of someone's own may say anything.
A surrogate derivative is an estimate and no slope, yet on nearly every image some step along it raises the loss; an
output that is straight over a small step has a slope, and there the gradient must be it, but for a factor.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch

from quantattack.attacks.losses import log_odds
from quantattack.attacks.threat import Threat
from quantattack.evaluation.batching import LEAST
from quantattack.evaluation.gradient_health import raw_gradient
from quantattack.evaluation.models import CountedModel
from quantattack.gradients import climbed_logits
from quantattack.record.statistics import above
from quantattack.rng import NOISE, Rng
from quantattack.types import Images, Labels, Mask, Masks, PerImage

IMAGES = 32  # looked at
STEPS = (2**-8, 2**-5, 2**-3)  # of the pixels' range: an output that is rounded moves under long steps alone
LEVEL = 0.01  # p-value below which a gradient misleads
_SMALL = 2**-10  # of the pixels' range: what an output that is not rounded is straight over, and float32 resolves
_AWAY = 2**-6  # of the pixels' range: moves a picture off the ties of its even areas
_STRAIGHT, _WRONG = 0.1, 0.5  # relative: a curvature that still counts as straight, an error that counts as wrong
_FALLS = 0.1  # of the images may not rise under the best step; in the networks of the package at most 7 % do not
_MISSED = 0.15  # of the straight outputs may be missed, by kinks; up to 2 % are in the networks of the package
_MOST = 3  # one in so many outputs must be straight, else they are rounded, and the straight ones are so by accident


@dataclass(frozen=True, eq=False)
class Slopes:
    """What steps did to the loss of n images that have a gradient, and what the gradient said of them.

    Arguments:
        moved: Whether the loss moved at all along the gradient, for each step of `STEPS`, with shape (n, r).
        rose: Whether it rose, with shape (n, r).
        straight: Images whose outputs are straight over a small step aside, with shape (n,).
        missed: Those of them at which the gradient says another slope, with shape (n,).
    """

    moved: Masks
    rose: Masks
    straight: Mask
    missed: Mask


def slopes(model: CountedModel, images: Images, labels: Labels, threat: Threat, rng: Rng) -> Slopes | None:
    """Measure what a model's loss does along its gradient and aside of it; None where it passes no gradient.

    It takes 13 forward passes and one backward pass of each image.

    Arguments:
        model: The model.
        images: Images with shape (n, ...).
        labels: True classes with shape (n,).
        threat: Says between what the pixels lie.
        rng: The images' random numbers.
    """
    images = _off_ties(images, threat, rng)
    grad = raw_gradient(model, images, lambda logits: log_odds(logits, labels))
    if grad is None:
        return None
    known = torch.isfinite(grad).flatten(1).all(1) & (grad != 0).flatten(1).any(1)
    probe = _Probe(model, images[known], labels[known], grad[known], threat)
    gains = torch.stack([probe.gain(probe.grad.sign(), step) for step in STEPS], 1)
    return Slopes(gains != 0, gains > 0, *probe.against(rng.keep(known)))


def _off_ties(images: Images, threat: Threat, rng: Rng) -> Images:
    """Move every pixel a little toward the middle: equal pixels of an even area tie in a pooling layer."""
    size = (0.25 + 0.75 * rng.uniform(0, NOISE, images.shape[1:])) * _AWAY * (threat.high - threat.low)
    middle = (threat.low + threat.high) / 2
    return torch.where(images < middle, images + size, images - size).to(images.dtype)


@dataclass(frozen=True, eq=False)
class _Probe:
    model: CountedModel
    images: Images
    labels: Labels
    grad: Images
    threat: Threat

    def gain(self, direction: Images, step: float) -> PerImage:
        """Return how much more the loss is a step along a direction than one against it."""
        size = step * (self.threat.high - self.threat.low)
        ends = [
            (self.images + sign * size * direction).clamp(self.threat.low, self.threat.high).to(self.images.dtype)
            for sign in (1, -1)
        ]
        if not len(self.images):
            return self.images.new_zeros(0, dtype=torch.float64)
        at_once = max(LEAST, len(self.images))  # so many rows there is memory for
        logits = climbed_logits(self.model, torch.cat(ends), at_once).double()
        there, back = log_odds(logits, self.labels.repeat(2)).chunk(2)
        return there - back

    def against(self, rng: Rng) -> tuple[Mask, Mask]:
        """Return where the outputs are straight over a step aside, and where the gradient says another slope.

        The factor between the two, which no attack needs, is the one along the gradient.
        """
        aside = rng.signs(0, NOISE, self.images.shape[1:], self.images.dtype)
        once, twice = self.gain(aside, _SMALL), self.gain(aside, 2 * _SMALL)
        straight = ((twice - 2 * once).abs() <= _STRAIGHT * twice.abs()) & (once != 0)
        grad = self.grad.double().flatten(1)
        factor = self.gain(self.grad.sign(), _SMALL) / grad.abs().sum(1)
        said = factor * (grad * aside.double().flatten(1)).sum(1)
        return straight, straight & ((once - said).abs() > _WRONG * once.abs())


def joined(parts: Iterable[Slopes | None]) -> Slopes | None:
    """Return the slopes of several batches as one; None where there are none."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    return Slopes(*(torch.cat([getattr(part, field.name) for part in known]) for field in fields(Slopes)))


def misleading(found: Slopes | None) -> str | None:
    """Return a sentence where the gradient misleads by more than chance and rounding explain; None elsewhere."""
    if found is None:
        return None
    return _not_rising(found) or _no_slope(found)


def _not_rising(found: Slopes) -> str | None:
    """Hold the share of the images that rise against what the best step raises of any honest network.

    A step under which most images do not move at all says nothing.
    """
    images = len(found.moved)
    counts = [(int(rose.sum()), int(moved.sum())) for rose, moved in zip(found.rose.T, found.moved.T, strict=True)]
    tried = [(rose, moved) for rose, moved in counts if 2 * moved >= images and moved]
    if not tried or any(above(moved - rose, moved, _FALLS) >= LEVEL for rose, moved in tried):
        return None
    rose, moved = max(tried, key=lambda counts: counts[0] / counts[1])
    return (
        f"a step along the gradient raises the loss of {rose} of {moved} images at best, of {len(STEPS)} sizes: "
        "the gradient misleads every attack that climbs it; mend the backward pass, or attack the float network"
    )


def _no_slope(found: Slopes) -> str | None:
    straight, missed = int(found.straight.sum()), int(found.missed.sum())
    if _MOST * straight < len(found.straight) or above(missed, straight, _MISSED) >= LEVEL:
        return None
    return (
        f"on {missed} of {straight} images the gradient is not the slope that the outputs have: "
        "its backward pass leaves out or scales some of the pixels; mend it, or attack the float network"
    )
