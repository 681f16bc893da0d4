"""Named trainings: network, quantizers, data and settings in one frozen dataclass."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quantattack.data.sets import load_data
from quantattack.errors import unknown
from quantattack.nn.architectures import build
from quantattack.nn.checkpoints import Card, quantizer_card, save
from quantattack.nn.convert import quantize
from quantattack.quantizers import BnnWaq, MdTanhS, Quantizer, Sign
from quantattack.training.fit import Progress, Settings, accuracy, fit
from quantattack.training.schedules import OneCycle, Ramp


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network and how it is trained.

    Arguments:
        name: Its name, which is the network's in the zoo.
        data: Name of the data set.
        architecture: Name of the architecture.
        options: The architecture's settings.
        weights: Quantizer of the weights; None for float.
        activations: Quantizer of the activations; None for float.
        skip: Modules that stay float.
        training: How it is trained.

    """

    name: str
    data: str
    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Quantizer | None = None
    activations: Quantizer | None = None
    skip: tuple[str, ...] = ()
    training: Settings


def _digits(name: str, epochs: int, peak: float, **parts: Any) -> Recipe:
    rate = OneCycle(peak, rise=0.1)
    training = Settings(epochs=epochs, batch_size=64, rate=rate, beta=Ramp(1e4, 0.7), augment="none", seed=1)
    return Recipe(name=name, data="digits", architecture="small", training=training, **parts)


RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _digits("digits-mdtanhs", 100, 1e-2, weights=MdTanhS()),
        _digits("digits-bnn-waq", 100, 1e-2, weights=BnnWaq(), activations=Sign()),
        _digits("digits-mdtanhs-bn", 100, 1e-2, weights=MdTanhS(), options={"head_norm": True}),
        _digits("digits-float", 30, 3e-3),
    )
}


def recipe(name: str) -> Recipe:
    """Return the recipe of a name.

    Raises:
        InputError: If nothing has the name.

    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]


def train(
    recipe: Recipe,
    out: Path | str,
    *,
    root: Path | str | None = None,
    keep: Path | str | None = None,
    progress: Progress | None = None,
) -> Card:
    """Train a recipe's network and write its checkpoint.

    Arguments:
        recipe: What to train and how.
        out: Where the checkpoint goes.
        root: The folder of the data sets; None takes it from QUANTATTACK_DATA.
        keep: A file for the state of the training, which a second call continues.
        progress: Called after each epoch.

    Raises:
        InputError: If the data are missing, or ``keep`` holds another training.

    """
    images, labels = load_data(recipe.data, root, "train")
    test = load_data(recipe.data, root, "test")
    model = network(recipe)
    fit(model, images, labels, recipe.training, watch=test, progress=progress, keep=keep)
    card = Card(
        architecture=recipe.architecture,
        settings=dict(recipe.options),
        weights=quantizer_card(recipe.weights),
        activations=quantizer_card(recipe.activations),
        skip=recipe.skip,
        data=recipe.data,
        training=asdict(recipe.training),
        clean=accuracy(model, *test),
    )
    save(model, out, card)
    return card


def network(recipe: Recipe) -> nn.Module:
    """Return a recipe's network with its initial weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        model = build(recipe.architecture, recipe.options)
        initialize(model)
    return quantize(model, weights=recipe.weights, activations=recipe.activations, skip=recipe.skip)


@torch.no_grad()
def initialize(model: nn.Module) -> None:
    """Draw weights from Xavier's uniform distribution and biases from N(0, 0.1²)."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
