"""Temperature for everyone: a model with the same decisions whose logits any other toolkit can climb."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from quantattack.attacks.base import Attack, trace
from quantattack.attacks.scaling.base import Rescale, Temperature
from quantattack.attacks.scaling.hns import Hns
from quantattack.errors import InputError
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Logits, Model, PerImage


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

    def _live(self, images: Images, labels: Any) -> Rescale:
        if isinstance(self.temperature, Hns):
            raise InputError(
                "Hns looks once at a start point; freeze it for the batch with ScaledLogits(...).at(images)"
            )
        return self.temperature(self.model, images, labels)


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

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        scaled = ScaledLogits(model, self.temperature)
        return trace(self.attack, scaled.at(clean) if self._looks else scaled, clean, labels, start, rng, radius).images

    @property
    def _looks(self) -> bool:
        return isinstance(self.temperature, Hns)
