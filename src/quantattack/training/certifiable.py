"""Recipes of networks so small that complete search decides most of their images."""

from collections.abc import Mapping
from typing import Any

from quantattack.nn.quantizers import BinaryConnect, BnnWaq, Quantizer, Sign, Ternary, Uniform, UniformActivation
from quantattack.training.schedules import OneCycle, Ramp
from quantattack.training.settings import Settings
from quantattack.training.train import Adversarial, Recipe, madry

_RATES = {"digits": (60, 64), "mnist": (4, 128)}  # epochs and images in an update
_ADVERSARIES = {"digits": madry(0.05, 0.025, 3), "mnist": madry(0.1, 0.05, 3)}


def _small(
    name: str, width: int, weights: Quantizer | None = None, activations: Quantizer | None = None, peak: float = 1e-2
) -> Recipe:
    """Return a recipe of a network of the small family; its name says its data set, and whether it has an adversary."""
    data = name.partition("-")[0]
    options: dict[str, Any] = {"width": width}
    return _recipe(name, "small" if data == "digits" else "coarse", options, weights, activations, peak)


def _recipe(
    name: str,
    architecture: str,
    options: Mapping[str, Any],
    weights: Quantizer | None,
    activations: Quantizer | None,
    peak: float,
) -> Recipe:
    data = name.partition("-")[0]
    epochs, batch = _RATES[data]
    adversary: Adversarial | None = _ADVERSARIES[data] if name.endswith("-adv") else None
    training = Settings(epochs=epochs, batch_size=batch, rate=OneCycle(peak, 0.1), beta=Ramp(1e4, 0.7), seed=1)
    parts: dict[str, Any] = {"weights": weights, "activations": activations, "adversarial": adversary}
    return Recipe(
        name=name, data=data, architecture=architecture, options=options, training=training, half=False, **parts
    )


def _signs(name: str, width: int) -> Recipe:
    return _small(name, width, BnnWaq(), Sign())


CERTIFIABLE: tuple[Recipe, ...] = (
    _small("digits-w4-float", 4, peak=5e-3),
    _small("digits-w4-bc", 4, BinaryConnect()),
    _small("digits-w4-ternary", 4, Ternary()),
    _small("digits-w4-uniform4", 4, Uniform(4), UniformActivation(4), peak=5e-3),
    _signs("digits-w4-bnn-waq", 4),
    _signs("digits-w8-bnn-waq", 8),
    _small("digits-w8-bc", 8, BinaryConnect()),
    _small("digits-w4-bc-adv", 4, BinaryConnect()),
    _small("digits-w8-float-adv", 8, peak=5e-3),
    _recipe("digits-mlp-float", "perceptron", {"hidden": 32}, None, None, 5e-3),
    _recipe("digits-mlp-bnn-waq", "perceptron", {"hidden": 64}, BnnWaq(), Sign(), 1e-2),
    _signs("mnist-w4-bnn-waq", 4),
    _small("mnist-w4-bc-adv", 4, BinaryConnect()),
)
