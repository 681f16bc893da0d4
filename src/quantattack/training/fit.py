"""The training loop: float and quantized, plain and adversarial, resumed bit for bit on a CPU."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from quantattack.progress import Advance
from quantattack.record.description import describe
from quantattack.training.distributed import ALONE, ProcessGroup
from quantattack.training.epoch import Adversary, Run, epoch_seed, make_optimizer, run_epoch
from quantattack.training.latent import recalibrate, warn_starved
from quantattack.training.settings import Settings
from quantattack.training.state import Epoch, resume, store
from quantattack.types import Images, Labels

Watched: TypeAlias = tuple[Float[Tensor, " m *shape"], Int[Tensor, " m"]]
Progress: TypeAlias = Callable[[Epoch], None]


def fit(
    model: nn.Module,
    images: Images,
    labels: Labels,
    settings: Settings,
    *,
    adversary: Adversary | None = None,
    watch: Watched | None = None,
    progress: Progress | None = None,
    advance: Advance | None = None,
    keep: Path | str | None = None,
    about: Any = None,
    processes: ProcessGroup = ALONE,
) -> list[Epoch]:
    """Train a network in place and return the result of each epoch.

    Arguments:
        model: The network, its latent weights as parameters.
        images: Training images with pixels in [0, 1].
        labels: Their classes.
        settings: How it is trained.
        adversary: Given the network, images and labels, returns the images to train on; it sees the projected weights
            of the update in eval mode.
        watch: Images and labels on which the final form of the network is judged after each epoch.
        progress: Called after each epoch.
        advance: Told after each update how many images of how many are done.
        keep: A file that the state is kept in after each epoch, and continued from.
        about: What else distinguishes this training from others, such as its recipe.
        processes: The processes that train together, each on its share of every batch.

    Raises:
        InputError: If ``keep`` holds the state of another training.

    """
    if settings.bf16:
        # Two to three times faster in bfloat16 on a CPU.
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(model, make_optimizer(model, settings), images, labels, settings, adversary, advance, processes)
    training = _described(run, about) if keep else {}
    history = resume(keep, model, run.optimizer, training) if keep else []
    for epoch in _epochs(run, len(history), watch):
        history.append(epoch)
        _report(run, history, training, keep, progress)
    model.eval()
    return history


def _described(run: Run, about: Any) -> dict[str, Any]:
    """Return what distinguishes a training from others, as JSON."""
    described = {"adversary": run.adversary, "about": about, "images": list(run.images.shape), "labels": run.labels}
    return {"settings": asdict(run.settings), **describe(described)}


def _epochs(run: Run, done: int, watch: Watched | None) -> Iterator[Epoch]:
    """Train, and yield the result of each epoch after those that are done."""
    if not done:
        warn_starved(run.model)
    replica = run.processes.join(run.model)
    for index in range(done, run.settings.epochs):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(epoch_seed(run.settings, index) + run.processes.rank)
            loss, right = run_epoch(run, replica, index)
        if run.settings.recalibrate and index == run.settings.epochs - 1:
            recalibrate(run.model, run.images[: run.settings.recalibrate])
        yield Epoch(index, loss, right, accuracy(run.model, *watch) if watch else None)


def _report(
    run: Run, history: list[Epoch], training: dict[str, Any], keep: Path | str | None, progress: Progress | None
) -> None:
    """Store the state and tell of the last epoch, in the first process alone."""
    if run.processes.rank != 0:
        return
    if keep:
        store(keep, run.model, run.optimizer, training, history)
    if progress:
        progress(history[-1])


@torch.no_grad()
def accuracy(model: nn.Module, images: Images, labels: Labels, batch_size: int = 256) -> float:
    """Return the share of images that the network's final form classifies correctly, 0 to 1."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    batches = zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
    right = sum(int((model(x.to(device)).argmax(1) == y.to(device)).sum()) for x, y in batches)
    model.train(training)
    return right / len(labels)
