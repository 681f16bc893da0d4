"""What counts as success, on an image's logits."""

from collections.abc import Callable
from typing import TypeAlias

from quantattack.attacks.losses import margin
from quantattack.record.description import tagged
from quantattack.types import Labels, Logits, Mask, PerImage

Criterion: TypeAlias = Callable[[Logits, Labels], Mask]


@tagged("misclassified")
def misclassified(logits: Logits, labels: Labels) -> Mask:
    """Whether the predicted class, the first one on ties, is not the label: a tie alone is no success."""
    return logits.argmax(1) != labels


@tagged("hits")
def hits(logits: Logits, labels: Labels) -> Mask:
    """Whether the predicted class is the label, for targeted attacks, whose labels are their targets."""
    return logits.argmax(1) == labels


def nearness(solved: Criterion, logits: Logits, labels: Labels) -> PerImage:
    """Return how close each image is to success: the margin, turned round where the labels are targets."""
    return -margin(logits, labels) if solved is hits else margin(logits, labels)
