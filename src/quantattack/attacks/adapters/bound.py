"""An attack that somebody has already made: anything that turns images and labels into images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Logits, Model, PerImage


class Slot(nn.Module):
    """A model to build another library's attack on: the given one, but the evaluated one while the attack runs.

    So every pass of an attack that holds its own model is counted, forward and backward.

    Arguments:
        model: Maps images in [0, 1] to logits.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.guests = model, list[Model]()
        self.eval()

    def forward(self, images: Images) -> Logits:
        return (self.guests[-1] if self.guests else self.model)(images)


class Called:
    """Another library's callable; its text is its qualified name, with its plain settings where it shows any."""

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
        held = getattr(self.function, "__dict__", {})
        plain = {key: value for key, value in held.items() if isinstance(value, bool | int | float | str)}
        return name + (f"({', '.join(f'{key}={value!r}' for key, value in plain.items())})" if plain else "")


@tagged("Bound")
@dataclass(frozen=True)
class Bound:
    """An attack of two arguments, images and labels, that holds the model it attacks; the engine judges on its own.

    Arguments:
        attack: Takes images and labels and returns images, or a tuple that begins with them.
        slots: What the attack holds in the model's place, so that its passes are counted; without one they are not.
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
    """Return an attack of any `(images, labels) -> images`.

    Arguments:
        attack: Takes images with shape (n, ...) and labels with shape (n,), and returns images.
        slot: The `Slot` that the attack was built on, so that its passes are counted.
    """
    if not callable(attack):
        raise InputError(f"bound needs a function of images and labels, not {attack!r}")
    return Bound(Called(attack), () if slot is None else (slot,))
