"""Two classes from one logit: what a network with a single sigmoid output says, in the form that attacks take."""

from typing import Any

import torch
from torch import Tensor, nn

from quantattack.errors import InputError
from quantattack.gradients import is_twinned, logits_in
from quantattack.types import Images, Logits, Model


class OneLogit(nn.Module):
    r"""A model of two classes with one logit :math:`z`, whose sigmoid is the probability of class 1.

    .. math:: (z_0, z_1) = (-z, z)

    The predicted class is 1 where z is positive.  Temperatures see the gap 2z between the two logits.

    Arguments:
        model: Maps images in [0, 1] to logits with shape (n,) or (n, 1).
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        if isinstance(model, nn.Module):
            self.training = model.training

    @property
    def twinned(self) -> bool:
        """Whether the model's gradient and verdict come from two implementations."""
        return is_twinned(self.model)

    def forward(self, images: Images) -> Logits:
        output: Any = self.model(images)
        logit = _one_each(output if isinstance(output, Tensor) else logits_in(output), len(images))
        return torch.cat([-logit, logit], 1)


def _one_each(logit: Any, rows: int) -> Tensor:
    """Return one logit per image as a column.

    Raises:
        InputError: If the model returned anything else.
    """
    if not isinstance(logit, Tensor) or logit.numel() != rows or tuple(logit.shape) not in ((rows,), (rows, 1)):
        got = tuple(logit.shape) if isinstance(logit, Tensor) else type(logit).__name__
        raise InputError(f"one logit means outputs of shape ({rows},) or ({rows}, 1), not {got}; leave --one-logit out")
    return logit.reshape(rows, 1)
