"""Recipes by name: every network of the zoo, and the papers' full-width networks with the published schedules."""

from collections.abc import Mapping
from typing import Any

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack
from quantattack.attacks.directions import Quantized
from quantattack.attacks.losses import log_odds
from quantattack.attacks.norms import Linf
from quantattack.attacks.scaling.base import unit
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.threat import Threat
from quantattack.errors import unknown
from quantattack.nn.quantizers import (
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
from quantattack.training.certifiable import CERTIFIABLE
from quantattack.training.files import Finder, read_recipe
from quantattack.training.full_width import FULL
from quantattack.training.schedules import OneCycle, Ramp, Rise
from quantattack.training.settings import Settings
from quantattack.training.train import Adversarial, BatchNjs, Recipe, madry, train

__all__ = ["RECIPES", "Recipe", "recipe", "train"]


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
    augment, scale = parts.pop("augment", "crop-flip"), parts.pop("scale", 1.0)
    training = Settings(
        epochs=epochs, rate=OneCycle(peak), beta=Ramp(1e4, 0.7), augment=augment, bf16=True, logit_scale=scale
    )
    return Recipe(
        name=name, architecture=architecture, options=options, training=training, **{"data": "cifar10"} | parts
    )


def _adversarial(name: str, weights: Quantizer | None, scale: float) -> Recipe:
    """Return a recipe of a residual network, trained adversarially with PGD on the logits as scaled for the loss."""
    adversary = madry(temperature=unit if weights is None else Fixed(scale))
    options = {"width": 1.0}
    return _cifar(name, 4, 5e-3, "resnet-8", options, weights=weights, scale=scale, adversarial=adversary)


def _robust(name: str, attack: Attack, architecture: str = "madry-mnist", epochs: int = 5, **parts: Any) -> Recipe:
    """Return a recipe of a network of the Madry challenge or of DAA at half its width, trained adversarially."""
    training = Settings(epochs=epochs, rate=OneCycle(1e-3, 0.3), bf16=True)
    options = {"width": 0.5}
    chosen: dict[str, Any] = {"data": "mnist"} | parts
    adversary = Adversarial(attack)
    return Recipe(
        name=name, architecture=architecture, options=options, training=training, adversarial=adversary, **chosen
    )


def _inner(steps: int, radius: float = 0.3, **parts: Any) -> Attack:
    """Return the attack of an adversarial training on MNIST or the digits: a few steps, the last iterate."""
    size = 2.5 * radius / steps if steps > 3 else radius / 2
    return Ascent(threat=Threat(Linf(), radius), step_size=size, steps=steps, last_iterate=True, **parts)


def _robust_digits(name: str, steps: int, **parts: Any) -> Recipe:
    """Return a recipe of digits-mdtanhs, trained adversarially on the loss of its logits as they are."""
    adversary = Adversarial(_inner(steps, 0.2, **parts))
    return _digits(f"digits-mdtanhs-adv-{name}", 100, 1e-2, weights=MdTanhS(), adversarial=adversary)


# The deep architectures at reduced width behind a stem of stride 2, with the features of their heads and the epochs.
DEEP: Mapping[str, tuple[str, float, int, int]] = {
    "densenet": ("densenet-121", 0.25, 256, 8),
    "mobilenet": ("mobilenet-v2", 0.5, 640, 6),
    "resnet50": ("resnet-50", 0.1875, 384, 10),
}
FLOAT_EPOCHS = 5  # of a deep architecture


def _deep(data: str, kind: str, weights: Quantizer | None, **parts: Any) -> Recipe:
    architecture, width, features, epochs = DEEP[kind]
    options: dict[str, Any] = {"width": width, "stem_stride": 2} | _classes(data)
    options |= {"affine": True} if parts else {}
    epochs, name = FLOAT_EPOCHS if weights is None else epochs, _named(data, kind, weights)
    scaled = _late_rise(weights, features**-0.5)
    return _cifar(name, epochs, 5e-3, architecture, options, weights=weights, data=data, **scaled, **parts)


def _narrow_residual(weights: Quantizer | None) -> Recipe:
    data, scaled = "cifar100", _late_rise(weights, NARROW)
    options = RES | _classes(data)
    return _cifar(_named(data, "resnet8", weights), 9, 5e-3, "resnet-8", options, weights=weights, data=data, **scaled)


def _named(data: str, kind: str, weights: Quantizer | None) -> str:
    return f"{data}-{kind}-{'float' if weights is None else 'mdtanhs' if weights == MdTanhS() else 'bnn-waq'}"


def _late_rise(weights: Quantizer | None, first: float) -> dict[str, Any]:
    """Return what lets a binarized network end on the loss of its logits as they are, without augmentation.

    Deep networks learn little while both the scale and the weights' temperature rise, so the scale rises late.
    """
    return {} if weights is None else {"scale": Rise(first, 0.8, hold=0.5), "augment": "none"}


def _classes(data: str) -> dict[str, int]:
    return {"classes": 100} if data == "cifar100" else {}


def _raw(name: str, architecture: str, options: Mapping[str, Any], first: float, **parts: Any) -> Recipe:
    """Return a recipe that ends on the loss of the logits as they are, without augmentation, so that they saturate."""
    return _cifar(name, 36, 5e-3, architecture, options, scale=Rise(first), augment="none", **parts)


VGG = {"depth": 5}
AFFINE = {**VGG, "affine": True}
RES = {"width": 1.5}
FASHION = {"mean": [0.2860], "std": [0.3530]}
EDGES = ("features.0", "classifier.fc")
# A binarized head over 2048 or 512 features, and what its logits are too large by.
WIDE, NARROW = 1 / 45, 1 / 24

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _digits("digits-mdtanhs", 100, 1e-2, weights=MdTanhS()),
        _digits("digits-bnn-waq", 100, 1e-2, weights=BnnWaq(), activations=Sign()),
        _digits("digits-mdtanhs-bn", 100, 1e-2, weights=MdTanhS(), options={"head_norm": True}),
        _digits("digits-float", 30, 3e-3),
        _digits("digits-bc", 60, 5e-3, weights=BinaryConnect()),
        _digits("digits-gdtanh", 60, 1e-2, weights=GdTanh()),
        _digits("digits-xnor", 40, 5e-3, weights=Xnor(), skip=("features.0", "head")),
        _digits("digits-ternary", 40, 5e-3, weights=Ternary()),
        _digits("digits-uniform8", 30, 3e-3, weights=Uniform(8), activations=UniformActivation(8)),
        _digits("digits-uniform2", 40, 5e-3, weights=Uniform(2), activations=UniformActivation(2)),
        _digits("digits-uniform4", 40, 5e-3, weights=Uniform(4), activations=UniformActivation(4)),
        _mnist("mnist-lenet-float", 6, 3e-3),
        _mnist("mnist-lenet-mdtanhs", 12, 1e-2, weights=MdTanhS()),
        _mnist("mnist-lenet-bnn-waq", 12, 5e-3, weights=BnnWaq(), activations=Sign()),
        _cifar("cifar10-vgg5-float", 8, 5e-3, "vgg", VGG),
        _cifar("cifar10-vgg5-mdtanhs", 9, 5e-3, "vgg", VGG, weights=MdTanhS(), scale=WIDE),
        # Without augmentation it learns its training images far better.
        _cifar(
            "cifar10-vgg5-bnn-waq",
            9,
            5e-3,
            "vgg",
            AFFINE,
            weights=BnnWaq(),
            activations=Sign(),
            augment="none",
            scale=WIDE,
        ),
        _cifar("cifar10-resnet8-float", 9, 5e-3, "resnet-8", RES),
        _cifar("cifar10-resnet8-mdtanhs", 9, 5e-3, "resnet-8", RES, weights=MdTanhS(), scale=NARROW),
        _cifar(
            "cifar10-resnet8-bnn-waq",
            10,
            5e-3,
            "resnet-8",
            {**RES, "affine": True},
            weights=BnnWaq(),
            activations=Sign(),
            augment="none",
            scale=NARROW,
        ),
        _raw("cifar10-vgg5-mdtanhs-raw", "vgg", VGG, WIDE, weights=MdTanhS()),
        _raw("cifar10-vgg5-bnn-waq-raw", "vgg", AFFINE, WIDE, weights=BnnWaq(), activations=Sign()),
        _raw("cifar10-resnet8-mdtanhs-raw", "resnet-8", RES, NARROW, weights=MdTanhS()),
        _raw(
            "cifar10-resnet8-bnn-waq-raw",
            "resnet-8",
            {**RES, "affine": True},
            NARROW,
            weights=BnnWaq(),
            activations=Sign(),
        ),
        _adversarial("cifar10-resnet8-float-adv", None, 1.0),
        _adversarial("cifar10-resnet8-bc-adv", BinaryConnect(), NARROW),
        _adversarial("cifar10-resnet8-gdtanh-adv", GdTanh(), NARROW),
        _adversarial("cifar10-resnet8-mdtanhs-adv", MdTanhS(), NARROW),
        _robust("mnist-madry-adv", madry(0.3, 0.1, 7).attack),
        # The same number of passes with another inner attack; Hns costs one for each class.
        _robust("mnist-madry-adv-pgd", _inner(7), epochs=3),
        _robust("mnist-madry-adv-hns", _inner(2, temperature=Hns()), epochs=3),
        _robust("mnist-madry-adv-gap", _inner(7, loss=log_odds, temperature=Gap()), epochs=3),
        _robust("mnist-madry-adv-pqgd", _inner(3, direction=Quantized(1000)), epochs=6),
        # The control of the one before: the sign in as many epochs of as many steps.
        _robust("mnist-madry-adv-pgd3", _inner(3), epochs=6),
        # About as many passes each: the Jacobian takes one for each class, of NJS on a quarter of the batch.
        _robust_digits("pgd", 7),
        _robust_digits("njs", 6, temperature=BatchNjs(16)),
        _robust_digits("hns", 2, temperature=Hns()),
        _robust("fashion-daa-adv", madry(0.2, 0.07, 7).attack, "daa-fashion", 4, data="fashion-mnist"),
        _cifar("cifar10-vgg5-bc", 9, 5e-3, "vgg", VGG, weights=BinaryConnect(), scale=WIDE),
        _cifar("cifar10-vgg5-gdtanh", 9, 5e-3, "vgg", VGG, weights=GdTanh(), scale=WIDE),
        _mnist("fashion-lenet-float", 4, 3e-3, data="fashion-mnist", options=FASHION),
        _mnist("fashion-lenet-mdtanhs", 8, 4e-3, weights=MdTanhS(), data="fashion-mnist", options=FASHION),
        _cifar("cifar10-vgg5-xnor", 8, 5e-3, "vgg", VGG, weights=Xnor(), skip=EDGES),
        _cifar("cifar10-vgg5-ternary", 8, 5e-3, "vgg", VGG, weights=Ternary(), skip=EDGES),
        _cifar("cifar10-vgg5-uniform4", 8, 5e-3, "vgg", VGG, weights=Uniform(4), activations=UniformActivation(4)),
        _cifar("cifar100-vgg5-float", 9, 5e-3, "vgg", {**VGG, "classes": 100}, data="cifar100"),
        _cifar(
            "cifar100-vgg5-mdtanhs",
            9,
            5e-3,
            "vgg",
            {**VGG, "classes": 100},
            weights=MdTanhS(),
            data="cifar100",
            scale=WIDE,
        ),
        *(
            _deep(data, kind, weights)
            for data in ("cifar10", "cifar100")
            for kind in DEEP
            for weights in (None, MdTanhS())
        ),
        _deep("cifar10", "densenet", BnnWaq(), activations=Sign()),
        # Its loss sees a part of its logits to the end: a narrower one hardly learned on its logits as they are.
        _cifar(
            "cifar10-resnet50-bnn-waq",
            10,
            2e-3,
            "resnet-50",
            {"width": 0.25, "stem_stride": 2, "affine": True},
            weights=BnnWaq(),
            activations=Sign(),
            augment="none",
            scale=NARROW,
        ),
        _narrow_residual(None),
        _narrow_residual(MdTanhS()),
        _cifar("cifar10-wide-adv", 6, 5e-3, "madry-wide", {"width": 0.1, "units": 2}, adversarial=madry()),
        *CERTIFIABLE,
        *FULL,
    )
}


def recipe(name: str, named: Finder | None = None) -> Recipe:
    """Return the recipe of a name, or of a YAML file.

    Arguments:
        name: The name, or the file's path.
        named: Returns the attack of a name, as in `read_recipe`.

    Raises:
        InputError: If nothing has the name, or the file is not a recipe.

    """
    if name.endswith((".yaml", ".yml")):
        return read_recipe(name, named)
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]
