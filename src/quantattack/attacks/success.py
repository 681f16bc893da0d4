"""Success criteria, functions of logits and labels."""

from collections.abc import Callable
from typing import TypeAlias

from quantattack.attacks.losses import margin
from quantattack.record.description import tagged
from quantattack.types import Labels, Logits, Mask, PerImage

Criterion: TypeAlias = Callable[[Logits, Labels], Mask]


@tagged("misclassified")
def misclassified(logits: Logits, labels: Labels) -> Mask:
    """Return whether the prediction differs from the label; among tied classes the first is the prediction."""
    return logits.argmax(1) != labels


@tagged("hits")
def hits(logits: Logits, labels: Labels) -> Mask:
    """Return whether the prediction is the label, for targeted attacks, whose labels are target classes."""
    return logits.argmax(1) == labels


def nearness(solved: Criterion, logits: Logits, labels: Labels) -> PerImage:
    """Return how close each image is to success: the margin loss, negated for the targeted criterion `hits`."""
    return -margin(logits, labels) if solved is hits else margin(logits, labels)
