"""Temperatures as a model wrapper, so that attacks without temperatures, also of other libraries, can use them."""

from dataclasses import dataclass, replace

from torch import nn

from quantattack.attacks.around import Around
from quantattack.attacks.base import (
    Batch,
    Trace,
    passes,
    without_steps,
)
from quantattack.attacks.merging import search_apart
from quantattack.attacks.scaling.base import Rescale, Temperature, fitting_passes
from quantattack.attacks.scaling.hns import Hns
from quantattack.errors import InputError
from quantattack.gradients import called
from quantattack.record.description import tagged
from quantattack.types import Images, Labels, Logits, Model


class ScaledLogits(nn.Module):
    """A model whose logits are multiplied by a temperature's per-image factor, which changes no prediction.

    The model's prediction takes the place of the label.  `Fixed`, `Njs` and `Gap` work on any batch; `Hns`, which is
    fitted at a start point, must first be fixed for a batch by `at`.

    Arguments:
        model: Maps images in [0, 1] to logits.
        temperature: Factor that multiplies the logits.
    """

    def __init__(self, model: Model, temperature: Temperature) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature
        self.frozen: Rescale | None = None
        self.training = False  # the model inside keeps its own mode

    def forward(self, images: Images) -> Logits:
        logits = called(self.model, images)
        labels = logits.detach().argmax(1)
        return (self.frozen or self._fit_now(images, labels))(logits, labels)

    def at(self, images: Images) -> "ScaledLogits":
        """Return a module with the temperature fitted at these images; it accepts only batches of them in this order.

        Arguments:
            images: The start points, with shape (n, ...).
        """
        fitted = ScaledLogits(self.model, self.temperature)
        fitted.frozen = self.temperature(self.model, images, called(self.model, images).detach().argmax(1))
        return fitted

    def _fit_now(self, images: Images, labels: Labels) -> Rescale:
        if isinstance(self.temperature, Hns):
            raise InputError(
                "Hns looks once at a start point; freeze it for the batch with ScaledLogits(...).at(images)"
            )
        return self.temperature(self.model, images, labels)


@tagged("OnScaled")
@dataclass(frozen=True)
class OnScaled(Around):
    """Run an attack on `ScaledLogits` of the model; success is judged on the model as given.

    `Hns` is fitted at the clean images, which requires an attack that drops and reorders no images of the batch.

    Arguments:
        attack: Any attack, including another library's.
        temperature: Factor that multiplies the logits.
    """

    temperature: Temperature

    def passes(self, classes: int) -> int:
        fitting = fitting_passes(self.temperature, classes)
        inside = passes(self.attack, classes)
        return inside + 1 + fitting if self._needs_fitting else inside * (1 + fitting)

    def trace(self, model: Model, batch: Batch) -> Trace:
        scaled = ScaledLogits(model, self.temperature)
        if not self._needs_fitting:
            return without_steps(search_apart(self.attack, scaled, batch).images)
        # the fitted factors belong to the rows of this batch, so the model must receive it unsplit
        return without_steps(search_apart(self.attack, scaled.at(batch.images), replace(batch, at_once=None)).images)

    @property
    def _needs_fitting(self) -> bool:
        return isinstance(self.temperature, Hns)
