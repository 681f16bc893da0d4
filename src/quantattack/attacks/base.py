"""The attack interface: its input (`Batch`), its output (`Trace`), and the properties it declares (`Traits`)."""

from dataclasses import dataclass
from inspect import getattr_static
from typing import Protocol, TypeGuard, runtime_checkable

import torch
from torch import Tensor

from quantattack.attacks.arguments import takes
from quantattack.attacks.batch import Batch as Batch  # it is imported from here
from quantattack.attacks.reached import Reached
from quantattack.attacks.success import Criterion, misclassified
from quantattack.attacks.threat import threats_in
from quantattack.data.sources import check_images
from quantattack.errors import InputError
from quantattack.gradients import ordinary
from quantattack.record.bounds import Bound
from quantattack.rng import Rng, seeded
from quantattack.types import Images, Indices, Labels, Model, PerImage, oddity

UNKNOWN_PASSES = 2_000  # per image, assumed for an attack that does not declare its cost: 1000 forward and backward


@runtime_checkable
class Attack(Protocol):
    """A callable that maps clean images to adversarial ones; its settings are its fields, not call arguments."""

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
class Trace:
    """The output of an attack: the adversarial images, and the iterate at which each first fooled the model.

    Arguments:
        images: Adversarial images with shape (n, ...).
        step: Index of the first iterate that fooled the model, with shape (n,); 0 is the start point.  Where none was
            observed to, the index of the last iterate; -1 if the attack does not report steps.
        restart: Index of the restart that produced each image, with shape (n,).
        bounds: What the attack proved of each image; empty if it proves nothing.
        reached: What the attacks inside it reached of each image; None for what its images say.
    """

    images: Images
    step: Indices
    restart: Indices
    bounds: tuple[Bound, ...] = ()
    reached: Reached | None = None


def without_steps(images: Images) -> Trace:
    """Return a trace without step numbers: every step is -1 and every restart 0."""
    unknown = torch.full((len(images),), -1, device=images.device)
    return Trace(images, unknown, torch.zeros_like(unknown))


@dataclass(frozen=True)
class Traits:
    """The properties that an attack declares to the code that runs it.

    Arguments:
        children: The attacks that it wraps.
        needs_all: Whether it must receive the whole data set in one batch, because its images interact.
        refills: Whether it may receive a batch larger than `Batch.at_once`: it then splits the images that are not yet
            solved into chunks of that size, so that solved images make room for others.
        solved: Its success criterion; None if it does not declare one.
        turn: When an evaluation runs it: 0 with most; a later one after all of earlier turns, and only on the images
            that none of these broke.
        singly: Whether it gets one image at a time, since it may take long over each.
    """

    children: tuple[Attack, ...] = ()
    needs_all: bool = False
    refills: bool = False
    solved: Criterion | None = None
    turn: int = 0
    singly: bool = False


@runtime_checkable
class TracedAttack(Protocol):
    """An attack with the full interface: steps, traits and cost; `adopt` gives it to a plain callable."""

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
        """Attack a batch; return the images and the step at which each fooled the model."""

    @property
    def traits(self) -> Traits:
        """Its declared properties."""

    def passes(self, classes: int) -> int:
        """Return the largest number of forward plus backward passes per image."""

    def to_the_end(self) -> Attack:
        """Return the attack without early stopping; an attack that has none to disable returns itself."""


@runtime_checkable
class Traces(Protocol):
    """Anything with a `trace` method."""

    def trace(self, model: Model, batch: Batch) -> Trace: ...


@torch.inference_mode(False)
def attacked_images(
    self: Traces,
    model: Model,
    clean: Images,
    labels: Labels,
    start: Images | None = None,
    rng: Rng | None = None,
    radius: PerImage | None = None,
) -> Images:
    """Implement ``__call__`` by `trace`: attacks assign ``__call__ = attacked_images`` in their class body.

    Arguments:
        self: The attack.
        model: Maps images in [0, 1] to logits.
        clean: Images with shape (n, ...).
        labels: True classes with shape (n,); target classes for a targeted attack.
        start: Start points with the shape of the images; None for the attack's own start.
        rng: Per-image random numbers; None for those of seed 0.
        radius: Per-image radii with shape (n,); None for the threat's radius.

    Raises:
        InputError: If the images are not finite numbers in the threat's range, or the attack cannot be used.
    """
    threat = next(threats_in(self), None)
    if threat is not None and len(clean):
        check_images(clean, threat.low, threat.high)
    start, radius = (None if column is None else ordinary(column) for column in (start, radius))
    return self.trace(model, batch_of(ordinary(clean), ordinary(labels), start, rng, radius)).images


