"""Normalizations of real numbers, as they are at inference."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from quantattack.deployed.onnx.call import Call, Part, applied


def batch_normalization(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, epsilon: float = 1e-5
) -> Tensor:
    """Return BatchNormalization, as one multiplication and one addition for each channel.

    Arguments:
        x: Inputs with shape (n, c, ...).
        weight: Factor of each channel.
        bias: Summand of each channel.
        mean: Running mean of each channel.
        variance: Running variance of each channel.
        epsilon: What is added to the variance.
    """
    scale = weight / (variance + epsilon).sqrt()
    shape = (1, -1, *[1] * (x.ndim - 2))
    return (x * scale.reshape(shape)).add_((bias - mean * scale).reshape(shape))


def layer_normalization(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, axis: int = -1, epsilon: float = 1e-5
) -> Tensor:
    """Return LayerNormalization over all axes from `axis` on.

    Arguments:
        x: Any tensor.
        weight: Factor of each number of a row.
        bias: Summand of each number of a row, or none.
        axis: The first axis of a row.
        epsilon: What is added to the variance.
    """
    sizes = x.shape[axis % x.ndim :]
    return functional.layer_norm(x, sizes, weight.expand(sizes), None if bias is None else bias.expand(sizes), epsilon)


def simplified_layer_normalization(x: Tensor, weight: Tensor, axis: int = -1, epsilon: float = 1e-5) -> Tensor:
    """Return the normalization by the root of the mean square over all axes from `axis` on.

    Arguments:
        x: Any tensor.
        weight: Factor of each number of a row.
        axis: The first axis of a row.
        epsilon: What is added to the mean square.
    """
    axes = list(range(axis % x.ndim, x.ndim))
    return x / (x.square().mean(axes, keepdim=True) + epsilon).sqrt() * weight


def skip_layer_normalization(
    x: Tensor,
    skip: Tensor,
    weight: Tensor,
    beta: Tensor | None = None,
    bias: Tensor | None = None,
    epsilon: float = 1e-5,
) -> tuple[Tensor, None, None, Tensor]:
    """Return SkipLayerNormalization: the normalized sum, and the sum itself as its fourth output.

    Arguments:
        x: Any tensor.
        skip: What is added to it.
        weight: Factor of each number of a row.
        beta: Summand of each number of a row after the normalization, or none.
        bias: Summand before the normalization, or none.
        epsilon: What is added to the variance.
    """
    added = x + skip if bias is None else x + skip + bias
    return layer_normalization(added, weight, beta, -1, epsilon), None, None, added


def instance_normalization(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Return InstanceNormalization."""
    return functional.instance_norm(x, weight=weight, bias=bias, eps=epsilon)


def group_normalization(x: Tensor, weight: Tensor, bias: Tensor, num_groups: int, epsilon: float = 1e-5) -> Tensor:
    """Return GroupNormalization, whose factors are one for each channel, or before opset 21 for each group."""
    if weight.numel() == num_groups != x.shape[1]:
        weight, bias = (values.repeat_interleave(x.shape[1] // num_groups) for values in (weight, bias))
    return functional.group_norm(x, num_groups, weight, bias, epsilon)


def local_response(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Tensor:
    """Return LRN."""
    return functional.local_response_norm(x, size, alpha, beta, bias)


def lp_normalization(x: Tensor, axis: int = -1, p: int = 2) -> Tensor:
    """Return LpNormalization, which leaves rows of zeros as they are."""
    size = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / torch.where(size == 0, torch.ones_like(size), size)


def settings(call: Call, *names: str) -> dict[str, Any]:
    """Return the attributes of a node that it states, by name."""
    return {name: call.attribute(name) for name in names if call.attribute(name) is not None}


def batch_normalization_of(call: Call) -> Part:
    """Return BatchNormalization at inference."""
    if call.attribute("training_mode", 0):
        raise call.refuse("normalizes by the batch (training_mode), so that the verdict depends on the other images")
    return applied(batch_normalization, call, **settings(call, "epsilon"))
