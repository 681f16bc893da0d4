"""What an attack is: what it is handed, what it returns, and what it states of itself."""

import inspect
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from quantattack.attacks.success import Criterion, misclassified
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.rng import Rng
from quantattack.types import Images, Indices, Labels, Mask, Model, PerImage

UNKNOWN_PASSES = 2_000  # an image, of an attack that does not state its cost: 1000 steps


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

    def __len__(self) -> int:
        return len(self.images)

    def keep(self, rows: Mask | Indices | slice) -> "Batch":
        """Return the batch of some of the images, by a mask, by their numbers, or a slice of them."""
        start, radius = (None if column is None else column[rows] for column in (self.start, self.radius))
        rng = replace(self.rng, index=self.rng.index.to(self.images.device)[rows])
        images, labels = self.images[rows], self.labels[rows]
        return replace(self, images=images, labels=labels, rng=rng, start=start, radius=radius)


@dataclass(frozen=True, eq=False)
class Trace:
    """What an attack returns, and when each image was first seen to fool the model.

    Arguments:
        images: The attacked images.
        step: First iterate that was seen to fool the model, 0 the start point; else the number of the last one, at
            which nobody looked; -1 where the attack does not tell.
        restart: The restart that the image comes from.
    """

    images: Images
    step: Indices
    restart: Indices


def untold(images: Images) -> Trace:
    """Return the trace of an attack that does not tell when an image fell."""
    never = torch.full((len(images),), -1, device=images.device)
    return Trace(images, never, torch.zeros_like(never))


@dataclass(frozen=True)
class Traits:
    """What an attack states of itself to those that run it.

    Arguments:
        children: The attacks inside it.
        needs_all: Whether it must be handed the whole data set at once, because its images move each other.
        refills: Whether it may be handed more images than the model is shown at once: it cuts them by
            `Batch.at_once`, and those that are solved make room for others.
        solved: What counts as success for it; None where it does not tell.
    """

    children: tuple[Attack, ...] = ()
    needs_all: bool = False
    refills: bool = False
    solved: Criterion | None = None


@runtime_checkable
class TracedAttack(Protocol):
    """An attack that states all that is asked of it; `adopt` makes one of any other."""

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images: ...

    def trace(self, model: Model, batch: Batch) -> Trace:
        """Attack a batch, and tell when each image fell."""

    @property
    def traits(self) -> Traits:
        """What it states of itself."""

    def passes(self, classes: int) -> int:
        """Return the forward and backward passes that it spends on an image, at most."""

    def to_the_end(self) -> Attack:
        """Return the same attack, but walking all its steps after the model is fooled, where it walks."""


@runtime_checkable
class Traces(Protocol):
    """What can be asked for a trace."""

    def trace(self, model: Model, batch: Batch) -> Trace: ...


def attacked_images(
    self: Traces,
    model: Model,
    clean: Images,
    labels: Labels,
    start: Images | None = None,
    rng: Rng | None = None,
    radius: PerImage | None = None,
) -> Images:
    """Return the attacked images: the call of every attack here, ``__call__ = attacked_images``.

    Arguments:
        self: The attack.
        model: Maps images in [0, 1] to logits.
        clean: Images with shape (n, ...).
        labels: Their true classes with shape (n,); the targets of a targeted attack.
        start: Where to start; None for the attack's own start.
        rng: Their random numbers; None for those of seed 0.
        radius: A radius for each image; None for the threat's.
    """
    return self.trace(model, batch_of(clean, labels, start, rng, radius)).images


def batch_of(
    images: Images,
    labels: Labels,
    start: Images | None = None,
    rng: Rng | None = None,
    radius: PerImage | None = None,
) -> Batch:
    """Return a batch; its random numbers are those of seed 0 where none are given."""
    return Batch(images, labels, rng or first_images(images), start, radius)


def first_images(clean: Images) -> Rng:
    """Return the random numbers of an attack that is called without any: seed 0, the batch as the data set."""
    return Rng(0, torch.arange(len(clean), device=clean.device))


@dataclass(frozen=True)
class Adopted:
    """An attack that has only its call: nothing is known of its steps or its cost, and it is handed plain batches.

    Arguments:
        attack: Called with model, images and labels, and with start, random numbers and radii where it takes them.
    """

    attack: Attack
    __call__ = attacked_images

    def trace(self, model: Model, batch: Batch) -> Trace:
        more = (batch.start, batch.rng, batch.radius) if takes(self.attack, 6) else ()
        images = self.attack(model, batch.images, batch.labels, *more)  # whatever it is: evaluation checks it
        never = torch.full((len(batch),), -1, device=batch.images.device)
        return Trace(images, never, torch.zeros_like(never))

    @property
    def traits(self) -> Traits:
        return Traits()

    def passes(self, classes: int) -> int:  # noqa: ARG002
        return UNKNOWN_PASSES

    def to_the_end(self) -> Attack:
        return self.attack


def adopt(attack: Attack) -> TracedAttack:
    """Return an attack that states all that is asked of it: itself, or a plain callable with what holds for any."""
    return attack if isinstance(attack, TracedAttack) else Adopted(attack)


def takes(attack: object, count: int) -> bool:
    """Return whether an attack can be called with so many arguments: three are enough for another library's."""
    try:
        inspect.signature(attack).bind(*range(count))  # type: ignore[arg-type]
    except TypeError:
        return False
    except ValueError:  # a callable in C tells no signature
        return True
    return True


def search(attack: Attack, model: Model, batch: Batch) -> Trace:
    """Run an attack on a batch and return the images with what it tells of its way."""
    return adopt(attack).trace(model, batch)


def needs_all(attack: Attack) -> bool:
    """Return whether an attack, or one inside it, is to be handed the whole data set: its images move each other."""
    traits = adopt(attack).traits
    return traits.needs_all or any(needs_all(child) for child in traits.children)


def refills(attack: Attack) -> bool:
    """Return whether an attack may be handed more images than are shown at once: solved ones make room for others."""
    return adopt(attack).traits.refills


def passes(attack: Attack, classes: int) -> int:
    """Return the forward and backward passes that an attack spends on an image, at most.

    Of an attack that does not state its cost, another library's, it is a guess.

    Arguments:
        attack: The attack.
        classes: Number of classes, which is what a Jacobian costs.
    """
    return adopt(attack).passes(classes)


def to_the_end(attack: Attack) -> Attack:
    """Return an attack whose walks, inside its wrappers too, go on after the model is fooled."""
    return adopt(attack).to_the_end()


def success_of(attack: Attack, default: Criterion = misclassified) -> Criterion:
    """Return what counts as success for an attack, of the one inside for a wrapper."""
    return adopt(attack).traits.solved or default


def traits_around(*children: Attack) -> Traits:
    """Return what an attack made of others states: it refills where all of them do, and succeeds as the first does."""
    solved = adopt(children[0]).traits.solved
    return Traits(children, refills=all(refills(child) for child in children), solved=solved)


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