def batch_of(
    images: Images,
    labels: Labels,
    start: Images | None = None,
    rng: Rng | None = None,
    radius: PerImage | None = None,
) -> Batch:
    """Return a batch, with the random numbers of seed 0 if none are given."""
    return Batch(images, labels, rng or default_rng(images), start, radius)


def default_rng(clean: Images) -> Rng:
    """Return the default random numbers: seed 0, and image i of the batch has index i."""
    return Rng(0, torch.arange(len(clean), device=clean.device))


@dataclass(frozen=True)
class Adopted:
    """A plain callable as a `TracedAttack`: its steps and cost are unknown, the global generators seeded for a batch.

    Arguments:
        attack: Called as (model, images, labels), or as (model, images, labels, start, rng, radius) if its signature
            takes six arguments.
        name: Its name in messages; by default that of the callable.
    """

    attack: Attack
    name: str = ""
    __call__ = attacked_images

    def trace(self, model: Model, batch: Batch) -> Trace:
        with seeded(batch.rng):
            images = self.call(model, batch)
        own = getattr(self.attack, "__qualname__", type(self.attack).__qualname__)
        check_returned(images, batch.images, self.name or own)
        return without_steps(images)

    def call(self, model: Model, batch: Batch) -> Images:
        """Call the attack with as many arguments as it takes, copies all of them, which it may write into."""
        batch = batch.copied()
        more = (batch.start, batch.rng, batch.radius) if takes(self.attack, 6) else ()
        return self.attack(model, batch.images, batch.labels, *more)

    @property
    def traits(self) -> Traits:
        return Traits()

    def passes(self, classes: int) -> int:  # noqa: ARG002
        return UNKNOWN_PASSES

    def to_the_end(self) -> Attack:
        return self.attack


def check_returned(returned: object, clean: Images, name: str) -> None:
    """Raise InputError unless an attack returned images of the shape of the clean ones."""
    if isinstance(returned, Tensor) and (odd := oddity(returned)):
        raise InputError(f"the attack {name!r} returned a {odd} tensor in place of images; return plain numbers")
    if not isinstance(returned, Tensor) or returned.shape != clean.shape:
        got = tuple(returned.shape) if isinstance(returned, Tensor) else type(returned).__name__
        raise InputError(f"the attack {name!r} returned {got} in place of images of shape {tuple(clean.shape)}")


def adopt(attack: Attack, name: str = "") -> TracedAttack:
    """Return the attack itself if it is a `TracedAttack`, else wrapped in `Adopted`.

    Arguments:
        attack: The attack.
        name: Its name in messages; by default that of the callable.
    """
    return attack if is_traced(attack) else Adopted(attack, name)


def is_traced(attack: Attack) -> TypeGuard[TracedAttack]:
    """Return whether an attack has the full interface, without asking for its traits, which ask those it wraps."""
    return all(getattr_static(attack, name, None) is not None for name in ("trace", "traits", "passes", "to_the_end"))


def search(attack: Attack, model: Model, batch: Batch) -> Trace:
    """Run any attack, traced or plain, on a batch and return its trace."""
    return adopt(attack).trace(model, batch)


def needs_all(attack: Attack) -> bool:
    """Return whether an attack, or any that it wraps, must receive the whole data set in one batch."""
    traits = adopt(attack).traits
    return traits.needs_all or any(needs_all(child) for child in traits.children)


def turn_of(attack: Attack) -> int:
    """Return when an evaluation runs an attack; see `Traits`."""
    return adopt(attack).traits.turn


def is_single(attack: Attack) -> bool:
    """Return whether an attack gets one image at a time; see `Traits`."""
    return adopt(attack).traits.singly


def refills(attack: Attack) -> bool:
    """Return whether an attack may receive a batch larger than `Batch.at_once`; see `Traits`."""
    return adopt(attack).traits.refills


def passes(attack: Attack, classes: int) -> int:
    """Return the largest number of forward plus backward passes that an attack spends per image.

    It is `UNKNOWN_PASSES` for an attack that does not declare its cost, such as another library's.

    Arguments:
        attack: The attack.
        classes: Number of classes: the backward passes of a Jacobian.
    """
    return adopt(attack).passes(classes)


def to_the_end(attack: Attack) -> Attack:
    """Return an attack without early stopping, in the attacks that it wraps too."""
    return adopt(attack).to_the_end()


def success_of(attack: Attack, default: Criterion = misclassified) -> Criterion:
    """Return an attack's declared success criterion, or the default if it declares none."""
    return adopt(attack).traits.solved or default


def traits_around(*children: Attack) -> Traits:
    """Return the traits of a wrapper: it refills if all its children do, and has the first one's success criterion."""
    solved = adopt(children[0]).traits.solved
    return Traits(children, refills=all(refills(child) for child in children), solved=solved)
