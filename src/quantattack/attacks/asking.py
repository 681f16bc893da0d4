"""The loop of searches that only ask for logits: an image leaves it once it is solved or given up."""

from typing import Protocol, TypeVar, runtime_checkable

import torch

from quantattack.attacks.base import Batch, Trace
from quantattack.types import Images, Mask, Model

State = TypeVar("State", bound="Search")


@runtime_checkable
class Search(Protocol):
    """State of a search for n images.

    Attributes:
        best: The best images so far.
    """

    best: Images

    def ask(self, model: Model, turn: int) -> Mask:
        """Query proposals, keep what is better, and return which images are solved, with shape (n,)."""

    def give_up(self, turn: int) -> Mask:
        """Return which images are asked no more although they may not be solved, with shape (n,)."""

    def keep(self: State, mask: Mask) -> State:
        """Return the state of the images in a mask with shape (n,)."""


def ask_until_solved(search: Search, model: Model, batch: Batch, queries: int, at_once: int = 1) -> Trace:
    """Ask until every image is solved or given up, or the query budget is spent.

    Arguments:
        search: Its state before the first query, for all images of the batch.
        model: Model under attack.
        batch: Images and labels.
        queries: Largest number of forward passes per image.
        at_once: How many of them each turn takes.
    """
    images, active = batch.images.clone(), torch.arange(len(batch), device=batch.images.device)
    fooled_at = torch.full_like(active, queries)
    for turn in range(queries // at_once):
        if not len(active):
            break
        solved = search.ask(model, turn)
        continuing = ~(solved | search.give_up(turn))
        images[active] = search.best
        fooled_at[active[solved]] = turn * at_once
        if not bool(continuing.all()):
            active, search = active[continuing], search.keep(continuing)
    return Trace(images, fooled_at, torch.zeros_like(fooled_at))
