"""Sequential runs of attacks, each on the images not yet fooled, merged image by image."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from quantattack.attacks.base import Attack, Batch, Trace, search
from quantattack.attacks.reached import Reached
from quantattack.attacks.success import Criterion
from quantattack.gradients import logits_in_parts
from quantattack.rng import Rng
from quantattack.types import Indices, Model


@dataclass(frozen=True)
class Member:
    """One of the attacks that are merged.

    Arguments:
        attack: The attack.
        rng: Its random numbers, for all images of the batch.
        goes_on: Whether it starts from the best image that the earlier attacks returned; see `Reached`.
    """

    attack: Attack
    rng: Rng
    goes_on: bool = False


def merged(members: Iterable[Member], solved: Criterion, model: Model, batch: Batch) -> Trace:
    """Run attacks one after the other on the images not yet fooled; keep each image's first success, else its last try.

    Each attack is handed what the earlier ones reached of its images.

    Arguments:
        members: The attacks, in the order in which they run.
        solved: Success criterion on the labels of the batch.
        model: Maps images in [0, 1] to logits.
        batch: The images.
    """
    unsolved = torch.arange(len(batch), device=batch.images.device)
    result = Trace(batch.images.clone(), torch.full_like(unsolved, -1), torch.zeros_like(unsolved))
    reached = batch.reached
    for member in members:
        if not len(unsolved):
            break
        remaining = replace(batch, rng=member.rng, reached=reached).keep(unsolved)
        if member.goes_on and remaining.reached is not None:
            remaining = replace(remaining, start=remaining.reached.images)
        attacked = search(member.attack, model, remaining)
        _keep(result, attacked, member.rng, unsolved)
        logits = logits_in_parts(model, attacked.images, batch.at_once)
        labels = batch.labels[unsolved]  # not those that the attack was handed, which it may have written into
        found = Reached.by(solved, attacked.images, logits, labels)
        found = found if attacked.reached is None else attacked.reached.joined(found)
        reached = found if reached is None else reached.put(unsolved, reached.keep(unsolved).joined(found))
        unsolved = unsolved[~solved(logits, labels)]
    return replace(result, reached=reached)


def _keep(result: Trace, attacked: Trace, rng: Rng, rows: Indices) -> None:
    result.images[rows], result.step[rows] = attacked.images, attacked.step
    result.restart[rows] = attacked.restart if attacked.restart.any() else torch.full_like(rows, rng.restart)


def search_apart(attack: Attack, model: Model, batch: Batch) -> Trace:
    """Run any attack apart from the suite around it, whose state is of another model, other labels or another radius.

    Arguments:
        attack: The attack.
        model: Maps images in [0, 1] to logits.
        batch: The images.
    """
    return replace(search(attack, model, replace(batch, reached=None)), reached=None)
