"""The papers' networks at full width, with the papers' schedules, for a GPU."""

from collections.abc import Mapping
from typing import Any

from quantattack.nn.quantizers import BinaryConnect, BnnWaq, GdTanh, MdTanhS, Quantizer, Sign, Ternary, Xnor
from quantattack.training.runs import Recipe, madry
from quantattack.training.schedules import Beta, Constant, Growth, OneCycle, Steps
from quantattack.training.settings import Settings

# Paper A's training, of 100,000 updates in batches of 128: 256 passes over 50,000 images.
PASSES = 256


def _published(name: str, architecture: str, factor: float, beta: Beta, **parts: Any) -> Recipe:
    """A full-width network with MD-tanh-S's published schedule: Adam at 1e-3, falling every 30,000 updates."""
    rate = Steps(1e-3, factor, 30_000)
    training = Settings(epochs=PASSES, rate=rate, beta=beta, augment="crop-flip", recalibrate=50_000)
    chosen: dict[str, Any] = {"data": "cifar10", "weights": MdTanhS(), "half": False} | parts
    return Recipe(name=name, architecture=architecture, training=training, **chosen)


def _reference(name: str, architecture: str, **parts: Any) -> Recipe:
    """A full-width float network: SGD with momentum 0.9 from 0.1, a tenth of it every 30,000 updates."""
    training = Settings(
        epochs=PASSES, optimizer="sgd", rate=Steps(0.1, 0.1, 30_000), weight_decay=1e-4, augment="crop-flip"
    )
    chosen: dict[str, Any] = {"data": "cifar10", "half": False} | parts
    return Recipe(name=name, architecture=architecture, training=training, **chosen)


def _waq(name: str, architecture: str, **parts: Any) -> Recipe:
    """A network of binarized weights and activations at full width: Adam from 5e-3, batches of 256."""
    training = Settings(epochs=250, batch_size=256, rate=OneCycle(5e-3, 0.02), augment="crop-flip", recalibrate=50_000)
    chosen: dict[str, Any] = {"weights": BnnWaq(), "activations": Sign(), "half": False} | parts
    return Recipe(name=name, data="cifar10", architecture=architecture, training=training, **chosen)


def _skipped(name: str, weights: Quantizer) -> Recipe:
    """A VGG-16 whose first and last layer stay float, as ImageNet's binarized networks have them."""
    edges = ("features.0", "classifier.fc3")
    return _published(name, "vgg", 0.2, Growth(1.2, 2000), weights=weights, skip=edges)


def _challenge(name: str, data: str, architecture: str, training: Settings, inner: tuple[float, float, int]) -> Recipe:
    """A network of the Madry challenges, or of DAA, trained as they were."""
    radius, size, steps = inner
    adversary = madry(radius, size, steps)
    return Recipe(name=name, data=data, architecture=architecture, training=training, adversarial=adversary, half=False)


# Of the paper's depths: the factor of the rate and the growth of the temperature, by data set and architecture.
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
    """A float network and its twin of binary weights; without a published schedule, by that of ResNet-18."""
    architecture, factor, beta = SCHEDULES[data, kind]
    parts: dict[str, Any] = {"data": data} | ({"options": {"classes": 100}} if data == "cifar100" else {})
    twin = _published(f"{data}-{kind}-full-mdtanhs", architecture, factor, beta, **parts)
    return _reference(f"{data}-{kind}-full-float", architecture, **parts), twin


ADVERSARIAL: Mapping[str, Quantizer] = {"bc": BinaryConnect(), "gdtanh": GdTanh(), "mdtanhs": MdTanhS()}
CHALLENGE = Settings(epochs=83, batch_size=50, rate=Constant(1e-4), recalibrate=0)
WIDE = Settings(
    epochs=205, optimizer="sgd", rate=Steps(0.1, 0.1, 40_000), weight_decay=2e-4, augment="crop-flip", recalibrate=0
)
FULL: tuple[Recipe, ...] = (
    *(recipe for data, kind in SCHEDULES for recipe in _both(data, kind)),
    _reference("cifar10-resnet18-full-float-adv", "resnet-18", adversarial=madry()),
    *(
        _published(
            f"cifar10-resnet18-full-{name}-adv", "resnet-18", 0.3, Growth(1.02, 200), weights=one, adversarial=madry()
        )
        for name, one in ADVERSARIAL.items()
    ),
    _waq("cifar10-resnet18-full-bnn-waq", "resnet-binary"),
    _waq("cifar10-vgg16-full-bnn-waq", "vgg-binary"),
    _waq("cifar10-resnet50-full-bnn-waq", "resnet-50", options={"affine": True}),
    _waq("cifar10-densenet121-full-bnn-waq", "densenet-121", options={"affine": True}),
    _skipped("cifar10-vgg16-full-xnor", Xnor()),
    _skipped("cifar10-vgg16-full-ternary", Ternary()),
    _challenge("mnist-madry-full-adv", "mnist", "madry-mnist", CHALLENGE, (0.3, 0.01, 40)),
    _challenge("fashion-daa-full-adv", "fashion-mnist", "daa-fashion", CHALLENGE, (0.2, 0.01, 40)),
    _challenge("cifar10-madry-full-adv", "cifar10", "madry-wide", WIDE, (8 / 255, 2 / 255, 7)),
)
