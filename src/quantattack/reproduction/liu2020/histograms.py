"""What a quantized step keeps of a gradient, and the histograms of figure 2 of Liu et al., 2020."""

import torch
from torch import Tensor

from quantattack.attacks.norms import at_most_one
from quantattack.types import Images

EDGES = torch.linspace(-30.5, 30.5, 62, dtype=torch.float64)


def kept(grad: Images, step: Tensor, size: float) -> dict[str, object]:
    """Return how well a step preserves a gradient, over the pixels whose gradient is not 0.

    ``applicable`` is the fraction of pixels that the step moves by 1/255 or more, ``sign`` the fraction whose sign it
    keeps, ``magnitude`` the correlation of the absolute values over all pixels, ``counts`` the step's histogram, and
    ``shape`` that of the step over its image's largest entry, times 100: of the raw gradient, it is what 100 levels
    round.

    Arguments:
        grad: Gradients with shape (n, ...).
        step: The steps that a direction makes of them, in levels, with the same shape.
        size: Change of a pixel by one level, in pixels of [0, 1].
    """
    flat, moved = grad.flatten(1).double(), step.flatten(1).double()
    nonzero = flat != 0
    return {
        "applicable": float((size * moved[nonzero].abs() >= 1 / 255).double().mean()),
        "sign": float((moved.sign() == flat.sign())[nonzero].double().mean()),
        "magnitude": float(_correlation(flat.abs(), moved.abs())),
        "edges": EDGES.tolist(),
        "counts": _histogram(moved[nonzero]),
        "shape": _histogram(100 * at_most_one(moved)[nonzero]),
    }


def _histogram(values: Tensor) -> list[float]:
    """Return how many values round to each whole number from -30 to 30; larger ones count as 30, as the ball's end."""
    counts: list[float] = torch.histogram(values.clamp(-30, 30).cpu(), EDGES).hist.tolist()
    return counts


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean over images of the correlation of two tensors; 0 for an image where one is constant."""
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    spread = (a.norm(dim=1) * b.norm(dim=1)).clamp_min(torch.finfo(torch.float64).tiny)
    mean: Tensor = ((a * b).sum(1) / spread).mean()
    return mean
