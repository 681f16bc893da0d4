"""Attacks given as a function of images and labels that already holds its model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Logits, Model, PerImage


class Slot(nn.Module):
    """A model to construct another library's attack with; while the attack runs, it forwards to the evaluated model.

    So the evaluation counts the passes of an attack that holds its own model.  Outside of a run it forwards to the
    model that it was made with.

    Arguments:
        model: Maps images in [0, 1] to logits.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.guests = model, list[Model]()  # guests: evaluated models, innermost last
        self.training = False  # the model inside keeps its own mode

    def forward(self, images: Images) -> Logits:
        return (self.guests[-1] if self.guests else self.model)(images)


class Called:
    """A callable compared by value, whose repr is its qualified name with its int, float, bool and str attributes."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Called) and self.function == other.function

    def __hash__(self) -> int:
        return hash(self.function)

    def __repr__(self) -> str:
        function = self.function if hasattr(self.function, "__qualname__") else type(self.function)
        name = f"{function.__module__}.{function.__qualname__}"
        attributes = getattr(self.function, "__dict__", {})
        plain = {key: value for key, value in attributes.items() if isinstance(value, bool | int | float | str)}
        return name + (f"({', '.join(f'{key}={value!r}' for key, value in plain.items())})" if plain else "")


@tagged("Bound")
@dataclass(frozen=True)
class Bound:
    """An attack called with images and labels that holds its own model; success is judged on the evaluated model.

    Arguments:
        attack: Takes images and labels and returns images, or a tuple that begins with them.
        slots: The `Slot` that the attack holds as its model.  Without one, it attacks the model that it holds, and its
            passes are not counted.
    """

    attack: Called
    slots: tuple[Slot, ...] = ()

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,  # noqa: ARG002
        rng: Rng | None = None,  # noqa: ARG002
        radius: PerImage | None = None,
    ) -> Images:
        if radius is not None:
            raise InputError("a bound attack has its own radius, and none for each image; use an adapter")
        if not len(clean):
            return clean.clone()
        for slot in self.slots:
            slot.guests.append(model)
        try:
            output = self.attack.function(clean.clone(), labels.clone())
        finally:
            for slot in self.slots:
                slot.guests.pop()
        images: Tensor = output[0] if isinstance(output, tuple) else output
        return images.detach()


def bound(attack: Any, slot: Slot | None = None) -> Bound:
    """Return a function `(images, labels) -> images` as an attack.

    Arguments:
        attack: Takes images with shape (n, ...) and labels with shape (n,), and returns images.
        slot: The `Slot` that the attack was constructed with; see `Bound`.

    Raises:
        InputError: If the attack is not callable.
    """
    if not callable(attack):
        raise InputError(f"bound needs a function of images and labels, not {attack!r}")
    return Bound(Called(attack), () if slot is None else (slot,))
