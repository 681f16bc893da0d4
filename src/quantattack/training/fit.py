"""The one training loop: float and quantized, plain and adversarial, resumed bit for bit on a CPU."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from quantattack.errors import InputError
from quantattack.progress import Advance
from quantattack.record.description import describe
from quantattack.training.augment import AUGMENT
from quantattack.training.distributed import ALONE, ProcessGroup
from quantattack.training.latent import clamp_latents, projected, recalibrate, set_beta, warn_starved
from quantattack.training.schedules import STRICT, Beta, OneCycle, Ramp, Rate
from quantattack.training.state import Epoch, resume, store
from quantattack.types import Images, Labels

Watched: TypeAlias = tuple[Float[Tensor, " m *shape"], Int[Tensor, " m"]]
Adversary: TypeAlias = Callable[[nn.Module, Tensor, Tensor], Tensor]
Progress: TypeAlias = Callable[[Epoch], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a network is trained.

    Arguments:
        epochs: Passes over the training images.
        batch_size: Images in an update.
        optimizer: ``adam``, or ``sgd`` with Nesterov momentum 0.9.
        rate: Learning rate as a function of the update.
        beta: Temperature of the quantizers as a function of the update.
        weight_decay: Factor of the squared size of the latent weights, half of it.
        logit_scale: What the loss multiplies the logits with, in training alone. A binarized head over n features sums
            n terms of one size: logits about √n times too large for a softmax to learn from, which 1 / √n undoes.
        augment: ``none``, ``shift`` (one pixel), ``crop-flip``.
        bf16: Whether the passes run in bfloat16 where that is sound.
        recalibrate: Training images on which the BatchNorm statistics are measured anew under the final weights.
        seed: Of the initial weights, the order of the images and the augmentation.

    """

    epochs: int
    batch_size: int = 128
    optimizer: Literal["adam", "sgd"] = "adam"
    rate: Rate = field(default_factory=OneCycle)
    beta: Beta = field(default_factory=Ramp)
    weight_decay: float = 0.0
    logit_scale: float = 1.0
    augment: Literal["none", "shift", "crop-flip"] = "none"
    bf16: bool = False
    recalibrate: int = 10_000
    seed: int = 0
    __pydantic_config__: ClassVar = STRICT

    def __post_init__(self) -> None:
        if not 0 < self.logit_scale < inf:
            raise InputError(f"a logit scale of {self.logit_scale} trains nothing; give a positive number")
        if self.epochs < 1 or self.batch_size < 2:
            raise InputError(f"{self.epochs} epochs of batches of {self.batch_size}; give at least 1 and at least 2")


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
    crew: ProcessGroup = ALONE,
) -> list[Epoch]:
    """Train a network in place and return what each epoch came to.

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
        about: What else tells this training from others, such as its recipe.
        crew: The processes that train together, each on its share of every batch.

    Raises:
        InputError: If ``keep`` holds the state of another training.

    """
    if settings.bf16:
        # Two to three times faster in bfloat16 on a CPU.
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(model, settings)
    told = {"adversary": adversary, "about": about, "images": list(images.shape), "labels": labels}
    training = {"settings": asdict(settings), **describe(told)} if keep else {}
    history = resume(keep, model, optimizer, training) if keep else []
    if not history:
        warn_starved(model)
    replica = crew.join(model)
    for index in range(len(history), settings.epochs):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed(settings, index) + crew.rank)
            batches = _told(crew.share(_batches(images, labels, settings, index)), advance, settings, images, index)
            loss, right = _epoch(
                model, replica, batches, optimizer, settings, _progress(settings, images, index), adversary
            )
        if settings.recalibrate and index == settings.epochs - 1:
            recalibrate(model, images[: settings.recalibrate])
        history.append(Epoch(index, loss, right, accuracy(model, *watch) if watch else None))
        if keep and crew.rank == 0:
            store(keep, model, optimizer, training, history)
        if progress and crew.rank == 0:
            progress(history[-1])
    model.eval()
    return history


