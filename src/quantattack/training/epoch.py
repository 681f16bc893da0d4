"""One epoch of a training: its batches in their order, the adversary's images, and the updates."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from quantattack.progress import Advance
from quantattack.training.augment import AUGMENT
from quantattack.training.distributed import ProcessGroup
from quantattack.training.latent import clamp_latents, projected, set_beta
from quantattack.training.settings import Settings
from quantattack.types import Images, Labels

Adversary: TypeAlias = Callable[[nn.Module, Tensor, Tensor], Tensor]
Batches: TypeAlias = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Run:
    """What every epoch of a training works on.

    Arguments:
        model: The network, its latent weights as parameters.
        optimizer: Its optimizer.
        images: Training images with pixels in [0, 1].
        labels: Their classes.
        settings: How it is trained.
        adversary: Given the network, images and labels, returns the images to train on; None for plain training.
        advance: Told after each update how many images of how many are done; None for nobody.
        processes: The processes that train together.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    images: Images
    labels: Labels
    settings: Settings
    adversary: Adversary | None
    advance: Advance | None
    processes: ProcessGroup

    @property
    def batch_size(self) -> int:
        """Images in an update; all of them where there are fewer than a batch."""
        return min(self.settings.batch_size, len(self.images))

    @property
    def updates(self) -> int:
        """Number of updates in an epoch."""
        return len(self.images) // self.settings.batch_size or 1


def run_epoch(run: Run, replica: nn.Module, index: int) -> tuple[float, float]:
    """Pass over the training images once; return the mean loss and the share classified correctly on the way.

    Arguments:
        run: What is trained.
        replica: The network with its gradients averaged over the processes.
        index: The epoch's number, from 0.
    """
    run.model.train()
    total, right, seen = 0.0, 0, 0
    device = next(run.model.parameters()).device
    batches = run.processes.share(_batches(run, index))
    for step, (x, y) in enumerate(_reported(batches, run, index), index * run.updates):
        x, y = x.to(device), y.to(device)
        _set_schedules(run, step)
        scale = run.settings.scale_at(step, run.settings.epochs * run.updates)
        loss, logits = _update(run, replica, _attacked(run, x, y), y, scale)
        clamp_latents(run.model)
        total, right, seen = total + loss * len(y), right + int((logits.argmax(1) == y).sum()), seen + len(y)
    return total / seen, right / seen


def epoch_seed(settings: Settings, index: int) -> int:
    """Return an epoch's seed, from the seed and the epoch alone: a resumed run draws what an uninterrupted one does."""
    return settings.seed * 1_000_003 + index


def make_optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return the optimizer that the settings name."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), weight_decay=settings.weight_decay)
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=settings.weight_decay)


def _attacked(run: Run, x: Tensor, y: Tensor) -> Tensor:
    """Return the images to train on: the adversary's, which sees the projected weights in eval mode."""
    if run.adversary is None:
        return x
    with projected(run.model), _precision(run.settings, x):
        return run.adversary(run.model, x, y).detach()


def _update(run: Run, replica: nn.Module, x: Tensor, y: Tensor, scale: float) -> tuple[float, Tensor]:
    run.optimizer.zero_grad(set_to_none=True)
    with _precision(run.settings, x):
        logits = replica(x)
    loss = cross_entropy(scale * (logits.float() if run.settings.bf16 else logits), y)
    loss.backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    return float(loss.detach()), logits.detach()


def _batches(run: Run, index: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the epoch's batches, all of one size; what is left over waits for the next epoch's order."""
    generator = Generator().manual_seed(epoch_seed(run.settings, index))
    count = len(run.images) // run.batch_size * run.batch_size
    order = torch.randperm(len(run.images), generator=generator)[:count]
    for chosen in torch.split(order, run.batch_size):
        x = AUGMENT[run.settings.augment](run.images[chosen], generator)
        yield x.contiguous(memory_format=_layout(run.settings, x)), run.labels[chosen]


def _reported(batches: Batches, run: Run, index: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Hand the batches on, and report each that is done."""
    total = run.settings.epochs * run.updates
    for done, batch in enumerate(batches, index * run.updates + 1):
        yield batch
        if run.advance is not None:
            run.advance("images of all epochs", done * run.batch_size, total * run.batch_size)


def _set_schedules(run: Run, step: int) -> None:
    settings, steps = run.settings, run.settings.epochs * run.updates
    set_beta(run.model, settings.beta(step, steps))
    for group in run.optimizer.param_groups:
        group["lr"] = settings.rate(step, steps)


def _layout(settings: Settings, x: Tensor) -> torch.memory_format:
    return torch.channels_last if settings.bf16 and x.ndim == 4 else torch.contiguous_format


def _precision(settings: Settings, x: Tensor) -> AbstractContextManager[object]:
    return torch.autocast(x.device.type, torch.bfloat16) if settings.bf16 else nullcontext()
