"""How a network is trained: epochs, optimizer, schedules and augmentation in a frozen dataclass."""

from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, Literal

from quantattack.errors import InputError
from quantattack.training.schedules import STRICT, Beta, OneCycle, Ramp, Rate, Rise


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a network is trained.

    Arguments:
        epochs: Passes over the training images.
        batch_size: Images in an update.
        optimizer: ``adam``, or ``sgd`` with Nesterov momentum 0.9.
        rate: Learning rate as a function of the number of the update.
        beta: Temperature of the quantizers as a function of the number of the update.
        weight_decay: Factor of half the squared L2 norm of the latent weights.
        logit_scale: What the loss multiplies the logits with, in training alone. A binarized head over n features sums
            n terms of one size: logits about √n times too large for a softmax to learn from, which 1 / √n undoes.
            A `Rise` begins so and ends on the loss of the logits as they are.
        augment: ``none``, ``shift`` (one pixel), ``crop-flip``.
        bf16: Whether the forward and backward passes run under autocast to bfloat16.
        recalibrate: Training images on which the BatchNorm statistics are measured anew under the final weights.
        seed: Of the initial weights, the order of the images and the augmentation.

    """

    epochs: int
    batch_size: int = 128
    optimizer: Literal["adam", "sgd"] = "adam"
    rate: Rate = field(default_factory=OneCycle)
    beta: Beta = field(default_factory=Ramp)
    weight_decay: float = 0.0
    logit_scale: float | Rise = 1.0
    augment: Literal["none", "shift", "crop-flip"] = "none"
    bf16: bool = False
    recalibrate: int = 10_000
    seed: int = 0
    __pydantic_config__: ClassVar = STRICT

    def __post_init__(self) -> None:
        if not isinstance(self.logit_scale, Rise) and not 0 < self.logit_scale < inf:
            raise InputError(f"a logit scale of {self.logit_scale} trains nothing; give a positive number")
        if self.epochs < 1 or self.batch_size < 2:
            raise InputError(f"{self.epochs} epochs of batches of {self.batch_size}; give at least 1 and at least 2")

    def scale_at(self, step: int, steps: int) -> float:
        """Return what the loss multiplies the logits with at an update, of so many in all."""
        return self.logit_scale(step, steps) if isinstance(self.logit_scale, Rise) else self.logit_scale

    @property
    def last_scale(self) -> float:
        """What the loss multiplies the logits with when the training ends."""
        return 1.0 if isinstance(self.logit_scale, Rise) else self.logit_scale
