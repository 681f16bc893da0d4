"""The batch size of an attack, tuned by the throughput of its own batches and halved when memory runs out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from quantattack.errors import InputError, out_of_memory

LEAST = 16  # smallest batch size: `CountedModel` pads smaller batches to 16 rows, so they save nothing
_PIXELS = 1 << 18  # pixels of the initial batch
PATIENCE = 10.0  # seconds of work that one call aims at, since an interruption loses the call that it falls into
_IDLE = 4.0  # times what its rows take: a longer call spent its time on passes, and may have more images
_LONGEST = 6 * PATIENCE  # seconds of a call, above which none grows
_BETTER = 1.03  # a batch size must raise the throughput by this factor to be preferred over a smaller one

T = TypeVar("T")


@dataclass(frozen=True)
class BatchLimits:
    """The batch sizes that may be used.

    Arguments:
        size: The initial batch size, in images.
        most: The largest batch size to try, in images.
        fixed: Whether the caller chose the size; it then changes only when memory runs out.
    """

    size: int
    most: int
    fixed: bool = False

    def sizer(self) -> "BatchSizer":
        """Return a new sizer with these limits and no measurements."""
        return BatchSizer(self.size, fixed=self.fixed, most=self.most)


class BatchSizer:
    """A batch size that is tuned while the run goes on; no verdict depends on it.

    The search tries twice the fastest size so far, then half of it, and keeps the fastest.  An out-of-memory error
    halves the size and lowers the maximum for good.

    Arguments:
        size: The initial batch size, in images.
        fixed: Whether to keep this size unless memory runs out.
        most: The largest batch size to try, in images.
    """

    def __init__(self, size: int, *, fixed: bool = False, most: int = 4096) -> None:
        self.size, self.fixed, self.most = size, fixed, max(size, most)
        self._rates: dict[int, float] = {}
        self._seconds = 0.0  # per image, as far as it is known
        self._row = 0.0  # seconds of one row in a large batch; 0 if unknown
        self._grown = 0  # images of the next call if it may be twice as large as the last
        self._dearest = 0.0  # share of the most work of an image that one took, in the costliest call so far

    def expect(self, seconds: float, row: float = 0.0) -> None:
        """Set how long one image will take, so that `images` keeps calls short.

        Arguments:
            seconds: Wall time per image, an estimate.
            row: Seconds of one row in a large batch; 0 if unknown.
        """
        self._seconds, self._row = max(0.0, seconds), max(0.0, row)

    def took(self, images: int, rows: int, seconds: float) -> None:
        """Note how long a call took; the next gets twice its images where passes took the time and not their rows.

        Arguments:
            images: Images of the call.
            rows: Rows that went forward or backward.
            seconds: Its wall time.
        """
        idle = self._row > 0 and _IDLE * rows * self._row < seconds < _LONGEST
        self._grown = 2 * images if idle else 0
        self._seconds = max(0.0, seconds / images)

    def spend(self, share: float) -> None:
        """Note what a call's images cost on average, so that `room` gives the next call no more than one batch's work.

        Arguments:
            share: Passes per image over the most that the attack may spend on one.
        """
        self._dearest = max(self._dearest, share)

    @property
    def room(self) -> int:
        """How many batches cost what one does whose images all resist, as the costliest call so far has shown.

        One before the first call, of which nothing is known.
        """
        return max(1, int(1 / self._dearest)) if self._dearest > 0 else 1

    def images(self, batches: int = 1) -> int:
        """Return how many images the next call gets: at most so many batches, fewer where these would take long.

        A size that the caller chose is never cut, and no other below `LEAST`.

        Arguments:
            batches: How many batches of the current size one call may get.
        """
        most = self.size * batches
        within = int(min(most, max(self._grown, PATIENCE / self._seconds))) if self._seconds > 0 else most
        if self.fixed:
            return max(self.size, within // self.size * self.size)
        return min(most, max(LEAST, within // 8 * 8))

    def note(self, size: int, passes: int, seconds: float) -> None:
        """Record the throughput of one batch and choose the next batch size.

        Arguments:
            size: The batch size that was used; a batch of any other size than the current one is ignored.
            passes: Rows that went forward or backward through the model.
            seconds: Wall time of the batch.
        """
        if self.fixed or size != self.size or passes < 1 or seconds <= 0:
            return
        self._rates[size] = max(self._rates.get(size, 0.0), passes / seconds)
        best = min(self._rates)
        for tried in sorted(self._rates):
            best = tried if self._rates[tried] > _BETTER * self._rates[best] else best
        half = best // 16 * 8  # a multiple of 8, as `CountedModel` needs it
        self.size = next((untried for untried in (2 * best, half) if self._is_untried(untried)), best)

    def _is_untried(self, size: int) -> bool:
        return LEAST <= size <= self.most and size not in self._rates

    def halve(self, rows: int) -> None:
        """Halve the batch size after an out-of-memory error.

        Arguments:
            rows: Images in the call that failed.

        Raises:
            InputError: If the batch is already at the smallest size.
        """
        if min(self.size, rows) <= LEAST:
            raise InputError("not enough memory for a batch of 16 images; free some, or use a machine with more")
        self.size = self.most = max(LEAST, min(self.size, rows) // 16 * 8)
        self._rates = {size: rate for size, rate in self._rates.items() if size <= self.most}

    def parts(
        self, positions: Sequence[int], work: Callable[[Sequence[int]], T], batches: Callable[[], int] = lambda: 1
    ) -> Iterator[T]:
        """Process positions in consecutive chunks, and retry a chunk at half the size when memory runs out.

        Arguments:
            positions: Positions of the images to process.
            work: Called with the positions of one chunk; returns its result.
            batches: Returns how many batches of the current size make the next chunk, unless they would take long.
        """
        first = 0
        while first < len(positions):
            chunk, results = positions[first : first + self.images(batches())], list[T]()
            try:
                results.append(work(chunk))
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            if results:  # outside the handler, so that the failed batch's memory is free before the next begins
                first += len(chunk)
                yield results[0]
            else:
                _empty_cache()
                self.halve(len(chunk))


def usual_batch(shape: tuple[int, ...], device: torch.device) -> int:
    """Return the initial batch size in images: few enough for a CPU's caches, or enough to fill a GPU.

    Arguments:
        shape: Shape of one image.
        device: Device of the model.
    """
    pixels = max(1, int(np.prod(shape)))
    return max(16, min(256 if device.type == "cpu" else 1024, _PIXELS // pixels // 16 * 16))


def limits_for(shape: tuple[int, ...], device: torch.device, asked: int | None) -> BatchLimits:
    """Return the batch sizes that may be used for images of a shape: the size asked for, or from the usual one on."""
    if asked is not None:
        return BatchLimits(asked, asked, fixed=True)
    usual = usual_batch(shape, device)
    # larger batches gain little on a CPU, where running out of memory kills the process without an exception
    return BatchLimits(usual, (2 if device.type == "cpu" else 64) * usual)


def _empty_cache() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
