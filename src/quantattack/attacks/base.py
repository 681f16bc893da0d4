"""What an attack is: what it is handed, what it returns, and what it states of itself."""

import inspect
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch

from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.rng import Rng
from quantattack.types import Images, Indices, Labels, Mask, Model, PerImage


@runtime_checkable
class Attack(Protocol):
    """Anything that turns clean images into attacked ones; its settings are its own fields."""

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images: ...


@dataclass(frozen=True, eq=False)
class Batch:
    """What travels together: some images and all that an attack is handed for each of them.

    Arguments:
        images: Clean images with shape (n, ...).
        labels: Their true classes with shape (n,); the targets of a targeted attack.
        rng: Their random numbers.
        start: Where to start; None for the attack's own start.
        radius: A radius for each image; None for the threat's.
        at_once: How many rows the model is to be shown at once; None for any number.
    """

    images: Images
    labels: Labels
    rng: Rng
    start: Images | None = None
    radius: PerImage | None = None
    at_once: int | None = None

    def keep(self, mask: Mask) -> "Batch":
        """Return the batch of some of the images."""
        start, radius = (None if part is None else part[mask] for part in (self.start, self.radius))
        return replace(
            self,
            images=self.images[mask],
            labels=self.labels[mask],
            rng=self.rng.keep(mask),
            start=start,
            radius=radius,
        )


@dataclass(frozen=True, eq=False)
class Trace:
    """What an attack found, and when.

    Arguments:
        images: The attacked images.
        step: First iterate that was seen to fool the model, 0 the start point; else the number of the last one, at
            which nobody looked; -1 where the attack does not tell.
        restart: The restart that the image comes from.
    """

    images: Images
    step: Indices
    restart: Indices


def trace(
    attack: Attack,
    model: Model,
    clean: Images,
    labels: Labels,
    start: Images | None = None,
    rng: Rng | None = None,
    radius: PerImage | None = None,
) -> Trace:
    """Run an attack and return what it tells of its way: everything where it has a `trace`, else the images alone."""
    if hasattr(attack, "trace"):
        found: Trace = attack.trace(model, clean, labels, start, rng, radius)
        return found
    never = torch.full((len(clean),), -1, device=clean.device)
    given = (start, rng, radius) if takes(attack, 6) else ()
    return Trace(attack(model, clean, labels, *given), never, torch.zeros_like(never))


def takes(attack: object, count: int) -> bool:
    """Return whether an attack can be called with so many arguments: three are enough for one from elsewhere."""
    try:
        inspect.signature(attack).bind(*range(count))  # type: ignore[arg-type]
    except TypeError:
        return False
    except ValueError:  # a callable in C tells no signature
        return True
    return True


def first_images(clean: Images) -> Rng:
    """Return the random numbers of an attack that is called without any: seed 0, the batch as the data set."""
    return Rng(0, torch.arange(len(clean), device=clean.device))


def check_threat(threat: object) -> None:
    """Refuse anything but a threat."""
    if not isinstance(threat, Threat):
        raise InputError(f"the threat must be Threat(Linf(), 8 / 255) or alike, not {threat!r}")


def check_parts(**parts: object) -> None:
    """Refuse parts that cannot be called, and classes in the place of their members."""
    for name, part in parts.items():
        if not callable(part) or isinstance(part, type):
            shown = f"{part.__name__}(...)" if isinstance(part, type) else "a function or a part"
            raise InputError(f"{name} must be {shown}, not {part!r}")


def search(attack: Attack, model: Model, batch: Batch) -> Trace:
    """Run an attack on a batch and return what it tells of its way."""
    return trace(attack, model, batch.images, batch.labels, batch.start, batch.rng, batch.radius)


def needs_all(attack: Any) -> bool:
    """Return whether an attack, or one inside it, is to be handed the whole data set: its images move each other."""
    return bool(getattr(attack, "whole", False)) or any(needs_all(part) for part in _inside(attack))


def refills(attack: Any) -> bool:
    """Return whether an attack may be handed more images than are shown at once: solved ones make room for others."""
    own = getattr(attack, "refills", None)
    if own is not None:
        return bool(own)
    inside = _inside(attack)
    return bool(inside) and all(refills(part) for part in inside)


def _inside(attack: Any) -> list[Any]:
    inside = [getattr(attack, "attack", None), *getattr(attack, "attacks", {}).values()]
    return [part for part in inside if part is not None]
