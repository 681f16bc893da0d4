"""Recipes of the papers' networks at full width, with the published schedules, for a GPU."""

from collections.abc import Mapping
from typing import Any

from quantattack.nn.quantizers import BinaryConnect, BnnWaq, GdTanh, MdTanhS, Quantizer, Sign, Ternary, Xnor
from quantattack.training.schedules import Beta, Constant, Drops, Growth, Steps
from quantattack.training.settings import Settings
from quantattack.training.train import Recipe, madry

# MD-tanh-S is published with 100,000 updates of 128 images: 256 epochs of 50,000 images.
EPOCHS = 256


def _binary_weights(name: str, architecture: str, factor: float, beta: Beta, **options: Any) -> Recipe:
    """Return a recipe with MD-tanh-S's published schedule: Adam at 1e-3, times a factor every 30,000 updates."""
    rate = Steps(1e-3, factor, 30_000)
    training = Settings(epochs=EPOCHS, rate=rate, beta=beta, augment="crop-flip", recalibrate=50_000)
    chosen: dict[str, Any] = {"data": "cifar10", "weights": MdTanhS(), "half": False} | options
    return Recipe(name=name, architecture=architecture, training=training, **chosen)


def _float(name: str, architecture: str, **options: Any) -> Recipe:
    """Return a recipe of a float network: SGD with momentum 0.9 at 0.1, divided by 10 every 30,000 updates."""
    training = Settings(
        epochs=EPOCHS, optimizer="sgd", rate=Steps(0.1, 0.1, 30_000), weight_decay=1e-4, augment="crop-flip"
    )
    chosen: dict[str, Any] = {"data": "cifar10", "half": False} | options
    return Recipe(name=name, architecture=architecture, training=training, **chosen)


def _binary_network(name: str, architecture: str, rate: Drops, **options: Any) -> Recipe:
    """Return a recipe with binary weights and activations: Adam in batches of 256, at the published rates."""
    training = Settings(epochs=250, batch_size=256, rate=rate, augment="crop-flip", recalibrate=50_000)
    chosen: dict[str, Any] = {"weights": BnnWaq(), "activations": Sign(), "half": False} | options
    return Recipe(name=name, data="cifar10", architecture=architecture, training=training, **chosen)


def _float_ends(name: str, weights: Quantizer) -> Recipe:
    """Return a recipe of a VGG-16 whose first and last layer stay float, as is usual on ImageNet."""
    edges = ("features.0", "classifier.fc3")
    return _binary_weights(name, "vgg", 0.2, Growth(1.2, 2000), weights=weights, skip=edges)


def _challenge(name: str, data: str, architecture: str, training: Settings, pgd: tuple[float, float, int]) -> Recipe:
    """Return a recipe of a network of the Madry challenges or of DAA, trained as published."""
    radius, step_size, steps = pgd
    adversary = madry(radius, step_size, steps)
    return Recipe(name=name, data=data, architecture=architecture, training=training, adversarial=adversary, half=False)


def _by_epoch(rates: tuple[float, ...], epochs: tuple[int, ...]) -> Drops:
    """Return rates that change at some epochs of 50,000 images in batches of 256."""
    updates = 50_000 // 256
    return Drops(rates, tuple(epoch * updates for epoch in epochs))


# The rates of the code released with Hubara et al., 2016, https://arxiv.org/abs/1602.02830.
RESIDUAL_RATES = _by_epoch((5e-3, 1e-3, 5e-4, 1e-4, 1e-5), (101, 142, 184, 220))
PLAIN_RATES = _by_epoch((5e-3, 1e-3, 5e-4, 1e-4, 5e-5, 1e-5), (40, 80, 100, 120, 140))

# The published factor of the learning rate and growth of the temperature, by data set and architecture.
FASTER = Growth(1.2, 500)
SCHEDULES: Mapping[tuple[str, str], tuple[str, float, Beta]] = {
    ("cifar10", "resnet18"): ("resnet-18", 0.3, Growth(1.02, 200)),
    ("cifar10", "vgg16"): ("vgg", 0.2, Growth(1.2, 2000)),
    ("cifar10", "resnet50"): ("resnet-50", 0.3, Growth(1.02, 200)),
    ("cifar10", "densenet121"): ("densenet-121", 0.3, Growth(1.02, 200)),
    ("cifar10", "mobilenetv2"): ("mobilenet-v2", 0.3, Growth(1.02, 200)),
    ("cifar100", "resnet18"): ("resnet-18", 0.2, FASTER),
    ("cifar100", "vgg16"): ("vgg", 0.5, Growth(1.05, 500)),
    ("cifar100", "resnet50"): ("resnet-50", 0.2, FASTER),
    ("cifar100", "densenet121"): ("densenet-121", 0.2, FASTER),
    ("cifar100", "mobilenetv2"): ("mobilenet-v2", 0.2, FASTER),
}


def _both(data: str, kind: str) -> tuple[Recipe, Recipe]:
    """Return the recipes of a float network and of its twin with binary weights."""
    architecture, factor, beta = SCHEDULES[data, kind]
    options: dict[str, Any] = {"data": data} | ({"options": {"classes": 100}} if data == "cifar100" else {})
    twin = _binary_weights(f"{data}-{kind}-full-mdtanhs", architecture, factor, beta, **options)
    return _float(f"{data}-{kind}-full-float", architecture, **options), twin


ADVERSARIAL: Mapping[str, Quantizer] = {"bc": BinaryConnect(), "gdtanh": GdTanh(), "mdtanhs": MdTanhS()}
CHALLENGE = Settings(epochs=83, batch_size=50, rate=Constant(1e-4), recalibrate=0)
WIDE = Settings(
    epochs=205,
    optimizer="sgd",
    rate=Drops((0.1, 0.01, 0.001), (40_000, 60_000)),
    weight_decay=2e-4,
    augment="crop-flip",
    recalibrate=0,
)
RESNET18 = SCHEDULES["cifar10", "resnet18"]
FULL: tuple[Recipe, ...] = (
    *(recipe for data, kind in SCHEDULES for recipe in _both(data, kind)),
    _float("cifar10-resnet18-full-float-adv", "resnet-18", adversarial=madry()),
    *(
        _binary_weights(f"cifar10-resnet18-full-{name}-adv", *RESNET18, weights=weights, adversarial=madry())
        for name, weights in ADVERSARIAL.items()
    ),
    _binary_network("cifar10-resnet18-full-bnn-waq", "resnet-binary", RESIDUAL_RATES),
    _binary_network("cifar10-vgg16-full-bnn-waq", "vgg-binary", PLAIN_RATES),
    _binary_network("cifar10-resnet50-full-bnn-waq", "resnet-50", RESIDUAL_RATES, options={"affine": True}),
    _binary_network("cifar10-densenet121-full-bnn-waq", "densenet-121", RESIDUAL_RATES, options={"affine": True}),
    _float_ends("cifar10-vgg16-full-xnor", Xnor()),
    _float_ends("cifar10-vgg16-full-ternary", Ternary()),
    _challenge("mnist-madry-full-adv", "mnist", "madry-mnist", CHALLENGE, (0.3, 0.01, 40)),
    _challenge("fashion-daa-full-adv", "fashion-mnist", "daa-fashion", CHALLENGE, (0.2, 0.01, 40)),
    _challenge("cifar10-madry-full-adv", "cifar10", "madry-wide", WIDE, (8 / 255, 2 / 255, 10)),
)
