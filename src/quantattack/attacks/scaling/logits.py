"""Temperature for everyone: a model with the same decisions whose logits any other toolkit can climb."""

from dataclasses import dataclass, replace

from torch import nn

from quantattack.attacks.base import (
    Attack,
    Batch,
    Trace,
    Traits,
    attacked_images,
    passes,
    search,
    to_the_end,
    traits_around,
    untold,
)
from quantattack.attacks.scaling.base import Rescale, Temperature, fitting_passes
from quantattack.attacks.scaling.hns import Hns
from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.types import Images, Labels, Logits, Model


class ScaledLogits(nn.Module):
    """A model whose logits are multiplied by a temperature's number, one for each image: no prediction changes.

    The model's own prediction stands for the label.  `Fixed`, `Njs` and `Gap` work on any batch; `Hns`, which looks at
    a start point, is frozen for a batch by `at`.

    Arguments:
        model: Maps images in [0, 1] to logits.
        temperature: What the logits are multiplied by.
    """

    def __init__(self, model: Model, temperature: Temperature) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature
        self.frozen: Rescale | None = None
        self.eval()

    def forward(self, images: Images) -> Logits:
        logits = self.model(images)
        labels = logits.detach().argmax(1)
        return (self.frozen or self._live(images, labels))(logits, labels)

    def at(self, images: Images) -> "ScaledLogits":
        """Return the module with its temperature fixed at these images, for a batch of them in this order.

        Arguments:
            images: The start points, with shape (n, ...).
        """
        fixed = ScaledLogits(self.model, self.temperature)
        fixed.frozen = self.temperature(self.model, images, self.model(images).detach().argmax(1))
        return fixed

    def _live(self, images: Images, labels: Labels) -> Rescale:
        if isinstance(self.temperature, Hns):
            raise InputError(
                "Hns looks once at a start point; freeze it for the batch with ScaledLogits(...).at(images)"
            )
        return self.temperature(self.model, images, labels)


@tagged("OnScaled")
@dataclass(frozen=True)
class OnScaled:
    """An attack on a model whose logits are scaled; the judge is the model as given, whose decisions are the same.

    `Hns` is frozen at the clean images, so only for attacks that keep the batch as it is.

    Arguments:
        attack: Any attack, one from elsewhere too.
        temperature: What the logits are multiplied by.
    """

    attack: Attack
    temperature: Temperature
    __call__ = attacked_images

    @property
    def traits(self) -> Traits:
        return traits_around(self.attack)

    def passes(self, classes: int) -> int:
        fitting = fitting_passes(self.temperature, classes)
        inside = passes(self.attack, classes)
        return inside + 1 + fitting if self._looks else inside * (1 + fitting)

    def to_the_end(self) -> Attack:
        return replace(self, attack=to_the_end(self.attack))

    def trace(self, model: Model, batch: Batch) -> Trace:
        scaled = ScaledLogits(model, self.temperature)
        if not self._looks:
            return untold(search(self.attack, scaled, batch).images)
        # one number for each image of the batch: the model is shown the batch as it is
        return untold(search(self.attack, scaled.at(batch.images), replace(batch, at_once=None)).images)

    @property
    def _looks(self) -> bool:
        return isinstance(self.temperature, Hns)
