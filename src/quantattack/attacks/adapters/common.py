"""What every adapter shares: the library or one line, a model that peers can hold, seeds, and one radius at a time."""

import importlib
import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, unknown
from quantattack.gradients import placement
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Logits, Mask, Model, PerImage

Search = Callable[["Shown", Images, Labels, float], Images]


def library(module: str, extra: str) -> Any:
    """Return a library's module.

    Raises:
        InputError: If it is not installed, with the extra that brings it, or cannot be imported here.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise InputError(f"{module} needs {error.name}: pip install 'quantattack[{extra}]'") from None
        raise InputError(f"{error.name} is not installed: pip install 'quantattack[{extra}]'") from None
    except (ImportError, RuntimeError, OSError) as error:
        raise InputError(f"{module} cannot be imported here: {' '.join(str(error).split())[:120]}") from None


def member(module: Any, name: Any, kind: str) -> Any:
    """Return what a library has under a name; what is no name is returned as it is."""
    if not isinstance(name, str):
        return name
    if not isinstance(getattr(module, name, None), type):
        raise unknown(kind, name, [one for one in vars(module) if isinstance(getattr(module, one), type)])
    return getattr(module, name)


def filled(maker: Any, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for a constructor: the given ones, and of the known ones those that it takes."""
    taken = settings_of(maker)
    return {**{key: value for key, value in known.items() if key in taken}, **given}


def settings_of(maker: Any) -> dict[str, Any]:
    """Return the names that a constructor takes, with their defaults."""
    function = maker.__new__ if maker.__init__ is object.__init__ else maker.__init__
    parameters = [*inspect.signature(function).parameters.values()][1:]
    return {part.name: part.default for part in parameters if part.kind not in (part.VAR_POSITIONAL, part.VAR_KEYWORD)}


class Shown(nn.Module):
    """A model as peers want it: a module in eval mode with a parameter, given images of its own dtype.

    Arguments:
        model: Maps images to logits.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        device, self.dtype = placement(model)
        self.place = nn.Parameter(torch.zeros((), device=device, dtype=self.dtype), requires_grad=False)
        self.eval()

    def forward(self, images: Images) -> Logits:
        return self.model(images.to(self.place))

    def train(self, mode: bool = True) -> "Shown":  # noqa: ARG002
        """Stay in eval mode, and leave the model in its own: an attack trains nothing."""
        self.training = False
        return self


def searched(
    search: Search,
    threat: Threat,
    model: Model,
    clean: Images,
    labels: Labels,
    rng: Rng | None,
    radius: PerImage | None,
) -> Images:
    """Run a peer's search, one radius after the other, and leave the model and all random numbers as they were.

    Where a search returns NaN the image stays clean.

    Arguments:
        search: Takes the model, images, labels and one radius.
        threat: Gives the radius where none is given.
        model: Maps images to logits.
        clean: Images with shape (n, ...).
        labels: True classes with shape (n,).
        rng: Seeds the peer's own random numbers.
        radius: One radius an image.
    """
    found, radii = clean.clone(), threat.radii(clean, radius)
    for value in sorted(set(radii.tolist())):
        if value <= 0:
            continue
        part = radii == value
        with seeded(rng), frozen(model), torch.enable_grad(), _in_one_line():
            images = search(Shown(model), clean[part].clone(), labels[part].clone(), value)
        found[part] = _finite(images.detach().to(clean), clean[part])
    return found


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Say in one line that a peer broke down; running out of memory is the engine's to handle."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, NotImplementedError) as error:
        said = " ".join(str(error).split())[:160]
        raise InputError(f"the attack from elsewhere broke down: {type(error).__name__}: {said}") from error


def _finite(images: Images, clean: Images) -> Images:
    if images.shape != clean.shape:
        raise InputError(f"the peer returned {tuple(images.shape)} in place of images of shape {tuple(clean.shape)}")
    fine: Mask = torch.isfinite(images.flatten(1)).all(1)
    return torch.where(fine.reshape(-1, *[1] * (images.ndim - 1)), images, clean)


@contextmanager
def seeded(rng: Rng | None) -> Iterator[None]:
    """Seed torch, NumPy and Python from a run's random numbers, and give them back as they were."""
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
    """Return one seed for a batch: a peer draws for the whole batch, not for an image."""
    if rng is None or not len(rng.index):
        return 0
    return int(rng.integers(0, 0, 1 << 30)[0])


@contextmanager
def frozen(model: Model) -> Iterator[None]:
    """Let no parameter gather a gradient, nor lose one: a peer that calls `backward` or `zero_grad` would see to it."""
    parameters = [*model.parameters()] if isinstance(model, nn.Module) else []
    kept = [(part.requires_grad, part.grad) for part in parameters]
    for part in parameters:
        part.requires_grad_(False)
        part.grad = None
    try:
        yield
    finally:
        for part, (wanted, grad) in zip(parameters, kept, strict=True):
            part.requires_grad_(wanted)
            part.grad = grad


def norm_name(threat: Threat, names: tuple[Any, Any, Any]) -> Any:
    """Return what a library calls a norm: the names of Linf, L2 and L1."""
    kinds = (Linf, L2, L1)
    return next(name for kind, name in zip(kinds, names, strict=True) if isinstance(threat.norm, kind))


def classes_of(model: Model, images: Images) -> int:
    """Return how many classes a model knows."""
    with torch.no_grad():
        return int(model(images[:1]).shape[1])
