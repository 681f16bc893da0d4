"""Hessian Norm Scaling (HNS)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.attacks.scaling.base import Scaled, confidence, logit_range, safe_margin
from quantattack.errors import check_count
from quantattack.gradients import differences, hessian_norm, jacobian
from quantattack.record.description import tagged
from quantattack.types import Images, Labels, Model


@tagged("Hns")
@dataclass(frozen=True)
class Hns:
    r"""Hessian Norm Scaling: the per-image beta that maximizes the norm of the loss's input Hessian, fitted once.

    .. math:: \beta^* = \arg\max_\beta \|\beta^2 J^\top S(\beta) J\|_F

    Beta is searched on a logarithmic grid of :math:`\beta (a_{(1)} - a_{(2)})` from 0.05 to 30, refined twice; the grid
    starts lower where the margin is a small part of the logit range.  The norm is computed in float64 from the k x k
    Gram matrix of the logits' Jacobian, which takes k backward passes and no Hessian.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (Algorithm 2).

    Arguments:
        points: Number of grid points.
        published: Whether to search a linear grid as the paper does, and fall back to 1 for a misclassified image, a
            tie, or a maximum at an end of the grid.
    """

    points: int = 64
    published: bool = False

    def __post_init__(self) -> None:
        check_count("points", self.points, least=2)

    @classmethod
    def paper(cls) -> "Hns":
        """Return the search as published, on 100 linearly spaced points."""
        return cls(points=100, published=True)

    def __call__(self, model: Model, images: Images, labels: Labels) -> Scaled:
        logits, rows = jacobian(model, images)
        products, exact = differences(rows, logits), logits.double()
        beta = self._linear(products, exact, labels) if self.published else self._logarithmic(products, exact)
        return Scaled(beta.to(logits))

    def passes(self, classes: int) -> int:
        """Return 1 + k: one forward pass, and one backward pass for each row of the Jacobian."""
        return 1 + classes

    def _logarithmic(self, products: Tensor, logits: Tensor) -> Tensor:
        gap, span = safe_margin(logits), logit_range(logits)
        low = (0.5 * gap / span.where(span > 0, 1.0)).clamp(max=0.05)[:, None]  # lower for relatively small margins
        share = torch.linspace(0, 1, self.points, dtype=gap.dtype, device=gap.device)
        grid = low * (30 / low) ** share
        for _ in range(3):
            norms = hessian_norm(products, logits, grid / gap[:, None])
            best = norms.argmax(1, keepdim=True)
            low = grid.gather(1, (best - 1).clamp_min(0)).log()
            high = grid.gather(1, (best + 1).clamp_max(grid.shape[1] - 1)).log()
            chosen = grid.gather(1, best)[:, 0]
            share = torch.linspace(0, 1, 17, dtype=gap.dtype, device=gap.device)
            grid = (low + (high - low) * share).exp()
        return (chosen / gap).where(logit_range(logits) > 0, 1.0)

    def _linear(self, products: Tensor, logits: Tensor, labels: Labels) -> Tensor:
        top = logits.topk(2, dim=1)
        gap, classes = top.values[:, 0] - top.values[:, 1], logits.shape[1]
        low, high = confidence(1 - 1 / classes - 1e-2, classes), confidence(1e-72, classes)
        grid = torch.linspace(low, high, self.points, dtype=gap.dtype, device=gap.device)
        usable = (gap > 0) & (top.indices[:, 0] == labels)
        beta = grid / gap.where(usable, 1.0)[:, None]
        best = hessian_norm(products, logits, beta).argmax(1)
        inner = (best > 0) & (best < self.points - 1)
        return beta.gather(1, best[:, None])[:, 0].where(usable & inner, 1.0)
