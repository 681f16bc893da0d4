"""Named trainings: network, quantizers, data and settings in one frozen dataclass."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.attacks.ascent import Ascent, Attack
from quantattack.attacks.threat import Threat
from quantattack.data.sets import load_data
from quantattack.errors import unknown
from quantattack.nn.architectures import build
from quantattack.nn.checkpoints import Card, quantizer_card, save
from quantattack.nn.convert import freeze, quantize
from quantattack.norms import Linf
from quantattack.quantizers import (
    BinaryConnect,
    BnnWaq,
    GdTanh,
    MdTanhS,
    Quantizer,
    Sign,
    Ternary,
    Uniform,
    UniformActivation,
    Xnor,
)
from quantattack.rng import Rng
from quantattack.training.crew import ALONE, Crew
from quantattack.training.fit import Adversary, Progress, Settings, accuracy, fit
from quantattack.training.schedules import OneCycle, Ramp


@dataclass(frozen=True)
class Adversarial:
    """Adversarial training: every update is on adversarial images only.

    Source: Madry, Makelov, Schmidt, Tsipras & Vladu 2018, https://arxiv.org/abs/1706.06083

    Arguments:
        attack: What finds the images; its random start is another one at every update.

    """

    attack: Attack

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        index = torch.randint(2**40, (len(images),))  # from torch's random state, which the loop sets for each epoch
        return self.attack(model, images, labels, rng=Rng(0, index.to(images.device)))


def madry(radius: float = 8 / 255, step_size: float = 2 / 255, steps: int = 7) -> Adversarial:
    """Adversarial training with PGD under Linf from a random start, the last iterate counting.

    Arguments:
        radius: Of the ball, in pixels of [0, 1].
        step_size: Of one step, in pixels of [0, 1].
        steps: Number of steps.

    """
    return Adversarial(Ascent(threat=Threat(Linf(), radius), step_size=step_size, steps=steps, last_iterate=True))


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
        adversarial: The adversary of the training; None for plain training.
        half: Whether the trained network is rounded to half precision, and so stored in half the size.

    """

    name: str
    data: str
    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Quantizer | None = None
    activations: Quantizer | None = None
    skip: tuple[str, ...] = ()
    training: Settings
    adversarial: Adversarial | None = None
    half: bool = True


def _digits(name: str, epochs: int, peak: float, **parts: Any) -> Recipe:
    rate = OneCycle(peak, rise=0.1)
    training = Settings(epochs=epochs, batch_size=64, rate=rate, beta=Ramp(1e4, 0.7), augment="none", seed=1)
    return Recipe(name=name, data="digits", architecture="small", training=training, half=False, **parts)


def _mnist(name: str, epochs: int, peak: float, **parts: Any) -> Recipe:
    training = Settings(
        epochs=epochs, batch_size=128, rate=OneCycle(peak), beta=Ramp(1e4, 0.8), bf16=True, recalibrate=60_000
    )
    options = {"width": 0.5} | parts.pop("options", {})
    return Recipe(name=name, architecture="lenet", options=options, training=training, **{"data": "mnist"} | parts)


def _cifar(name: str, epochs: int, peak: float, architecture: str, options: Mapping[str, Any], **parts: Any) -> Recipe:
    training = Settings(
        epochs=epochs, batch_size=128, rate=OneCycle(peak), beta=Ramp(1e4, 0.7), augment="crop-flip", bf16=True
    )
    return Recipe(
        name=name, architecture=architecture, options=options, training=training, **{"data": "cifar10"} | parts
    )


