"""The images inside a threat as a set that bounds are computed over."""

from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.threat import Threat
from quantattack.certification.parts import MARGIN, UNIT, Box, total
from quantattack.types import Images

SLACK = 1e-6  # fraction of the radius that the judge lets a perturbation exceed it by


@dataclass(frozen=True, eq=False)
class Region:
    """All images that count as inside the threat around one clean image, and a little more.

    Arguments:
        box: The range of each pixel, with shape (1, ...).
        clean: The clean image in float64, with shape (1, ...).
        threat: The threat.
        radius: Its radius with the judge's slack; of no use under Linf, where the box is the threat.
        rounding: By how much a pixel's value may be off in float32.
    """

    box: Box
    clean: Tensor
    threat: Threat
    radius: float
    rounding: float

    def least(self, rows: Tensor) -> Tensor:
        """Return the least value of each row over the region, with shape (m,)."""
        inside = total(rows.clamp(min=0) * self.box.low + rows.clamp(max=0) * self.box.high)
        if isinstance(self.threat.norm, Linf):
            return inside
        dual = rows.flatten(1).norm(dim=1) if isinstance(self.threat.norm, L2) else rows.abs().flatten(1).amax(1)
        return torch.maximum(inside, total(rows * self.clean) - self.radius * dual)


def region_of(threat: Threat, clean: Images) -> Region:
    """Return the region around one clean image.

    It holds every image that the judge counts as inside: its slack of 1e-6 of the radius and the rounding of the
    pixels are added.

    Arguments:
        threat: The threat.
        clean: The clean image with shape (1, ...).
    """
    x, rounding = clean.double(), _rounding(threat)
    if threat.levels is not None:  # the judge counts levels from the one that is nearest
        x = threat.grid(x)
    most = threat.limits(threat.radii(clean), x)
    reach = (most if most.ndim > 1 else most.view(-1, *[1] * (x.ndim - 1))) * (1 + SLACK) + rounding
    box = Box((x - reach).clamp(min=threat.low), (x + reach).clamp(max=threat.high))
    if threat.levels is not None:  # a level's own value is rounded
        box = box.widened(torch.full_like(x, rounding))
    count = x.numel()
    rounded = rounding * (count**0.5 if isinstance(threat.norm, L2) else count if isinstance(threat.norm, L1) else 1)
    return Region(box, x, threat, threat.radius * (1 + SLACK) + rounded, rounding)


def _rounding(threat: Threat) -> float:
    """Return by how much the value of a pixel may be off in float32, and with levels two of them off their distance."""
    rounding = 2 * UNIT * max(abs(threat.low), abs(threat.high))
    if threat.levels is None:
        return rounding
    grid, index = threat.grid, torch.arange(threat.levels, dtype=torch.float64)
    off = (grid.values(index, index.dtype) - (grid.low + index * grid.step)).abs().max()
    return max(rounding, 2 * MARGIN * float(off))
