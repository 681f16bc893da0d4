"""Hessian Norm Scaling (HNS)."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from quantattack.attacks.scaling.base import Scaled, confidence, logit_range, safe_margin
from quantattack.errors import InputError, check_count
from quantattack.gradients import Among, difference_products, hessian_norm
from quantattack.record.description import tagged
from quantattack.types import Classes, Images, Labels, Logits, Model


@tagged("Hns")
@dataclass(frozen=True)
class Hns:
    r"""Hessian Norm Scaling: the per-image beta that maximizes the norm of the loss's input Hessian, fitted once.

    .. math:: \beta^* = \arg\max_\beta \|\beta^2 J^\top S(\beta) J\|_F, \quad S = \mathrm{diag}(p) - p p^\top, \quad
       p = \mathrm{softmax}(\beta a)

    Beta is searched on a logarithmic grid of :math:`\beta (a_{(1)} - a_{(2)})` from 0.05 to 30, refined twice; the grid
    starts lower where the margin is a small part of the logit range.  The norm is computed in float64 from the k x k
    Gram matrix of the logits' Jacobian, which takes k backward passes and no Hessian.

    With `rivals`, :math:`a` and :math:`J` are those of r + 1 classes alone: the label, and the r largest of the others.
    At the beta where the norm is largest, the other classes have next to no probability, and so no part in S.  What is
    lost is measured in `results/thousand/rivals.json`.  `pgd_plus_hns` on the command line
    takes 20 rivals where there are more; a number of rivals that leaves no class out is recorded as None there.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (Algorithm 2).

    Arguments:
        points: Number of grid points.
        published: Whether to search a linear grid as the paper does, and fall back to 1 for a misclassified image, a
            tie, or a maximum at an end of the grid.
        rivals: How many classes beside the label count; None for all, as in the paper.

    Raises:
        InputError: If there are less than two points, no rival, or rivals in the published search.
    """

    points: int = 64
    published: bool = False
    rivals: int | None = field(default=None, metadata={"recorded_as": "rivals"})  # recorded only where it is given

    def __post_init__(self) -> None:
        check_count("points", self.points, least=2)
        if self.rivals is not None:
            check_count("rivals", self.rivals)
            if self.published:
                raise InputError("the published search takes all classes; leave out rivals, or the published search")

    @classmethod
    def paper(cls) -> "Hns":
        """Return the search as published, on 100 linearly spaced points."""
        return cls(points=100, published=True)

    def __call__(self, model: Model, images: Images, labels: Labels) -> Scaled:
        logits, products = difference_products(model, images, self._among(labels))
        exact = logits.double()
        beta = self._linear(products, exact, labels) if self.published else self._logarithmic(products, exact)
        return Scaled(beta.to(logits))

    def passes(self, classes: int) -> int:
        """Return 1 + k, or 2 + r with r rivals: a forward pass, and a backward pass for each row of the Jacobian."""
        return 1 + (classes if self.rivals is None else min(classes, self.rivals + 1))

    def _among(self, labels: Labels) -> Among | None:
        count = self.rivals
        return None if count is None else lambda logits, rows: _nearest(logits, labels[rows], count)

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


def _nearest(logits: Logits, labels: Labels, rivals: int) -> Classes:
    """Return each image's label and the classes with the largest other logits, in ascending order."""
    first = logits.scatter(1, labels.long()[:, None], torch.inf)
    return first.topk(min(rivals + 1, logits.shape[1]), dim=1).indices.sort(1).values
