"""How far a network's Jacobian and its softmax carry a signal: their singular values, with and without scaling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.attacks.scaling.base import Rescale
from quantattack.errors import InputError
from quantattack.gradients import classes_of, jacobian, jacobians_at_once
from quantattack.types import Images, Jacobian, Labels, Logits, Model, PerImage

BATCH = 16


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values of input-output Jacobians, pooled over images.

    Arguments:
        mean: Mean over images and singular values.
        deviation: Standard deviation over both.
        edges: Edges of the histogram's bins, evenly spaced in the logarithm, with shape (bins + 1,).
        counts: Singular values in each bin, with shape (bins,); zeros are in none.
        zeros: Singular values that are exactly zero.
    """

    mean: float
    deviation: float
    edges: Tensor
    counts: Tensor
    zeros: int


def linearize(model: Model, images: Images, std: Sequence[float] | None = None) -> tuple[Logits, Jacobian]:
    r"""Return the logits and their Jacobian with respect to pixels, or to the paper's normalized pixels.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Images with shape (n, ...).
        std: The channels' standard deviations, for :math:`\partial a / \partial (x / \mathrm{std})`.
    """
    batches = [jacobian(model, batch) for batch in torch.split(images, BATCH)]
    logits, rows = (torch.cat(column) for column in zip(*batches, strict=True))
    return logits, rows if std is None else rows * per_pixel(images, std).to(rows)


def images_at_once(model: Model, images: Images) -> int:
    """Return how many images' Jacobians are held at once: 16, or as many as come to 2^25 numbers.

    Raises:
        InputError: If a single image's has more.
    """
    classes = classes_of(model, images[:BATCH])
    count = jacobians_at_once(classes, images)
    if not count:
        raise InputError(
            f"signals look at the whole Jacobian, and {classes} classes times {images[0].numel()} pixels are too many; "
            "`diagnose` needs none"
        )
    return min(BATCH, count)


def per_pixel(images: Images, std: Sequence[float]) -> Tensor:
    """Return each channel's deviation at each of its pixels, flattened."""
    weight = images.new_tensor(list(std)).reshape(-1, *[1] * (images.ndim - 2))
    return weight.expand(images.shape[1:]).flatten()


def scale_of(rescale: Rescale, logits: Logits, labels: Labels) -> PerImage:
    """Return what a temperature multiplies each image's logits by, in float64; 1 where all logits are zero."""
    exact = logits.double()
    place = exact.abs().argmax(1, keepdim=True)
    before, after = (values.gather(1, place)[:, 0] for values in (exact, rescale(exact, labels)))
    return (after / before.where(before != 0, 1.0)).where(before != 0, 1.0)


def spectrum(values: Tensor, beta: PerImage | None = None, bins: int = 30) -> Spectrum:
    r"""Pool the singular values of :math:`\beta J` over images.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (section 4, table 12).

    Arguments:
        values: Singular values of J with shape (n, k).
        beta: What each image's logits are multiplied by, with shape (n,); 1 where None.
        bins: Bins of the histogram.
    """
    scaled = values if beta is None else values * beta.to(values)[:, None]
    flat = scaled.flatten()
    size = flat[flat > 0].log10().cpu()
    low, high = (math.floor(size.min()), math.ceil(size.max())) if len(size) else (0, 1)
    span = torch.linspace(low, max(high, low + 1), bins + 1, dtype=torch.float64)
    counts = torch.histogram(size.double(), span).hist.long()
    return Spectrum(float(flat.mean()), float(flat.std(correction=0)), 10**span, counts, len(flat) - len(size))


def softmax_spectrum(logits: Logits, beta: Tensor) -> Tensor:
    r"""Return the mean singular value of the softmax's Jacobian at several temperatures, with shape (n, b).

    .. math:: S = \mathrm{diag}(p) - p p^\top, \quad
       \frac{1}{k} \sum_i \sigma_i(S) = \frac{1}{k} \sum_i p_i (1 - p_i), \quad p = \mathrm{softmax}(\beta a)

    S is positive semidefinite, so that its singular values add up to its trace.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (figure 2).

    Arguments:
        logits: Logits with shape (n, k).
        beta: Inverse temperatures with shape (n, b).
    """
    return spread_out(logits, beta).mean(-1)


def spread_out(logits: Logits, beta: Tensor) -> Tensor:
    """Return p (1 - p) of every class at several temperatures, with shape (n, b, k), in float64."""
    p = probabilities(logits, beta)
    total = p.sum(-1, keepdim=True)
    top = p.argmax(-1, keepdim=True)
    others = total - p
    rest = p.scatter(-1, top, 0.0).sum(-1, keepdim=True)  # what is left of 1 beside the largest, without cancellation
    return p * others.scatter(-1, top, rest)


def probabilities(logits: Logits, beta: Tensor) -> Tensor:
    """Return softmax(beta a) in float64, with shape (n, b, k)."""
    exact = logits.double()
    return torch.softmax(beta.double()[:, :, None] * (exact - exact.amax(1, keepdim=True))[:, None], -1)
