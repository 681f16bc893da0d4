"""The mean singular value of a Jacobian of many rows, estimated from products with it and its transpose."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

import torch
from torch import Tensor

from quantattack.errors import InputError
from quantattack.gradients import NoGradient, called, ordinary
from quantattack.record.description import tagged
from quantattack.rng import SKETCH, Rng
from quantattack.types import Images, Logits, Model, PerImage

STEPS = 16  # products with J Jᵀ for each image: each costs two backward passes
_TINY = 1e-12  # eigenvalues below this share of the largest count as zero

Product: TypeAlias = Callable[[Logits], Logits]


@tagged("SingularSketch")
@dataclass(frozen=True)
class Sketch:
    """How a mean singular value was estimated, as a record holds it.

    Arguments:
        steps: Lanczos steps for each image.
        error: Standard error of the mean over the images, which holds the random vectors' error, relative to it.
        below: How far the mean may lie below the estimate because the steps are few, relative to it.
    """

    steps: int
    error: float
    below: float


@dataclass(frozen=True, eq=False)
class Estimates:
    """Mean singular values of the Jacobians of n images, each estimated from one random vector.

    Arguments:
        mean: Estimates of the mean singular value, with shape (n,); what the few steps do to it is to raise it.
        lowest: The same from below: the quadrature's exact value lies between the two.
        square: Estimates of the mean squared singular value, that is of the squared Frobenius norm over k.
    """

    mean: PerImage
    lowest: PerImage
    square: PerImage

    @classmethod
    def joined(cls, parts: Sequence["Estimates"]) -> "Estimates":
        """Concatenate the estimates of several batches."""
        return cls(*(torch.cat([vars(part)[each.name] for part in parts]) for each in fields(cls)))

    def summary(self, steps: int) -> Sketch:
        """Return the errors of the mean over the images, which is positive."""
        mean, count = float(self.mean.mean()), len(self.mean)
        error = float(self.mean.std()) / count**0.5 if count > 1 else mean  # of one image nothing is known
        below = float((self.mean - self.lowest).mean())
        return Sketch(steps, *(float(f"{part / mean:.2g}") for part in (error, below)))


def mean_singular_values(
    model: Model, images: Images, rng: Rng, weight: Tensor | None = None, steps: int = STEPS
) -> Estimates:
    r"""Estimate the mean singular value of each image's Jacobian by stochastic Lanczos quadrature.

    .. math:: \frac{1}{k} \sum_i \sigma_i = \mathrm{E}\, v^\top (J J^\top)^{1/2} v
       \approx \mathrm{E} \sum_j \tau_j^2 \sqrt{\theta_j}, \quad v_i = \pm 1 / \sqrt{k}

    with the eigenvalues :math:`\theta_j` of the tridiagonal matrix of Lanczos's method that starts at a random v, and
    the first entries :math:`\tau_j` of its eigenvectors.  Gauss quadrature of a square root errs upward, and with one
    node fixed at zero (Gauss and Radau) downward (Golub and Meurant, 2010), so that two numbers enclose each quadratic
    form.  The first diagonal entry is :math:`\|J^\top v\|^2`, Hutchinson's estimate of :math:`\|J\|_F^2 / k`.

    No row of J is formed: memory is that of a backward pass of a backward pass, and does not depend on k.

    Source: Ubaru, Chen and Saad, 2017, https://doi.org/10.1137/16M1104974.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Images with shape (n, ...).
        rng: The images' random numbers.
        weight: Factors of the Jacobian's columns, with the shape of an image; None for 1.
        steps: Lanczos steps, from 2 to k.

    Raises:
        NoGradient: If no logit depends on the images through autograd.
        InputError: If the model's backward pass has no derivative.
    """
    with torch.enable_grad():
        logits, product = _products(model, images, weight)
        classes = logits.shape[1]
        start = rng.signs(0, SKETCH, (classes,), torch.float64) / classes**0.5
        diagonal, beside = _lanczos(product, start.to(logits.device), min(steps, classes))
    rest = beside[:, -1]
    matrix = torch.diag_embed(diagonal) + sum(torch.diag_embed(beside[:, :-1], at) for at in (1, -1))
    return Estimates(_quadrature(matrix), _quadrature(_with_zero(matrix, rest)), diagonal[:, 0])


def _products(model: Model, images: Images, weight: Tensor | None) -> tuple[Logits, Product]:
    """Return the logits, and what multiplies a vector for each image with its J Jᵀ, in the model's own arithmetic.

    Jᵀ v is linear in v, so that its derivative along u is J u.
    """
    x = ordinary(images).detach().requires_grad_()
    logits = called(model, x)
    if not logits.requires_grad:
        raise NoGradient
    blank = torch.zeros_like(logits, requires_grad=True)
    (linear,) = torch.autograd.grad(logits, x, blank, create_graph=True, allow_unused=True)
    if linear is None:
        raise NoGradient

    def product(vectors: Logits) -> Logits:
        (back,) = torch.autograd.grad(logits, x, vectors.to(logits), retain_graph=True)
        back = torch.nan_to_num(back, nan=0.0) * (1.0 if weight is None else weight.square())
        try:
            (found,) = torch.autograd.grad(linear, blank, back, retain_graph=True)
        except RuntimeError:
            raise InputError(_TWICE) from None
        return found.double()

    return logits.detach(), product


_TWICE = (
    "the model's backward pass has no derivative, which NJS of many classes needs; take another temperature, as gap"
)


def _lanczos(product: Product, start: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return the diagonals of the tridiagonal matrices, with shape (n, steps), and what stands beside them."""
    basis, diagonal, beside = [start], list[Tensor](), list[Tensor]()
    for _ in range(steps):
        moved = product(basis[-1])
        diagonal.append((moved * basis[-1]).sum(1))
        known = torch.stack(basis, 1)
        for _ in range(2):  # once more, as rounding leaves something of the vectors before
            moved = moved - torch.einsum("nsk,ns->nk", known, torch.einsum("nsk,nk->ns", known, moved))
        length = moved.norm(dim=1)
        length = length.where(length > _TINY * diagonal[0].abs(), 0.0)  # else the space is exhausted
        beside.append(length)
        basis.append(moved * (1 / length.where(length > 0, 1.0) * (length > 0))[:, None])
    return torch.stack(diagonal, 1), torch.stack(beside, 1)


def _quadrature(matrix: Tensor) -> PerImage:
    """Return the square root's first diagonal entry of symmetric matrices with shape (n, s, s)."""
    nodes, vectors = torch.linalg.eigh(matrix)
    entry: Tensor = (vectors[:, 0].square() * nodes.clamp_min(0).sqrt()).sum(1)
    return entry


def _with_zero(matrix: Tensor, rest: PerImage) -> Tensor:
    """Return the matrices with the last diagonal entry that makes zero an eigenvalue, unless nothing is left over."""
    nodes, vectors = torch.linalg.eigh(matrix[:, :-1, :-1])
    used = nodes > _TINY * nodes.amax(1, keepdim=True)
    inverse = (vectors[:, -1].square() / nodes.where(used, 1.0) * used).sum(1)
    changed = matrix.clone()
    last = matrix[:, -1, -2].square() * inverse
    changed[:, -1, -1] = last.where(rest > 0, matrix[:, -1, -1])
    return changed
