"""Queries asked ahead of their turn, in the rows of a small batch that would be padding otherwise."""

from dataclasses import dataclass
from functools import cache
from inspect import getattr_static
from typing import Protocol, TypeGuard, runtime_checkable

import torch
from torch import Tensor

from quantattack.gradients import logits_in_parts
from quantattack.types import Images, Indices, Logits, Mask, Model


@runtime_checkable  # beartype asks for it; `is_padded` decides
class Padded(Protocol):
    """A model that fills small batches up with rows that nobody asked for, and counts only the others."""

    def uncounted(self) -> Model:
        """Return the same model, which counts nothing."""

    def spare(self, rows: int) -> int:
        """Return how many rows a batch of so many is filled up with."""

    def count(self, rows: int) -> None:
        """Count rows that went forward through `uncounted`."""


def is_padded(model: Model) -> TypeGuard[Padded]:
    """Return whether a model is `Padded` itself: not where it only hands attributes of another on, which it changes."""
    kind: type = type(model)
    return _fills_batches(kind)


@cache
def _fills_batches(kind: type) -> bool:
    return all(getattr_static(kind, name, None) is not None for name in ("uncounted", "spare", "count"))


@dataclass(frozen=True, eq=False)
class Ahead:
    """Answers to queries whose turn has not come.

    A random search mostly refuses what it proposes, and then its next proposals do not depend on the answer.  So they
    are asked at once, as many as there is room for, and thrown away where one before them is kept.  Of a model that
    answers alike in every batch the search is the same to the last bit; only answers that it uses are counted.

    Arguments:
        owner: Which of the n active images each query is for, with shape (m,).
        turn: Its turn, with shape (m,).
        images: What is asked, with shape (m, ...).
        logits: The answers, with shape (m, k).
    """

    owner: Indices
    turn: Indices
    images: Images
    logits: Logits

    @classmethod
    def ask(cls, model: Padded, owner: Indices, turn: Indices, images: Images) -> "Ahead":
        """Ask a model and count nothing yet.

        Arguments:
            model: The model.
            owner: Which image each query is for, with shape (m,).
            turn: Its turn, with shape (m,).
            images: What to ask, with shape (m, ...).
        """
        return cls(owner, turn, images, logits_in_parts(model.uncounted(), images))

    def missing(self, count: int, turn: int) -> Mask:
        """Return which of so many images have no answer at a turn."""
        mask = torch.ones(count, dtype=torch.bool, device=self.owner.device)
        mask[self.owner[self.turn == turn]] = False
        return mask

    def at(self, turn: int) -> tuple[Images, Logits]:
        """Return the images asked and the answers of a turn that every image has, in the images' order."""
        rows = (self.turn == turn).nonzero()[:, 0]
        rows = rows[self.owner[rows].argsort()]
        return self.images[rows], self.logits[rows]

    def later(self, turn: int, mask: Mask) -> "Ahead | None":
        """Return what is still ahead after a turn, of the images in a mask with shape (n,); None for nothing."""
        rows = (self.turn > turn) & mask[self.owner]
        return self._rows(rows) if bool(rows.any()) else None

    def keep(self, mask: Mask) -> "Ahead":
        """Return the queries of the images in a mask with shape (n,), which become the only ones."""
        kept, places = self._rows(mask[self.owner]), mask.cumsum(0) - 1
        return Ahead(places[kept.owner], kept.turn, kept.images, kept.logits)

    def joined(self, other: "Ahead") -> "Ahead":
        """Return the queries of both."""
        columns = zip(self._columns(), other._columns(), strict=True)
        return Ahead(*(torch.cat(pair) for pair in columns))

    def _rows(self, mask: Mask) -> "Ahead":
        return Ahead(*(column[mask] for column in self._columns()))

    def _columns(self) -> tuple[Tensor, ...]:
        return self.owner, self.turn, self.images, self.logits
