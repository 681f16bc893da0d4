"""What an attack of a later turn takes over: the outcomes of images that the attacks before it broke."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from quantattack.attacks.base import turn_of
from quantattack.evaluation.cells import Cell
from quantattack.evaluation.saved_images import load_shard, save_shard
from quantattack.evaluation.task import Task
from quantattack.record.outcome import Outcome, Shard
from quantattack.record.record import Record
from quantattack.record.shards import path_of
from quantattack.record.store import Store


def inherit(cell: Cell, store: Store) -> Cell:
    """Write the outcomes of images that earlier attacks broke, at no cost; return the cell of the other images.

    So the attack's robust accuracy is what it and all before it leave together.

    Arguments:
        cell: The cell of an attack of a later turn; those of earlier turns are complete.
        store: The record.
    """
    breakers = breakers_of(Record(store, cell.task.subject), earlier(cell.task, cell.attack))
    index = cell.task.index[list(cell.positions)].tolist()
    pairs = list(zip(cell.positions, index, strict=True))
    outcomes = [(name, outcome) for _, image in pairs for name, outcome in breakers.get(image, ())]
    if outcomes:
        shard = _copied(cell, store, {outcome.image: name for name, outcome in outcomes})
        store.write(cell.row, [outcome for _, outcome in outcomes], shard)
    return replace(cell, positions=[position for position, image in pairs if image not in breakers])


def earlier(task: Task, name: str) -> list[str]:
    """Return the names of a task's attacks whose turn is before that of one of them."""
    turn = turn_of(task.attacks[name])
    return [other for other, attack in task.attacks.items() if turn_of(attack) < turn]


def breakers_of(record: Record, names: Sequence[str]) -> dict[int, list[tuple[str, Outcome]]]:
    """Return by image the first attack that broke it, with its outcome free of cost.

    Arguments:
        record: The record.
        names: The attacks to look at; those that the record lacks are left out.
    """
    found: dict[int, list[tuple[str, Outcome]]] = {}
    for name, attacked in record.by_attack.items():
        if name in names:
            for outcome, broken in zip(attacked.rows(), (attacked.broken & attacked.right).tolist(), strict=True):
                if broken and outcome.image not in found:
                    free = replace(outcome, forwards=0.0, backwards=0.0, seconds=0.0)
                    found[outcome.image] = [(name, free)]
    return found


def _copied(cell: Cell, store: Store, breakers: Mapping[int, str]) -> Shard | None:
    """Copy the images that the other attacks kept into a file of this one; None where images are not kept."""
    if not cell.task.keep_images or store.folder is None:
        return None
    kept: dict[int, torch.Tensor] = {}
    cells = Record(store, cell.task.subject).cells
    for name in sorted(set(breakers.values())):
        for shard in store.shards(cells[name]):
            index, images = load_shard(path_of(store.folder, shard.file))
            rows = zip(index.tolist(), images, strict=True)
            kept |= {image: picture for image, picture in rows if breakers.get(image) == name}
    order = sorted(kept)
    return save_shard(store.folder, order, torch.stack([kept[image] for image in order])) if order else None
