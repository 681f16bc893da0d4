"""Several processes that train one network together, started by torchrun."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from quantattack.errors import InputError


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together; each takes every ``size``-th image of a batch.

    Arguments:
        rank: The number of this process, from 0.
        size: Number of processes.
        device: The device of this process.

    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    def join(self, model: nn.Module) -> nn.Module:
        """Return the network with gradients averaged over the processes."""
        if self.size == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model)

    def share(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this process's share of every batch, of one size for all."""
        for x, y in batches:
            even = len(x) // self.size * self.size
            if even == 0:
                raise InputError(
                    f"a batch of {len(x)} is too small for {self.size} processes; give a larger batch_size"
                )
            yield x[self.rank : even : self.size], y[self.rank : even : self.size]


ALONE = ProcessGroup()


@contextmanager
def assemble() -> Iterator[ProcessGroup]:
    """Yield the processes that torchrun started; this one alone without torchrun, on the GPU where there is one."""
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    gpu = torch.cuda.is_available()
    device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if gpu else "cpu"
    if size == 1:
        yield ProcessGroup(device=device)
        return
    import torch.distributed as distributed

    distributed.init_process_group("nccl" if gpu else "gloo")
    try:
        yield ProcessGroup(rank, size, device)
    finally:
        distributed.destroy_process_group()
