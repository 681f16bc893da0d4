"""The projection of a walk, whose iterates of the same images are put onto the same threat at every step."""

from dataclasses import dataclass

import torch

from quantattack.attacks.norms import Linf
from quantattack.attacks.threat import Threat
from quantattack.types import Images, Mask, PerImage


@dataclass(frozen=True, eq=False)
class Projection:
    r"""Projects iterates of n images onto a threat.

    Under Linf the threat is a box :math:`[l, u]` of numbers of the images' type, so that its corners, which are the
    threat's own projections of minus and plus infinity, are computed once, and a step is

    .. math:: \Pi(x) = \min(\max(x, l), u)

    That is the threat's projection bit by bit, as its float64 holds the difference of two float32 pixels exactly,
    unless one is 2^29 times the other: then it may round the smaller one, which is left alone here.  In float64 itself
    it rounds at every step, so there the threat projects.

    Arguments:
        threat: The threat.
        clean: Clean images with shape (n, ...).
        radius: Per-image radii with shape (n,).
        corners: Lowest and highest image of each box; None under another norm, and in float64.
    """

    threat: Threat
    clean: Images
    radius: PerImage
    corners: tuple[Images, Images] | None

    @classmethod
    def onto(cls, threat: Threat, clean: Images, radius: PerImage) -> "Projection":
        """Return the projection onto a threat around clean images."""
        if not isinstance(threat.norm, Linf) or clean.dtype == torch.float64:
            return cls(threat, clean, radius, None)
        low, high = (threat.project(torch.full_like(clean, end), clean, radius) for end in (-torch.inf, torch.inf))
        return cls(threat, clean, radius, (low, high))

    def __call__(self, images: Images) -> Images:
        if self.corners is None or images.dtype != self.clean.dtype:
            return self.threat.project(images, self.clean, self.radius)
        return torch.clamp(images, *self.corners)

    def keep(self, rows: Mask) -> "Projection":
        """Return the projection for the selected images."""
        corners = None if self.corners is None else (self.corners[0][rows], self.corners[1][rows])
        return Projection(self.threat, self.clean[rows], self.radius[rows], corners)
