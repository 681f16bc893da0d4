"""Temperatures: a positive number that each image's logits are multiplied by, so that there is a slope to feel.

The number is a constant in the derivative, and no prediction depends on it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from quantattack.attacks.threat import is_number
from quantattack.calculus import differences, hessian_norm, jacobian, parts_of, singular_values
from quantattack.errors import InputError, check_count
from quantattack.losses import spread_of
from quantattack.shapes import Images, Labels, Logits, Mask, Model, PerImage

Rescale: TypeAlias = Callable[[Logits, Labels], Logits]
Temperature: TypeAlias = Callable[[Model, Images, Labels], Rescale]

GAP = 2.3993572805  # the root of z tanh(z / 2) = 2
_CLOSEST = 1e-3  # a margin counts as at least this share of the range: bounds beta on near ties
_PROBE_BATCH = 16


def unit(model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG001
    """Leave the logits as they are."""
    return _same


def _same(logits: Logits, labels: Labels) -> Logits:  # noqa: ARG001
    return logits


def looked(temperature: Temperature, model: Model, images: Images, labels: Labels) -> Rescale:
    """Let a temperature look at images, no more of them at once than the model asks for."""
    found = [temperature(model, images[rows], labels[rows]) for rows in parts_of(model, len(images))]
    first = found[0]
    if len(found) == 1 or not hasattr(first, "keep"):
        return first
    names = [field.name for field in fields(first) if isinstance(getattr(first, field.name), Tensor)]  # type: ignore[arg-type]
    return replace(first, **{name: torch.cat([getattr(part, name) for part in found]) for name in names})  # type: ignore[type-var]


def only(rescale: Rescale, rows: slice) -> Rescale:
    """Return a rescaling for some rows of the images that it was made for."""
    kept: Rescale = rescale.keep(rows) if hasattr(rescale, "keep") else rescale
    return kept


@dataclass(frozen=True, eq=False)
class Scaled:
    """Logits times one number an image.

    Arguments:
        beta: Inverse temperatures with shape (n,).
    """

    beta: PerImage

    def __call__(self, logits: Logits, labels: Labels) -> Logits:  # noqa: ARG002
        return logits * self.beta.to(logits)[:, None]

    def keep(self, mask: Mask | slice) -> "Scaled":
        return Scaled(self.beta[mask])


@dataclass(frozen=True)
class Fixed:
    """The same inverse temperature for every image.

    Arguments:
        beta: What the logits are multiplied by, positive.
    """

    beta: int | float

    def __post_init__(self) -> None:
        if not (is_number(self.beta) and self.beta > 0):
            raise InputError(f"beta must be a positive number, not {self.beta!r}")

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG002
        return self.scale

    def scale(self, logits: Logits, labels: Labels) -> Logits:  # noqa: ARG002
        return logits * self.beta


@dataclass(frozen=True)
class Njs:
    r"""Network Jacobian Scaling: bring the mean singular value to one, then the error signal to at least rho.

    .. math:: \beta_1 = 1 / \mathrm{mean}(\sigma(J)), \quad
       \beta_2 = -\ln\frac{\rho}{(1 - \rho)(k - 1)} \Big/ (z_{(1)} - z_{(k)}) \text{ where } 1 - p_y < \rho

    with :math:`z = \beta_1 a`; :math:`\beta_2` is taken anew for each image at each step, and is 1 elsewhere.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (Algorithm 1, Proposition 1).

    Arguments:
        beta1: Inverse of the mean singular value; `Njs.fit` finds it.
        rho: Smallest error signal :math:`1 - p_y` that is left as it is.
        unit: Coordinates of the Jacobian behind beta1: pixels of [0, 1], or the paper's normalized ones.
    """

    beta1: int | float
    rho: int | float = 0.01
    unit: Literal["pixel", "normalized"] = "pixel"

    def __post_init__(self) -> None:
        if not (is_number(self.beta1) and self.beta1 > 0):
            raise InputError(f"beta1 must be a positive number, not {self.beta1!r}; Njs.fit(model, probe) finds it")
        if not 0 < self.rho < 0.5:
            raise InputError(f"rho must lie between 0 and 0.5, not {self.rho!r}")

    @classmethod
    def fit(cls, model: Model, probe: Images, std: Sequence[float] | None = None, rho: int | float = 0.01) -> "Njs":
        """Measure the mean singular value over a probe and return the temperature.

        Arguments:
            model: Maps images in [0, 1] to logits.
            probe: Images with shape (m, ...); the paper takes 100 of the test set.
            std: The channels' standard deviations, for a Jacobian in the paper's normalized coordinates.
            rho: Smallest error signal that is left as it is.

        Raises:
            InputError: If the model's Jacobian is zero on the whole probe.
        """
        if not len(probe):
            raise InputError("Njs.fit needs at least one image to measure the Jacobian on; the paper takes 100")
        if std is not None and (not isinstance(std, Sequence) or len(std) not in (1, probe.shape[1])):
            raise InputError(f"std must hold a number for each of the {probe.shape[1]} channels, not {std!r}")
        weight = None if std is None else probe.new_tensor(list(std)).reshape(1, -1, *[1] * (probe.ndim - 2))
        parts = [_spectrum(model, part, weight) for part in torch.split(probe, _PROBE_BATCH)]
        mean = float(torch.cat(parts).mean())
        if mean == 0:
            raise InputError("the Jacobian is zero on the whole probe, NJS has nothing to scale; use square")
        return cls(1 / mean, rho, "pixel" if std is None else "normalized")

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG002
        return self.scale

    def scale(self, logits: Logits, labels: Labels) -> Logits:
        z = self.beta1 * logits
        with torch.no_grad():
            beta2 = self._sharpened(z.detach(), labels)
        return z * beta2[:, None]

    def _sharpened(self, z: Logits, labels: Labels) -> PerImage:
        error = torch.softmax(z, 1).scatter(1, labels.long()[:, None], 0).sum(1)  # 1 - p_y without the cancellation
        span = z.amax(1) - z.amin(1)
        wanted = confidence(self.rho, z.shape[1]) / span.where(span > 0, span.new_ones(()))
        return wanted.where((error < self.rho) & (span > 0), wanted.new_ones(()))


def _spectrum(model: Model, probe: Images, weight: Tensor | None) -> Tensor:
    _, rows = jacobian(model, probe)
    if weight is not None:
        rows = rows * weight.expand(probe.shape).flatten(1)[:, None]
    return singular_values(rows)


def confidence(rho: int | float, classes: int) -> float:
    r"""Return :math:`-\ln(\rho / ((1 - \rho)(k - 1)))`: the spread of logits at which :math:`1 - p_1` is rho."""
    return math.log1p(-rho) + math.log(classes - 1) - math.log(rho)


@dataclass(frozen=True)
class Hns:
    r"""Hessian Norm Scaling: the temperature at which the loss's input Hessian is largest, found once for each image.

    .. math:: \beta^* = \arg\max_\beta \|\beta^2 J^\top S(\beta) J\|_F

    Searched on a logarithmic grid of :math:`\beta (a_{(1)} - a_{(2)})` from 0.05 to 30 (from less, where the margin is
    a small part of the range) and refined twice, in float64 on the k x k Gram matrix of the logits' Jacobian: k
    backward passes and no Hessian.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (Algorithm 2).

    Arguments:
        points: Points of the grid.
        published: Search the paper's 100 linearly spaced points instead, with its fall-backs to 1: a misclassified
            image, a tie, or a maximum at an end of the grid.
    """

    points: int = 64
    published: bool = False

    def __post_init__(self) -> None:
        check_count("points", self.points, least=2)

    @classmethod
    def paper(cls) -> "Hns":
        """Return the search as published."""
        return cls(points=100, published=True)

    def __call__(self, model: Model, images: Images, labels: Labels) -> Scaled:
        logits, rows = jacobian(model, images)
        products, exact = differences(rows, logits), logits.double()
        beta = self._linear(products, exact, labels) if self.published else self._logarithmic(products, exact)
        return Scaled(beta.to(logits))

    def _logarithmic(self, products: Tensor, logits: Tensor) -> Tensor:
        gap, span = guarded(logits), _span(logits)
        low = (0.5 * gap / span.where(span > 0, 1.0)).clamp(max=0.05)[
            :, None
        ]  # where the margin is a sliver of the range
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
        return (chosen / gap).where(_span(logits) > 0, 1.0)

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


@dataclass(frozen=True)
class Gap:
    r"""The closed form of Hessian Norm Scaling when one rival dominates, taken anew at every step.

    .. math:: \beta = c / (a_{(1)} - a_{(2)})

    For two classes :math:`\|H\|_F = \beta^2 p (1 - p) \|J_1 - J_2\|^2` is largest where
    :math:`z \tanh(z / 2) = 2` for :math:`z = \beta (a_1 - a_2)`, whatever the Jacobian is; so it needs none.  The
    margin counts as at least a thousandth of the range :math:`a_{(1)} - a_{(k)}`.

    Arguments:
        c: What the margin is scaled to.
    """

    c: int | float = GAP

    def __post_init__(self) -> None:
        if not (is_number(self.c) and self.c > 0):
            raise InputError(f"c must be a positive number, not {self.c!r}")

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG002
        return self.scale

    def scale(self, logits: Logits, labels: Labels) -> Logits:  # noqa: ARG002
        with torch.no_grad():
            fixed = logits.detach()
            beta = (self.c / guarded(fixed)).where(_span(fixed) > 0, 1.0)
        return logits * beta[:, None]


@dataclass(frozen=True)
class Mifpe:
    r"""Divide the logits by their margin at every step: :math:`\beta = T / (a_{(1)} - a_{(2)})`, on cross entropy.

    `Gap` is the same scale with T at the maximum of the Hessian's norm.

    Source: Yu and Xu, CVPR 2023, "Efficient Loss Function by Minimizing the Detrimental Effect of Floating-Point Errors
    on Gradient-Based Attacks".

    Arguments:
        t: What the margin is scaled to; 1 in the paper's analysis, 10 as released.
    """

    t: int | float = 1.0

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale:
        return Gap(self.t)(model, images, labels)


@dataclass(frozen=True)
class Rival:
    """Leave each image its true class and one rival: the class that is rank-th behind at the start point.

    The margin of what is left is that rival's logit minus the true one, the loss of a multi-targeted attack (Gowal et
    al., 2019, https://arxiv.org/abs/1910.09338); success is still any wrong class, on all logits.

    Arguments:
        rank: 1 for the nearest rival; a rank beyond the last rival stands for the last.
        ratio: Divide by :math:`a_{(1)} - (a_{(3)} + a_{(4)}) / 2`, derivative included: the margin is then targeted DLR
            (Croce and Hein, 2020, https://arxiv.org/abs/2003.01690).

    Raises:
        InputError: If the rank is less than 1.
    """

    rank: int
    ratio: bool = False

    def __post_init__(self) -> None:
        check_count("rank", self.rank)

    def __call__(self, model: Model, images: Images, labels: Labels) -> "Pair":
        with torch.no_grad():
            logits = model(images)
        return Pair(nth_rival(logits, labels, self.rank), self.ratio)


def nth_rival(logits: Logits, labels: Labels, rank: int) -> Labels:
    """Return the class that is rank-th behind the true one's place, the last one where there are fewer."""
    order = logits.scatter(1, labels.long()[:, None], torch.inf).argsort(dim=1, descending=True, stable=True)
    return order[:, min(rank, logits.shape[1] - 1)]


@dataclass(frozen=True, eq=False)
class Pair:
    """Logits with every class but the true one and the rival out of reach.

    Arguments:
        rival: The rival of each image, with shape (n,).
        ratio: Whether to divide as targeted DLR does.
    """

    rival: Labels
    ratio: bool = False

    def __call__(self, logits: Logits, labels: Labels) -> Logits:
        pair = torch.stack([labels.long(), self.rival], 1)
        out, kept = torch.full_like(logits, -torch.inf), logits.gather(1, pair)
        return out.scatter(1, pair, kept / spread_of(logits)[:, None] if self.ratio else kept)

    def keep(self, mask: Mask | slice) -> "Pair":
        return Pair(self.rival[mask], self.ratio)


def guarded(logits: Logits) -> PerImage:
    """Return the margin between the two largest logits, at least a thousandth of the range; 1 where all are equal."""
    largest = logits.topk(2, dim=1).values
    span = _span(logits)
    gap = torch.maximum(largest[:, 0] - largest[:, 1], _CLOSEST * span)
    return gap.where(span > 0, 1.0)


def _span(logits: Logits) -> PerImage:
    return logits.amax(1) - logits.amin(1)
