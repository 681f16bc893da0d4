"""Success criteria, functions of logits and labels."""

from collections.abc import Callable
from typing import TypeAlias

from quantattack.attacks.losses import UNTARGETED, Loss, is_targeted, margin
from quantattack.errors import InputError
from quantattack.gradients import is_twinned, logits_in_parts
from quantattack.record.description import tag_of, tagged
from quantattack.types import Images, Labels, Logits, Mask, Model, PerImage

Criterion: TypeAlias = Callable[[Logits, Labels], Mask]


@tagged("misclassified")
def misclassified(logits: Logits, labels: Labels) -> Mask:
    """Return whether the prediction differs from the label; among tied classes the first is the prediction."""
    return logits.argmax(1) != labels


@tagged("hits")
def hits(logits: Logits, labels: Labels) -> Mask:
    """Return whether the prediction is the label, for targeted attacks, whose labels are target classes."""
    return logits.argmax(1) == labels


def criterion_for(loss: Loss) -> Criterion:
    """Return the criterion that fits a loss: `hits` for one that climbs toward its labels, else `misclassified`."""
    return hits if is_targeted(loss) else misclassified


def check_criterion(loss: Loss, solved: Criterion) -> None:
    """Raise InputError where a loss of this package climbs one way and success lies the other way."""
    if is_targeted(loss) and solved is misclassified:
        raise InputError("this loss climbs toward its labels, the targets: give solved=hits, or another loss")
    if solved is hits and any(loss is each for each in UNTARGETED):
        raise InputError(f"solved=hits needs a loss that climbs toward its labels: targeted({tag_of(loss)})")


def confirmed(
    solved: Criterion, logits: Logits, model: Model, images: Images, labels: Labels, at_once: int | None = None
) -> Mask:
    """Return which images are solved, by the logits that an attack climbed and by what judges them.

    The two differ where the model is deployed: its twin's successes are put to the runtime, and what the runtime does
    not confirm is not solved.

    Arguments:
        solved: Success criterion.
        logits: Logits that the attack climbed, with shape (n, k).
        model: Maps images in [0, 1] to logits.
        images: The images, with shape (n, ...).
        labels: True classes with shape (n,); target classes for a targeted attack.
        at_once: Largest batch size; None for no limit.
    """
    fooled = solved(logits, labels)
    if is_twinned(model) and bool(fooled.any()):
        judged = solved(logits_in_parts(model, images[fooled], at_once), labels[fooled])
        fooled = fooled.masked_scatter(fooled, judged)
    return fooled


def nearness(solved: Criterion, logits: Logits, labels: Labels) -> PerImage:
    """Return how close each image is to success: the margin loss, negated for the targeted criterion `hits`."""
    return -margin(logits, labels) if solved is hits else margin(logits, labels)
