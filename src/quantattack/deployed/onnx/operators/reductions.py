"""Reductions over axes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from quantattack.deployed.onnx.call import Call, Part

Reduction = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def mean(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Return ReduceMean."""
    return x.mean(axes, keepdim=keep)


def total(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Return ReduceSum."""
    return x.sum(axes, keepdim=keep)


def largest(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Return ReduceMax."""
    return x.amax(axes, keepdim=keep)


def smallest(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Return ReduceMin."""
    return x.amin(axes, keepdim=keep)


def product(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Return ReduceProd."""
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def size(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Return ReduceL2."""
    norm: Tensor = torch.linalg.vector_norm(x, 2, axes, keepdim=keep)
    return norm


def absolute(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Return ReduceL1."""
    return x.abs().sum(axes, keepdim=keep)


def squares(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Return ReduceSumSquare."""
    return x.square().sum(axes, keepdim=keep)


def log_sum_exp(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Return ReduceLogSumExp."""
    return torch.logsumexp(x, axes, keepdim=keep)


class Reduce(nn.Module):
    """One reduction.

    Arguments:
        reduction: What to compute.
        axes: Over which axes where they are attributes.
        keep: Whether reduced axes stay, of size 1.
        still: Whether no axes mean that nothing is reduced, and not everything.
    """

    def __init__(self, reduction: Reduction, axes: Sequence[int] | None, keep: bool, still: bool) -> None:
        super().__init__()
        self.reduction, self.axes, self.keep, self.still = reduction, axes, keep, still

    def forward(self, x: Tensor, axes: Tensor | None = None) -> Tensor:
        given = self.axes if axes is None else [int(axis) for axis in axes.tolist()]
        if not given and self.still:
            return x
        return self.reduction(x, tuple(given or range(x.ndim)), self.keep)


def reduce_by(reduction: Reduction) -> Callable[[Call], Part]:
    """Return what makes a part of a reduction.

    Arguments:
        reduction: What to compute.
    """

    def build(call: Call) -> Part:
        keep, still = bool(call.attribute("keepdims", 1)), bool(call.attribute("noop_with_empty_axes", 0))
        return Part(Reduce(reduction, call.attribute("axes"), keep, still), call.node.inputs)

    return build