VGG = {"depth": 5}
RES = {"width": 1.5}
FASHION = {"mean": [0.2860], "std": [0.3530]}
EDGES = ("features.0", "classifier.fc")

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _digits("digits-mdtanhs", 100, 1e-2, weights=MdTanhS()),
        _digits("digits-bnn-waq", 100, 1e-2, weights=BnnWaq(), activations=Sign()),
        _digits("digits-mdtanhs-bn", 100, 1e-2, weights=MdTanhS(), options={"head_norm": True}),
        _digits("digits-float", 30, 3e-3),
        _mnist("mnist-lenet-float", 6, 3e-3),
        _mnist("mnist-lenet-mdtanhs", 12, 1e-2, weights=MdTanhS()),
        _mnist("mnist-lenet-bnn-waq", 12, 5e-3, weights=BnnWaq(), activations=Sign()),
        _cifar("cifar10-vgg5-float", 10, 5e-3, "vgg", VGG),
        _cifar("cifar10-vgg5-mdtanhs", 12, 1e-2, "vgg", VGG, weights=MdTanhS()),
        _cifar("cifar10-vgg5-bnn-waq", 12, 5e-3, "vgg", {**VGG, "affine": True}, weights=BnnWaq(), activations=Sign()),
        _cifar("cifar10-resnet8-float", 10, 5e-3, "resnet-8", RES),
        _cifar("cifar10-resnet8-mdtanhs", 12, 1e-2, "resnet-8", RES, weights=MdTanhS()),
        _cifar(
            "cifar10-resnet8-bnn-waq",
            12,
            5e-3,
            "resnet-8",
            {**RES, "affine": True},
            weights=BnnWaq(),
            activations=Sign(),
        ),
        _cifar("cifar10-resnet8-float-adv", 8, 5e-3, "resnet-8", RES, adversarial=madry()),
        _cifar("cifar10-resnet8-bc-adv", 8, 5e-3, "resnet-8", RES, weights=BinaryConnect(), adversarial=madry()),
        _cifar("cifar10-resnet8-gdtanh-adv", 8, 1e-2, "resnet-8", RES, weights=GdTanh(), adversarial=madry()),
        _cifar("cifar10-resnet8-mdtanhs-adv", 8, 1e-2, "resnet-8", RES, weights=MdTanhS(), adversarial=madry()),
        _cifar("cifar10-vgg5-bc", 10, 5e-3, "vgg", VGG, weights=BinaryConnect()),
        _cifar("cifar10-vgg5-gdtanh", 10, 1e-2, "vgg", VGG, weights=GdTanh()),
        _mnist("fashion-lenet-float", 6, 3e-3, data="fashion-mnist", options=FASHION),
        _mnist("fashion-lenet-mdtanhs", 12, 1e-2, weights=MdTanhS(), data="fashion-mnist", options=FASHION),
        _cifar("cifar10-vgg5-xnor", 10, 5e-3, "vgg", VGG, weights=Xnor(), skip=EDGES),
        _cifar("cifar10-vgg5-ternary", 8, 5e-3, "vgg", VGG, weights=Ternary(), skip=EDGES),
        _cifar("cifar10-vgg5-uniform4", 8, 5e-3, "vgg", VGG, weights=Uniform(4), activations=UniformActivation(4)),
        _cifar("cifar100-vgg5-float", 10, 5e-3, "vgg", {**VGG, "classes": 100}, data="cifar100"),
        _cifar("cifar100-vgg5-mdtanhs", 12, 1e-2, "vgg", {**VGG, "classes": 100}, weights=MdTanhS(), data="cifar100"),
        _cifar("cifar10-densenet-mdtanhs", 8, 1e-2, "densenet-121", {"width": 0.25}, weights=MdTanhS()),
        _cifar("cifar10-mobilenet-mdtanhs", 8, 1e-2, "mobilenet-v2", {"width": 0.5}, weights=MdTanhS()),
        _cifar("cifar10-resnet50-mdtanhs", 8, 1e-2, "resnet-50", {"width": 0.125}, weights=MdTanhS()),
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
    watched: int = 2000,
    crew: Crew = ALONE,
) -> Card:
    """Train a recipe's network and write its checkpoint.

    Arguments:
        recipe: What to train and how.
        out: Where the checkpoint goes.
        root: The folder of the data sets; None takes it from QUANTATTACK_DATA.
        keep: A file for the state of the training, which a second call continues.
        progress: Called after each epoch.
        watched: Test images that each epoch is judged on; the checkpoint states the accuracy on all of them.
        crew: The processes that train together; the first one writes.

    Raises:
        InputError: If the data are missing, or ``keep`` holds another training.

    """
    images, labels = load_data(recipe.data, root, "train")
    test, truth = load_data(recipe.data, root, "test")
    model = network(recipe).to(crew.device)
    adversary: Adversary | None = recipe.adversarial
    watch = (test[:watched], truth[:watched])
    fit(
        model,
        images,
        labels,
        recipe.training,
        adversary=adversary,
        watch=watch,
        progress=progress,
        keep=keep,
        crew=crew,
    )
    final = _rounded(freeze(model)) if recipe.half else freeze(model)
    card = _card(recipe, accuracy(final, test, truth))
    if crew.rank == 0:
        save(final, out, card)
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


def _card(recipe: Recipe, clean: float) -> Card:
    adversarial = repr(recipe.adversarial) if recipe.adversarial else ""
    return Card(
        architecture=recipe.architecture,
        settings=dict(recipe.options),
        weights=quantizer_card(recipe.weights),
        activations=quantizer_card(recipe.activations),
        skip=recipe.skip,
        data=recipe.data,
        adversarial=adversarial,
        training=asdict(recipe.training),
        clean=clean,
    )


@torch.no_grad()
def _rounded(model: nn.Module) -> nn.Module:
    """The network with every parameter and statistic rounded to half precision, and still computed in single."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
    return model
