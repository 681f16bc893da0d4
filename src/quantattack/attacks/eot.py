"""Expectation over transformation (EOT): attacks on the mean logits of a randomized model."""

from dataclasses import dataclass

import torch
from torch import nn

from quantattack.attacks.around import Around
from quantattack.attacks.base import (
    Batch,
    Trace,
    passes,
)
from quantattack.attacks.merging import search_apart
from quantattack.errors import check_count
from quantattack.gradients import called
from quantattack.record.description import tagged
from quantattack.types import Images, Logits, Model


class Mean(nn.Module):
    """A model whose logits are averaged over several forward passes, each with fresh noise.

    Arguments:
        model: A randomized model.
        draws: Number of forward passes to average.
    """

    def __init__(self, model: Model, draws: int) -> None:
        super().__init__()
        self.model, self.draws = model, draws
        self.training = False  # the model inside keeps its own mode

    def forward(self, images: Images) -> Logits:
        return torch.stack([called(self.model, images) for _ in range(self.draws)]).mean(0)


@tagged("Averaged")
@dataclass(frozen=True)
class Eot(Around):
    r"""Run an attack on the mean of a randomized model's logits over several forward passes.

    .. math:: \nabla_x\, \ell\Big(\tfrac{1}{m} \sum_{i=1}^{m} a_{\xi_i}(x),\, y\Big),
       \quad \xi_i \text{ drawn anew at every step}

    Each draw is a separate forward pass, so noise that all images of a batch share is redrawn as well.

    Source: Athalye, Carlini and Wagner, 2018, https://arxiv.org/abs/1802.00420 (expectation over transformation).

    Arguments:
        attack: The attack to run.
        draws: Number m of forward passes averaged in place of one.

    Raises:
        InputError: If draws is below 1.
    """

    draws: int = 10

    def __post_init__(self) -> None:
        check_count("draws", self.draws)

    def passes(self, classes: int) -> int:
        return self.draws * passes(self.attack, classes)

    def trace(self, model: Model, batch: Batch) -> Trace:
        return search_apart(self.attack, Mean(model, self.draws), batch)
