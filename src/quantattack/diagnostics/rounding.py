"""Whether a model rounds its input: inferred from its outputs alone."""

import torch
from torch import Tensor

from quantattack.diagnostics.case import Case
from quantattack.rng import NOISE
from quantattack.types import Images, Mask

SAMPLES = 256  # levels of gray from black to white
SWEEPS = 8  # a binarized network does not answer every threshold on one image
MOST = 64  # levels: more are as fine as the pixels of a file
_SAME = 1e-5  # of the logits' range
_IMAGES = 16


def input_levels(case: Case) -> int | None:
    """Return to how many levels a model rounds each pixel, None where it does not.

    Half the pixels of an image turned from black to white show where the outputs jump.  If these jumps are the pixels'
    thresholds, every pixel of an image can move between two of them and no logit changes; in a network whose hidden
    layers are quantized the same move changes some.  Outputs that no move changes, as those of a saturated softmax,
    show nothing: a move beyond the next threshold has to change them.
    """
    jumps = _jumps(case)
    if not 1 <= len(jumps) < MOST or not len(case):
        return None
    few = case.first(_IMAGES)
    moved = _between(few, jumps)
    if float((moved - few.images).abs().amax()) == 0:
        return None
    logits = few.logits()
    least = _SAME * float((logits.amax(1) - logits.amin(1)).max())
    within, beyond = ((logits - few.logits(x)).abs().amax(1) > least for x in (moved, _beyond(few, jumps)))
    return len(jumps) + 1 if not within.any() and float(beyond.double().mean()) > 0.5 else None


def _jumps(case: Case) -> Tensor:
    """Return the indices of the grays behind which an output jumps, in any of the sweeps."""
    jumps = torch.zeros(SAMPLES - 1, dtype=torch.bool, device=case.images.device)
    for sweep in range(SWEEPS):
        logits = case.logits(_swept(case, sweep))
        size = float((logits.amax(0) - logits.amin(0)).max())
        jumps |= (logits[1:] - logits[:-1]).abs().amax(1) > _SAME * size
    return jumps.nonzero()[:, 0]


def _swept(case: Case, sweep: int) -> Images:
    """Turn half the pixels of one image through all grays; in the first sweep all of them."""
    image = case.first(1) if sweep == 0 else case.where(_only(case, sweep % len(case)))
    turned = image.rng.uniform(sweep, NOISE, image.images.shape[1:]) < (0.5 if sweep else 2.0)
    gray = _grays(case).reshape(-1, *[1] * (case.images.ndim - 1))
    return torch.where(turned, gray, image.images)


def _only(case: Case, at: int) -> Mask:
    return torch.arange(len(case), device=case.images.device) == at


def _grays(case: Case) -> Tensor:
    low, high = case.threat.low, case.threat.high
    at = (torch.arange(SAMPLES, device=case.images.device) + 0.5) / SAMPLES
    return (low + (high - low) * at).to(case.images)


def _between(case: Case, jumps: Tensor) -> Images:
    """Move each pixel at random between the two jumps around it; a pixel next to a jump stays."""
    grays, bound = _grays(case).double(), case.threat
    ends = grays.new_tensor([bound.low]), grays.new_tensor([bound.high])
    low = torch.cat([ends[0], grays[jumps + 1]])  # of each plateau, where it has surely begun
    high = torch.cat([grays[jumps], ends[1]])
    x = case.images.double()
    at = (torch.bucketize(x, low, right=True) - 1).clamp(0, len(low) - 1)
    inside = (x >= low[at]) & (x <= high[at])
    share = case.rng.uniform(1, NOISE, x.shape[1:], torch.float64)
    return torch.where(inside, low[at] + share * (high[at] - low[at]), x).to(case.images)


def _beyond(case: Case, jumps: Tensor) -> Images:
    """Move each pixel beyond the next jump above it; from above the last one, below it."""
    grays = _grays(case)
    above = grays[jumps + 1]
    at = torch.bucketize(case.images, above, right=True)
    last = at == len(jumps)
    return torch.where(last, grays[jumps[-1]], above[at.clamp_max(len(jumps) - 1)]).to(case.images)
