"""Particle interactions: gradient transforms that couple the images of a batch."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from quantattack.attacks.norms import per_image
from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.types import Images


@tagged("Blob")
@dataclass(frozen=True)
class Blob:
    r"""DAA-BLOB: smooth the gradients over the batch and add a Gaussian kernel force between the images.

    .. math:: \tilde g_i = g_i + \frac{c}{n} \Big[ \sum_j K_{ij}\, g_j + s \sum_j \nabla_{x_j} K(x_i, x_j) \Big], \quad
       K_{ij} = e^{-\|x_i - x_j\|^2 / 2 h^2}, \quad h^2 = \frac{\mathrm{median}(\|x_i - x_j\|^2)}{2 \ln n}

    with the median over all ordered pairs, including each image with itself.  The sign s = -1, which the published
    results use, attracts the images to each other; +1 repels them.  Gradients are those of the summed loss, for pixels
    in [0, 1].  A single image, or a set in which more than half the pairs coincide, does not interact.

    Source: Zheng, Chen and Ren, 2019, https://arxiv.org/abs/1808.05537; Liu et al., 2020,
    https://arxiv.org/abs/2002.02372 (equation 8).

    Arguments:
        c: Weight of the interaction.
        kernel_sign: The sign s of the kernel's force, -1 or 1.
        normalized: Whether gradient and interaction are each scaled to unit length before they are added, so that
            c does not depend on pixel units or the size of the set.

    Raises:
        InputError: If the sign is neither -1 nor 1.
    """

    c: int | float = 1.1
    kernel_sign: int = -1
    normalized: bool = False
    coupled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.kernel_sign not in (-1, 1):
            raise InputError(f"kernel_sign must be -1 (as released) or 1, not {self.kernel_sign!r}")

    def __call__(self, grad: Images, x: Images, previous: Images) -> Images:  # noqa: ARG002
        count, apart = len(x), distances(x)
        width = bandwidth(apart, count)
        if width is None:
            return grad
        kernel = torch.exp(-apart / (2 * width))
        smooth = kernel @ grad.flatten(1).double()
        pull = force(kernel, x, width)
        return _added(grad, smooth + self.kernel_sign * pull, self.c, 1 / count, self.normalized)


@tagged("Dgf")
@dataclass(frozen=True)
class Dgf:
    r"""DAA-DGF: add a force that repels near images and attracts far ones.

    .. math:: \tilde g_i = g_i + c \sum_j \Big( \frac{\|x_i - x_j\|^2}{2 h^2} - 1 \Big) K_{ij} (x_i - x_j), \quad
       h^2 = \frac{\mathrm{median}(\|x_i - x_j\|^2)}{2 \ln (n + 1)}

    Source: Zheng, Chen and Ren, 2019, https://arxiv.org/abs/1808.05537, as released.

    Arguments:
        c: Weight of the force; negative pushes images nearer than :math:`\sqrt 2 h` apart.
        normalized: Whether gradient and force are each scaled to unit length before they are added.
    """

    c: int | float = -0.001
    normalized: bool = False
    coupled: ClassVar[bool] = True

    def __call__(self, grad: Images, x: Images, previous: Images) -> Images:  # noqa: ARG002
        apart = distances(x)
        width = bandwidth(apart, len(x) + 1)
        if width is None:
            return grad
        scaled = apart / (2 * width)
        kernel = (scaled - 1) * torch.exp(-scaled)
        return _added(grad, force(kernel, x, 1.0), self.c, 1.0, self.normalized)


def distances(x: Images) -> Tensor:
    """Return squared Euclidean distances with shape (n, n); float64 and centering limit cancellation."""
    flat = x.flatten(1).double()
    flat = flat - flat.mean(0)
    square = flat.square().sum(1)
    apart = (square[:, None] + square[None] - 2 * flat @ flat.T).clamp_min(0)
    return apart.fill_diagonal_(0)


def bandwidth(apart: Tensor, count: int) -> float | None:
    """Return the squared bandwidth by the median heuristic; None if it is zero, where images cannot interact."""
    flat = apart.flatten()
    middle = (flat.numel() - 1) // 2, flat.numel() // 2
    median = sum(float(flat.kthvalue(at + 1).values) for at in middle) / 2
    return 0.5 * median / math.log(count) if median > 0 and count > 1 else None


def force(kernel: Tensor, x: Images, width: int | float) -> Tensor:
    r"""Return :math:`\sum_j K_{ij} (x_i - x_j) / h^2`, shape (n, d): the kernel's derivative in its second argument."""
    flat = x.flatten(1).double()
    flat = flat - flat.mean(0)
    return (kernel.sum(1, keepdim=True) * flat - kernel @ flat) / width


def _added(grad: Images, interaction: Tensor, c: int | float, share: float, normalized: bool) -> Images:
    other = interaction.reshape(grad.shape)
    if not normalized:
        return (grad.double() + c * share * other).to(grad.dtype)
    return (_unit(grad.double()) + c * _unit(other)).to(grad.dtype)


def _unit(values: Tensor) -> Tensor:
    size = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return values / per_image(size.where(size > 0, size.new_ones(())), values)