@torch.no_grad()
def accuracy(model: nn.Module, images: Images, labels: Labels, batch_size: int = 256) -> float:
    """Return the share of images that the network's final form has right, 0 to 1."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    batches = zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
    right = sum(int((model(x.to(device)).argmax(1) == y.to(device)).sum()) for x, y in batches)
    model.train(training)
    return right / len(labels)


def _epoch(
    model: nn.Module,
    replica: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    settings: Settings,
    clock: tuple[int, int],
    adversary: Adversary | None,
) -> tuple[float, float]:
    """One pass over the images: the mean loss and the share that was right on the way."""
    model.train()
    total, right, seen = 0.0, 0, 0
    first, steps = clock
    device = next(model.parameters()).device
    for offset, (x, y) in enumerate(batches):
        x, y = x.to(device), y.to(device)
        _set_schedules(model, optimizer, settings, first + offset, steps)
        if adversary is not None:
            with projected(model), _precision(settings, x):
                x = adversary(model, x, y).detach()
        loss, logits = _update(replica, x, y, optimizer, settings)
        clamp_latents(model)
        total, right, seen = total + loss * len(y), right + int((logits.argmax(1) == y).sum()), seen + len(y)
    return total / seen, right / seen


def _progress(settings: Settings, images: Tensor, index: int) -> tuple[int, int]:
    """The number of the epoch's first update, and of all updates."""
    updates = len(images) // settings.batch_size or 1
    return index * updates, settings.epochs * updates


def _update(
    model: nn.Module, x: Tensor, y: Tensor, optimizer: torch.optim.Optimizer, settings: Settings
) -> tuple[float, Tensor]:
    optimizer.zero_grad(set_to_none=True)
    with _precision(settings, x):
        logits = model(x)
    loss = cross_entropy(settings.logit_scale * (logits.float() if settings.bf16 else logits), y)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach()), logits.detach()


def _batches(images: Tensor, labels: Tensor, settings: Settings, index: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The epoch's batches, all of one size; what is left over waits for the next epoch's order."""
    generator = Generator().manual_seed(_seed(settings, index))
    size = min(settings.batch_size, len(images))
    order = torch.randperm(len(images), generator=generator)[: len(images) // size * size]
    for chosen in torch.split(order, size):
        x = AUGMENT[settings.augment](images[chosen], generator)
        yield x.contiguous(memory_format=_layout(settings, x)), labels[chosen]


def _told(
    batches: Iterable[tuple[Tensor, Tensor]], advance: Advance | None, settings: Settings, images: Tensor, index: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Hand the batches on, and tell of each that is done."""
    first, updates = _progress(settings, images, index)
    size = min(settings.batch_size, len(images))
    for offset, batch in enumerate(batches, 1):
        yield batch
        if advance is not None:
            advance("images of all epochs", (first + offset) * size, updates * size)


def _seed(settings: Settings, index: int) -> int:
    # From the seed and the epoch alone, so that a resumed run draws what an uninterrupted one does.
    return settings.seed * 1_000_003 + index


def _set_schedules(
    model: nn.Module, optimizer: torch.optim.Optimizer, settings: Settings, step: int, steps: int
) -> None:
    set_beta(model, settings.beta(step, steps))
    for group in optimizer.param_groups:
        group["lr"] = settings.rate(step, steps)


def _optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    kinds: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adam": lambda: torch.optim.Adam(model.parameters(), weight_decay=settings.weight_decay),
        "sgd": lambda: torch.optim.SGD(
            model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=settings.weight_decay
        ),
    }
    return kinds[settings.optimizer]()


def _layout(settings: Settings, x: Tensor) -> torch.memory_format:
    return torch.channels_last if settings.bf16 and x.ndim == 4 else torch.contiguous_format


def _precision(settings: Settings, x: Tensor) -> AbstractContextManager[Any]:
    return torch.autocast(x.device.type, torch.bfloat16) if settings.bf16 else nullcontext()
