"""Per-image losses that attacks maximize: larger values are closer to a misclassification."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch.nn import functional

from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.types import Labels, Logits, PerImage

Loss: TypeAlias = Callable[[Logits, Labels], PerImage]


@tagged("cross_entropy")
def cross_entropy(logits: Logits, labels: Labels) -> PerImage:
    r"""Cross entropy, :math:`\log \sum_j e^{a_j} - a_y`, as `torch.nn.functional` computes it.

    In float32 the true class no longer contributes to its gradient at margins above 16.6; the gradient then deviates
    from the exact one up to about 88, and is zero beyond 104.  `log_odds` has the same ascent direction without that.

    Arguments:
        logits: Logits with shape (n, k).
        labels: True classes with shape (n,).
    """
    return functional.cross_entropy(logits, labels.long(), reduction="none")


@tagged("log_odds")
def log_odds(logits: Logits, labels: Labels) -> PerImage:
    r"""Log of the odds against the true class, :math:`m = \log \sum_{j \neq y} e^{a_j} - a_y`.

    Cross entropy is :math:`\log(1 + e^m)`, so their gradients have the same direction in exact arithmetic; this
    one keeps it in floating point, at any margin and at any size of the logits.

    Arguments:
        logits: Logits with shape (n, k).
        labels: True classes with shape (n,).
    """
    rivals = _rivals(logits, labels)
    # Of logits in the thousands the sum's own logarithm is rounded by more than the rivals' shares may be off.
    largest = rivals.detach().amax(1, keepdim=True)
    return (rivals - largest).logsumexp(1) + (largest.squeeze(1) - _true(logits, labels))


@tagged("margin")
def margin(logits: Logits, labels: Labels) -> PerImage:
    r"""The largest rival's logit minus the true one, :math:`\max_{j \neq y} a_j - a_y`.

    Source: Carlini and Wagner, 2017, https://arxiv.org/abs/1608.04644.

    Arguments:
        logits: Logits with shape (n, k).
        labels: True classes with shape (n,).
    """
    return _rivals(logits, labels).amax(1) - _true(logits, labels)


@tagged("dlr")
def dlr(logits: Logits, labels: Labels) -> PerImage:
    r"""Difference of logits ratio, :math:`(\max_{j \neq y} a_j - a_y) / (a_{(1)} - a_{(3)})`.

    Source: Croce and Hein, 2020, https://arxiv.org/abs/2003.01690.

    Arguments:
        logits: Logits with shape (n, k), at least 3 classes.
        labels: True classes with shape (n,).

    Raises:
        InputError: If there are fewer than 3 classes.
    """
    if logits.shape[1] < 3:
        raise InputError(f"the loss dlr needs at least 3 classes, the model has {logits.shape[1]}; use margin")
    largest = logits.topk(3, dim=1).values
    return margin(logits, labels) / (largest[:, 0] - largest[:, 2] + 1e-12)


@tagged("targeted_dlr")
def targeted_dlr(logits: Logits, targets: Labels) -> PerImage:
    r"""Targeted difference of logits ratio, :math:`(a_t - \max_{j \neq t} a_j) / (a_{(1)} - (a_{(3)} + a_{(4)}) / 2)`.

    For attacks that receive targets as labels, with the success criterion `hits`.  While an image is classified
    correctly, the largest other logit is that of the true class.

    Source: Croce and Hein, 2020, https://arxiv.org/abs/2003.01690.

    Arguments:
        logits: Logits with shape (n, k), at least 4 classes.
        targets: Wanted classes with shape (n,).

    Raises:
        InputError: If there are fewer than 4 classes.
    """
    if logits.shape[1] < 4:
        raise InputError(
            f"targeted_dlr needs at least 4 classes, the model has {logits.shape[1]}; use targeted(margin)"
        )
    return -margin(logits, targets) / logit_spread(logits)


def logit_spread(logits: Logits) -> PerImage:
    r"""Return the denominator of targeted DLR, :math:`a_{(1)} - (a_{(3)} + a_{(4)}) / 2`; 1 for two classes."""
    largest = logits.topk(min(4, logits.shape[1]), dim=1).values
    if largest.shape[1] < 3:
        return torch.ones_like(largest[:, 0])
    return (largest[:, 0] - largest[:, 2:].mean(1)).clamp_min(torch.finfo(logits.dtype).tiny)


@tagged("Targeted")
@dataclass(frozen=True)
class Targeted:
    """The negative of a loss, for targeted attacks: the labels that it receives are target classes.

    Arguments:
        loss: A loss for untargeted attacks.
    """

    loss: Loss

    def __call__(self, logits: Logits, labels: Labels) -> PerImage:
        return -self.loss(logits, labels)


def targeted(loss: Loss) -> Targeted:
    """Return the targeted form of a loss, for attacks that receive targets as labels, with the criterion `hits`."""
    return Targeted(loss)


UNTARGETED: tuple[Loss, ...] = (cross_entropy, log_odds, margin, dlr)  # those that climb away from their labels


def is_targeted(loss: Loss) -> bool:
    """Return whether a loss is known to climb toward its labels."""
    return isinstance(loss, Targeted) or loss is targeted_dlr


def _true(logits: Logits, labels: Labels) -> PerImage:
    return logits.gather(1, labels.long()[:, None])[:, 0]


def _rivals(logits: Logits, labels: Labels) -> Logits:
    return logits.scatter(1, labels.long()[:, None], -torch.inf)
