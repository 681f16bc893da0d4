"""A constant temperature."""

from dataclasses import dataclass

from quantattack.attacks.scaling.base import Rescale
from quantattack.errors import InputError, is_number
from quantattack.record.description import tagged
from quantattack.types import Images, Labels, Logits, Model


@tagged("Fixed")
@dataclass(frozen=True)
class Fixed:
    """Multiply all logits by the same inverse temperature.

    Arguments:
        beta: Positive factor on the logits.
    """

    beta: int | float

    def __post_init__(self) -> None:
        if not (is_number(self.beta) and self.beta > 0):
            raise InputError(f"beta must be a positive number, not {self.beta!r}")

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG002
        return self.scale

    def scale(self, logits: Logits, labels: Labels) -> Logits:  # noqa: ARG002
        return logits * self.beta
