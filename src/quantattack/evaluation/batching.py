"""How many images are worked on at once: found from the run's own batches, halved where memory ends."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from quantattack.errors import InputError

LEAST = 16  # with fewer rows nothing is saved: a model is never shown fewer
_BETTER = 1.03  # what a size must gain to be preferred
_WORDS = ("not enough memory", "can't allocate memory", "out of memory")

T = TypeVar("T")


@dataclass(frozen=True)
class BatchLimits:
    """The batch sizes that may be used.

    Arguments:
        size: The size to begin with.
        most: The largest size to try.
        fixed: Whether the size was asked for, and stays as long as memory suffices.
    """

    size: int
    most: int
    fixed: bool = False

    def sizer(self) -> "BatchSizer":
        """Return a sizer that begins anew."""
        return BatchSizer(self.size, fixed=self.fixed, most=self.most)


class BatchSizer:
    """A batch size that is found while the work is done; no verdict depends on it.

    Twice the size is tried while that is faster, else half of it, and the fastest is kept.  A batch for which memory
    does not suffice halves it for good.

    Arguments:
        size: The size to begin with.
        fixed: Whether to stay with it as long as memory suffices.
        most: The largest size to try.
    """

    def __init__(self, size: int, *, fixed: bool = False, most: int = 4096) -> None:
        self.size, self.fixed, self.most = size, fixed, max(size, most)
        self._rates: dict[int, float] = {}

    def note(self, size: int, passes: int, seconds: float) -> None:
        """Take a batch of a size, its passes and the time that it took into account, and choose the next size."""
        if self.fixed or size != self.size or passes < 1 or seconds <= 0:
            return
        self._rates[size] = max(self._rates.get(size, 0.0), passes / seconds)
        best = min(self._rates)
        for tried in sorted(self._rates):
            best = tried if self._rates[tried] > _BETTER * self._rates[best] else best
        self.size = next((other for other in (2 * best, best // 16 * 8) if self._worth(other)), best)

    def _worth(self, size: int) -> bool:
        return LEAST <= size <= self.most and size not in self._rates

    def halve(self, rows: int) -> None:
        """Halve the size, after memory did not suffice for a batch of some rows.

        Raises:
            InputError: If there is nothing left to halve.
        """
        if min(self.size, rows) <= LEAST:
            raise InputError("memory does not suffice for a batch of 16 images; free some, or use a machine with more")
        self.size = self.most = max(LEAST, min(self.size, rows) // 16 * 8)
        self._rates = {size: rate for size, rate in self._rates.items() if size <= self.most}

    def parts(self, positions: Sequence[int], work: Callable[[Sequence[int]], T], batches: int = 1) -> Iterator[T]:
        """Do the work on some of the positions after the other, on fewer at once where memory does not suffice.

        Arguments:
            positions: What is to be worked on.
            work: Does it for those that it is called with.
            batches: How many batches it is called with at once.
        """
        first = 0
        while first < len(positions):
            called, results = positions[first : first + self.size * batches], list[T]()
            try:
                results.append(work(called))
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            if results:  # outside the handler, so that the failed batch's memory is free before the next begins
                first += len(called)
                yield results[0]
            else:
                _empty_cache()
                self.halve(len(called))


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory does not suffice, on a CPU or a GPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def _empty_cache() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
