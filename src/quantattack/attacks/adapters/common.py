"""What the adapters of other libraries share.

An adapter imports its library, or says in one line which extra to install; wraps the model so that the library can
hold it; seeds the library's random numbers; and runs its attack for one radius after the other.
"""

import importlib
import inspect
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, unknown
from quantattack.gradients import placement
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Logits, Mask, Model, PerImage

Settings = Mapping[str, Any]


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
        raise unknown(kind, name, [known for known in vars(module) if isinstance(getattr(module, known), type)])
    return getattr(module, name)


def filled(maker: Any, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for a constructor: the given ones, and of the known ones those that it takes."""
    taken = settings_of(maker)
    return {**{key: value for key, value in known.items() if key in taken}, **given}


def settings_of(maker: Any) -> dict[str, Any]:
    """Return the names that a constructor takes, with their defaults."""
    function = maker.__new__ if maker.__init__ is object.__init__ else maker.__init__
    parameters = [*inspect.signature(function).parameters.values()][1:]
    return {each.name: each.default for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}


class Shown(nn.Module):
    """A model as other libraries want it: a module in eval mode with a parameter, given images of its own dtype.

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


@runtime_checkable
class Adapter(Protocol):
    """Another library's attack: it searches for one radius at a time."""

    @property
    def threat(self) -> Threat: ...

    def search(self, model: Shown, images: Images, labels: Labels, radius: float, seed: int) -> Images:
        """Return what the library's attack returns at a radius; the seed is for a library that wants one."""


@runtime_checkable
class ByClass(Protocol):
    """An adapter whose attack is a class of its library, made with settings."""

    @property
    def settings(self) -> Settings: ...

    def kind(self) -> Any:
        """Return the attack's class."""


def check_settings(self: ByClass) -> None:
    """Refuse settings that the attack's class does not take: ``__post_init__ = check_settings``."""
    check(self.kind(), self.settings)


def searched(
    self: Adapter,
    model: Model,
    clean: Images,
    labels: Labels,
    start: Images | None = None,  # noqa: ARG001
    rng: Rng | None = None,
    radius: PerImage | None = None,
) -> Images:
    """Run a library's attack, one radius after the other: the call of every adapter, ``__call__ = searched``.

    Where an attack returns NaN the image stays clean.  The model and all random numbers are left as they were.

    Arguments:
        self: The adapter.
        model: Maps images in [0, 1] to logits.
        clean: Images with shape (n, ...).
        labels: True classes with shape (n,).
        start: Not used: the libraries' attacks begin where they will.
        rng: Seeds the library's own random numbers.
        radius: A radius for each image; None for the threat's.
    """
    attacked, radii = clean.clone(), self.threat.radii(clean, radius)
    for value in sorted(set(radii.tolist())):
        if value <= 0:
            continue
        some = radii == value
        with seeded(rng), frozen(model), torch.enable_grad(), _in_one_line():
            images = self.search(Shown(model), clean[some].clone(), labels[some].clone(), value, seed_of(rng))
        attacked[some] = _finite(images.detach().to(clean), clean[some])
    return attacked


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Say in one line that a library's attack failed; running out of memory is handled where batches are cut."""
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
    """Return one seed for a batch: a library draws for the whole batch, not for an image."""
    if rng is None or not len(rng.index):
        return 0
    return int(rng.integers(0, 0, 1 << 30)[0])


@contextmanager
def frozen(model: Model) -> Iterator[None]:
    """Keep the parameters' gradients as they are: a library that calls `backward` or `zero_grad` would change them."""
    parameters = [*model.parameters()] if isinstance(model, nn.Module) else []
    kept = [(parameter.requires_grad, parameter.grad) for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(False)
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, (wanted, grad) in zip(parameters, kept, strict=True):
            parameter.requires_grad_(wanted)
            parameter.grad = grad


def norm_name(threat: Threat, names: tuple[Any, Any, Any]) -> Any:
    """Return what a library calls a norm: the names of Linf, L2 and L1."""
    kinds = (Linf, L2, L1)
    return next(name for kind, name in zip(kinds, names, strict=True) if isinstance(threat.norm, kind))


def classes_of(model: Model, images: Images) -> int:
    """Return how many classes a model knows."""
    with torch.no_grad():
        return int(model(images[:1]).shape[1])


def made(kind: Any, given: tuple[Any, ...], settings: Settings) -> Any:
    """Call a constructor; a setting that it does not take, or refuses, is the user's to fix."""
    check(kind, settings)
    try:
        return kind(*given, **settings)
    except (TypeError, ValueError, NotImplementedError, ImportError) as error:
        said = " ".join(str(error).split())[:160]
        raise InputError(f"{kind.__name__} cannot be made: {type(error).__name__}: {said}") from None


def check(kind: Any, settings: Settings) -> None:
    """Refuse settings that a constructor does not take."""
    taken = settings_of(kind)
    for name in settings:
        if name not in taken:
            raise InputError(f"{kind.__name__} takes no setting {name!r}; it takes {', '.join(taken)}")


def inside(threat: Threat, images: Images, clean: Images, radius: float) -> Images:
    """Bring images into the threat, those without a number left clean."""
    images = torch.where(torch.isfinite(images), images, clean)
    return threat.project(images, clean, torch.full((len(clean),), radius, dtype=torch.float64, device=clean.device))
