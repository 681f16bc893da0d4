"""Layers: the projection that carries a quantizer, and the normalization of pixels."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from quantattack.nn.quantizers import Quantizer, Tempered, Values, project

# Mean and deviation of CIFAR-10's channels, which the papers' networks use for CIFAR-100 too.
CIFAR = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2023, 0.1994, 0.2010)}


class Projection(nn.Module):
    """A quantizer in a network, as a weight's parametrization or as an activation.

    In train mode its value is the quantizer's ``forward``, in eval mode its ``hard``; the derivative is always the
    surrogate's.

    Arguments:
        quantizer: What it applies; a field ``beta`` of it becomes a buffer that the training loop sets.
        frozen: Whether the value is ``hard`` in train mode too.

    """

    beta: Tensor

    def __init__(self, quantizer: Quantizer, frozen: bool = False) -> None:
        super().__init__()
        self.quantizer, self.frozen = quantizer, frozen
        self.tempered = isinstance(quantizer, Tempered)
        beta = float(quantizer.beta) if isinstance(quantizer, Tempered) else 1.0
        self.register_buffer("beta", torch.tensor(beta), persistent=self.tempered)

    def current(self) -> Quantizer:
        if not self.tempered:
            return self.quantizer
        return replace(self.quantizer, beta=self.beta)  # type: ignore[type-var]

    def forward(self, x: Values) -> Values:
        return project(self.current(), x, hard=self.frozen or not self.training)

    def extra_repr(self) -> str:
        return repr(self.quantizer)


class Normalize(nn.Module):
    """Pixels in [0, 1] to zero mean and unit deviation: ``(x - mean) / std`` for each channel.

    Arguments:
        mean: Mean of each channel, in pixels of [0, 1].
        std: Deviation of each channel, in pixels of [0, 1].

    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # Not persistent: the state dict of a network holds what was trained; these are settings of its architecture.
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, x: Values) -> Values:
        return (x - self.mean) / self.std


class Slot(nn.Identity):
    """Where an architecture itself places the activation quantizer; the identity in float."""
