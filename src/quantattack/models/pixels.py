"""A first layer that gives a network its pixels as it takes them: layout, range and normalization."""

from dataclasses import asdict
from typing import Any

from torch import nn

from quantattack.attacks.adapters.models import in_eval_mode, logits_of
from quantattack.deployed.loaded import Meaning
from quantattack.deployed.pixels import Pixels
from quantattack.gradients import is_twinned
from quantattack.types import Images, Logits


class WithPixels(nn.Module):
    """A network behind a first layer: maps images in [0, 1] with shape (n, c, h, w) to the network's logits.

    Arguments:
        model: The network, which takes pixels in its own layout, range and normalization.
        pixels: What pixels mean to it.
        architecture: The name by which the network was built for its weights; None where its file tells.
    """

    def __init__(self, model: nn.Module, pixels: Pixels, architecture: str | None = None) -> None:
        super().__init__()
        self.model, self.pixels, self.architecture = model, pixels, architecture
        if not model.training:
            in_eval_mode(self)

    @property
    def twinned(self) -> bool:
        """Whether the network's gradient and verdict come from two implementations."""
        return is_twinned(self.model)

    @property
    def opened(self) -> dict[str, Any]:
        """How the network was opened, in plain values."""
        return {"pixels": asdict(self.pixels), "architecture": self.architecture}

    def forward(self, images: Images) -> Logits:
        return logits_of(self.model(self.pixels(images)))

    def extra_repr(self) -> str:
        return repr(self.pixels)


def opened_in(model: Any) -> dict[str, Any] | None:
    """Return how a network was opened that a model is or wraps; None where nothing was said of it.

    Arguments:
        model: A model, or a wrapper around one.
    """
    modules = model.modules() if isinstance(model, nn.Module) else ()
    return next((module.opened for module in modules if isinstance(module, WithPixels)), None)


def combined(said: Meaning, otherwise: Pixels) -> Pixels:
    """Return what pixels mean to a network: what the caller says, else what is known of the network.

    A mean and a standard deviation are in units of the range, so another range leaves the known ones behind.

    Arguments:
        said: What the caller says.
        otherwise: What is known of the network.
    """
    low, high = said.range or (otherwise.low, otherwise.high)
    known = otherwise if said.range is None and not said.mean else Pixels(mean=said.mean, std=said.std)
    return Pixels(said.layout or otherwise.layout, low, high, known.mean, known.std)
