"""Counter-based random numbers that depend on each image's index, never on its place in a batch.

Splitting a run into different batches, shards or workers changes no image's numbers, and CPU
and GPU give the same bits.
"""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from quantattack.types import Indices, Mask

Step: TypeAlias = int | Indices  # one for all images, or with shape (n,) one for each

# Streams: one for each use, so that the numbers of different uses are independent.
START, SIGNS, PLACES, FRESH, ROUNDING, NOISE, SETS, SKETCH = range(8)

_GOLDEN = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


@dataclass(frozen=True, eq=False)
class Rng:
    """Random numbers of a batch of images, as a function of seed, image, restart, step and stream.

    The generator is SplitMix64's finalizer (Steele, Lea and Flood, 2014, https://doi.org/10.1145/2660193.2660195)
    applied to a counter.

    Arguments:
        seed: Seed of the run.
        index: Index of each image in its data set, with shape (n,).
        restart: Number of the restart.
    """

    seed: int
    index: Indices
    restart: int = 0

    def keep(self, mask: Mask) -> "Rng":
        """Return the generator for the images selected by a mask."""
        return replace(self, index=self.index[mask])

    def restarted(self, restart: int) -> "Rng":
        """Return the generator for another restart."""
        return replace(self, restart=restart)

    def uniform(self, step: Step, stream: int, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
        """Return numbers in [0, 1) on a grid of 2^-24, with shape (n, *shape)."""
        return (self._bits(step, stream, math.prod(shape)) * 2.0**-24).to(dtype).reshape(-1, *shape)

    def normal(self, step: Step, stream: int, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
        """Return standard normal numbers (Box and Muller, 1958), with shape (n, *shape)."""
        count = math.prod(shape)
        bits = self._bits(step, stream, 2 * count).double()
        radius = torch.sqrt(-2 * torch.log((bits[:, :count] + 1) * 2.0**-24))
        return (radius * torch.cos(2 * math.pi * 2.0**-24 * bits[:, count:])).to(dtype).reshape(-1, *shape)

    def signs(self, step: Step, stream: int, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
        """Return -1 or 1 with equal probability, with shape (n, *shape)."""
        return (self.uniform(step, stream, shape, dtype) < 0.5).to(dtype) * 2 - 1

    def integers(self, step: Step, stream: int, high: int) -> Tensor:
        """Return one integer from 0 to high - 1 for each image, with shape (n,)."""
        return (self.uniform(step, stream, (), torch.float64) * high).long()

    def _bits(self, step: Step, stream: int, count: int) -> Tensor:
        key = _keyed(self._key, step, stream)
        counter = torch.arange(1, count + 1, device=key.device) * _signed(_GOLDEN)
        return _shifted(_mixed(key[:, None] + counter), 40)

    @cached_property
    def _key(self) -> Tensor:
        """What the numbers of all steps have in common, computed once: a search asks for thousands."""
        return _keyed(self.index.long(), self.seed, self.restart)


def _keyed(key: Tensor, *words: Step) -> Tensor:
    for word in words:
        key = _mixed(key ^ _mixed_word(word))
    return key


def _mixed_word(word: Step) -> Step:
    if isinstance(word, Tensor):
        return _mixed(word.long() + _signed(_GOLDEN))
    return _signed(_mixed_int(word & 0xFFFFFFFFFFFFFFFF))


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shift right and fill with zeros; PyTorch's own shift fills with the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _mixed(bits: Tensor) -> Tensor:
    for by, factor in _MIX:
        bits = (bits ^ _shifted(bits, by)) * _signed(factor)
    return bits ^ _shifted(bits, 31)


def _mixed_int(word: int) -> int:
    word = (word + _GOLDEN) & 0xFFFFFFFFFFFFFFFF
    for by, factor in _MIX:
        word = ((word ^ (word >> by)) * factor) & 0xFFFFFFFFFFFFFFFF
    return word ^ (word >> 31)


@contextmanager
def seeded(rng: Rng | None) -> Iterator[None]:
    """Seed torch, NumPy and Python's random for the duration of the context, then restore their states.

    Code that is not ours draws from them, for a whole batch: its numbers depend on which images are together.
    """
    states = np.random.get_state(), random.getstate()  # noqa: NPY002
    seed = seed_of(rng)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(states[0])  # noqa: NPY002
            random.setstate(states[1])


def seed_of(rng: Rng | None) -> int:
    """Return one seed for a batch, drawn from its first image's random numbers; 0 if there are none."""
    if rng is None or not len(rng.index):
        return 0
    return int(rng.integers(0, 0, 1 << 30)[0])


def global_states() -> tuple[object, ...]:
    """Return the states of the generators of torch and NumPy; they are equal as long as nothing is drawn.

    That of Python's random is left out: tools that only watch a call draw from it too.
    """
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    states = [bytes(state.numpy()) for state in (torch.get_rng_state(), *cuda)]
    return *states, repr(np.random.get_state())  # noqa: NPY002
