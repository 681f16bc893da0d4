"""Helpers shared by the adapters of other libraries.

An adapter imports its library, or names the extra to install in an error; wraps the model as the library expects it;
seeds the library's random numbers; and runs the library's attack once per distinct radius in the batch.
"""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from quantattack.attacks.grid import Grid
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, one_line, unknown
from quantattack.gradients import called, placement
from quantattack.rng import Rng, seed_of, seeded
from quantattack.types import Images, Labels, Logits, Mask, Model, PerImage

Settings = Mapping[str, Any]


def library(module: str, extra: str) -> Any:
    """Import a module of an optional library.

    Raises:
        InputError: If it is not installed, naming the extra to install, or its import fails.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise InputError(f"{module} needs {error.name}: pip install 'quantattack[{extra}]'") from None
        raise InputError(f"{error.name} is not installed: pip install 'quantattack[{extra}]'") from None
    except (ImportError, RuntimeError, OSError) as error:
        raise InputError(f"{module} cannot be imported here: {one_line(error)[:120]}") from None


def member(module: Any, name: Any, kind: str) -> Any:
    """Return the class of a given name in a module; anything but a string is returned unchanged."""
    if not isinstance(name, str):
        return name
    if not isinstance(getattr(module, name, None), type):
        raise unknown(kind, name, [known for known in vars(module) if isinstance(getattr(module, known), type)])
    return getattr(module, name)


def filled(maker: Any, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for a constructor: all `given` ones, and those `known` ones that it has parameters for."""
    taken = settings_of(maker)
    return {**{key: value for key, value in known.items() if key in taken}, **given}


def settings_of(maker: Any) -> dict[str, Any]:
    """Return the names of a constructor's parameters with their defaults."""
    function = maker.__new__ if maker.__init__ is object.__init__ else maker.__init__
    parameters = [*inspect.signature(function).parameters.values()][1:]
    return {each.name: each.default for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}


class Shown(nn.Module):
    """The model wrapper that other libraries receive: a module in eval mode that casts images to the model's dtype.

    It has one parameter, because libraries read the device and dtype from a model's parameters.

    Arguments:
        model: Maps images to logits.
        grid: Rounds the images that the library shows it, with derivative 1; None for no rounding.
    """

    def __init__(self, model: Model, grid: Grid | None = None) -> None:
        super().__init__()
        self.model, self.grid = model, grid
        device, self.dtype = placement(model)
        self.place = nn.Parameter(torch.zeros((), device=device, dtype=self.dtype), requires_grad=False)
        self.training = False  # the model inside keeps its own mode

    def forward(self, images: Images) -> Logits:
        images = images.to(self.place)
        return called(self.model, images if self.grid is None else self.grid(images))

    def train(self, mode: bool = True) -> "Shown":  # noqa: ARG002
        """Ignore the call: this module stays in eval mode, and the model in the mode that it is in."""
        self.training = False
        return self


@runtime_checkable
class Adapter(Protocol):
    """The interface of an adapter: an attack that takes one radius for all images."""

    @property
    def threat(self) -> Threat: ...

    def search(self, model: Shown, images: Images, labels: Labels, radius: float, seed: int) -> Images:
        """Run the library's attack at one radius; the seed is for libraries that take one as an argument."""


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
    """Run a library's attack once per distinct radius; adapters assign ``__call__ = searched`` in their class body.

    An image returned with non-finite pixels is replaced by the clean one.  The model's gradients and the global random
    states are restored afterwards.

    Arguments:
        self: The adapter.
        model: Maps images in [0, 1] to logits.
        clean: Images with shape (n, ...).
        labels: True classes with shape (n,).
        start: Ignored: the libraries' attacks choose their own start.
        rng: Seeds the library's random numbers; None for seed 0.
        radius: Per-image radii with shape (n,); None for the threat's radius.
    """
    if self.threat.each is not None:
        raise InputError(f"{type(self).__name__} takes one radius for all pixels, not radii {self.threat.each.words}")
    attacked, radii = clean.clone(), self.threat.radii(clean, radius)
    grid = None if self.threat.levels is None else self.threat.grid
    for value in sorted(set(radii.tolist())):
        if value <= 0:
            continue
        rows = radii == value
        with seeded(rng), frozen(model), torch.enable_grad(), _in_one_line():
            images = self.search(Shown(model, grid), clean[rows].clone(), labels[rows].clone(), value, seed_of(rng))
        attacked[rows] = _finite(images.detach().to(clean), clean[rows])
    return attacked


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Turn a library's exception into a one-line InputError; out-of-memory errors pass, for evaluation to handle."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, NotImplementedError) as error:
        message = one_line(error)[:160]
        raise InputError(f"the library's attack failed: {type(error).__name__}: {message}") from error


def _finite(images: Images, clean: Images) -> Images:
    if images.shape != clean.shape:
        raise InputError(f"the library's attack returned shape {tuple(images.shape)}, not {tuple(clean.shape)}")
    fine: Mask = torch.isfinite(images.flatten(1)).all(1)
    return torch.where(fine.reshape(-1, *[1] * (images.ndim - 1)), images, clean)


@contextmanager
def frozen(model: Model) -> Iterator[None]:
    """Disable the parameters' gradients, then restore them: libraries call `backward` and `zero_grad`."""
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
    """Return a library's name for the threat's norm, from its names of Linf, L2 and L1 in that order."""
    kinds = (Linf, L2, L1)
    return next(name for kind, name in zip(kinds, names, strict=True) if isinstance(threat.norm, kind))


def made(kind: Any, given: tuple[Any, ...], settings: Settings) -> Any:
    """Call a constructor with positional arguments and settings; raise InputError if it rejects them."""
    check(kind, settings)
    try:
        return kind(*given, **settings)
    except (TypeError, ValueError, NotImplementedError, ImportError) as error:
        said = one_line(error)[:160]
        raise InputError(f"{kind.__name__} cannot be made: {type(error).__name__}: {said}") from None


def check(kind: Any, settings: Settings) -> None:
    """Raise InputError for a setting that is not a parameter of the constructor."""
    taken = settings_of(kind)
    for name in settings:
        if name not in taken:
            raise InputError(f"{kind.__name__} takes no setting {name!r}; it takes {', '.join(taken)}")


def inside(threat: Threat, images: Images, clean: Images, radius: float) -> Images:
    """Project images onto the threat at a radius; non-finite pixels are replaced by the clean ones."""
    images = torch.where(torch.isfinite(images), images, clean)
    return threat.project(images, clean, torch.full((len(clean),), radius, dtype=torch.float64, device=clean.device))
