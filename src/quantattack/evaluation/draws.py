"""Whether an attack draws random numbers of its own, on which its verdicts depend beside the seed and the image."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

import torch

from quantattack.attacks.adapters.common import Adapter
from quantattack.attacks.base import Adopted, Attack, Batch, is_traced
from quantattack.errors import guarded
from quantattack.evaluation.pixels import grid_of
from quantattack.evaluation.task import Task
from quantattack.rng import Rng, global_states, seeded

_IMAGES = 2
_SHARED = "is seeded for a batch as a whole, so its verdicts depend on how the images are cut; state a batch size"
_NEVER = "gives other images each time though torch, NumPy and random are seeded, so two runs differ"


def own_numbers(task: Task, positions: list[int]) -> Mapping[str, str]:
    """Return what is said of each attack that draws random numbers of its own on a few images, by its name.

    Arguments:
        task: The task; its model gives the same logits for the same images.
        positions: Positions of images that the model has right.
    """
    found = {name: _said(task, attack, positions[:_IMAGES]) for name, attack in task.attacks.items() if positions}
    return {name: words for name, words in found.items() if words}


def _said(task: Task, attack: Attack, positions: list[int]) -> str:
    images, labels = task.batch(positions)
    model = task.model.showing(len(images), grid=grid_of(task.threat))
    batch = Batch(images, labels, Rng(task.seed, task.index[positions].to(images.device)))
    for inner in _plain(attack):
        with suppress(Exception), guarded("the attack"):  # what it raises was said where it was judged
            with seeded(batch.rng):
                before, first = global_states(), Adopted(inner).call(model, batch).clone()
                moved = global_states() != before
            with seeded(batch.rng):
                if not torch.equal(first, Adopted(inner).call(model, batch)):
                    return _NEVER
            if moved:
                return _SHARED
    return ""


def _plain(attack: Attack) -> Iterator[Attack]:
    """Yield the attacks inside of an attack, or itself, of which nothing is known but how they are called."""
    if is_traced(attack):
        for child in attack.traits.children:
            yield from _plain(child)
    elif not isinstance(attack, Adapter):  # those seed their library, which their page says
        yield attack
