"""The papers' networks, and which network of the zoo takes the place of each."""

from collections.abc import Mapping
from dataclasses import dataclass

DATA: Mapping[str, str] = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
}


@dataclass(frozen=True)
class Role:
    """One of a paper's networks.

    Arguments:
        kind: REF, BNN-WQ, BNN-WAQ, BC or GD-tanh, with a star where trained adversarially; or the paper's own name.
        architecture: As the paper calls it.
        data: Name of the data set.
        small: Networks that stand for it at a reduced scale, the first one that is there.
        full: The same at the paper's own scale.
        difference: What is other about the small one.
    """

    kind: str
    architecture: str
    data: str
    small: tuple[str, ...]
    full: tuple[str, ...]
    difference: str

    @property
    def label(self) -> str:
        return f"{self.kind}, {self.architecture}, {DATA[self.data]}"

    def candidates(self, scale: str) -> tuple[str, ...]:
        """Return the networks that may take its place at a scale, the best first."""
        return self.full if scale == "full" else self.small


SUFFIX: Mapping[str, str] = {
    "REF": "float",
    "BNN-WQ": "mdtanhs",
    "BNN-WAQ": "bnn-waq",
    "BC": "bc",
    "GD-tanh": "gdtanh",
    "XNOR": "xnor",
    "TWN": "ternary",
}
STAND_INS: Mapping[str, tuple[str, str, str]] = {
    "ResNet-18": ("resnet8", "resnet18-full", "3 residual blocks of 24 to 96 channels in place of 8 of 64 to 512"),
    "VGG-16": ("vgg5", "vgg16-full", "5 weight layers in place of 16"),
    "ResNet-50": ("resnet50", "resnet50-full", "an eighth of the width"),
    "DenseNet-121": ("densenet", "densenet121-full", "a quarter of the growth"),
    "MobileNet-V2": ("mobilenet", "mobilenetv2-full", "half the width"),
}


def role(kind: str, architecture: str, data: str = "cifar10") -> Role:
    """Return a network of Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511."""
    small, full, difference = STAND_INS[architecture]
    suffix = SUFFIX[kind.rstrip("*")] + "-adv" * kind.endswith("*")
    names = [f"{data}-{part}-{suffix}" for part in (small, full)]
    return Role(kind, architecture, data, (names[0],), (names[1],), difference)


MADRY_MNIST = Role(
    "adversarially trained",
    "Madry's network",
    "mnist",
    ("mnist-madry-adv",),
    ("mnist-madry-full-adv",),
    "half the width, a few epochs with 7 steps in place of 100,000 updates with 40; the paper's is the secret one",
)
DAA_FASHION = Role(
    "adversarially trained",
    "the network of DAA",
    "fashion-mnist",
    ("fashion-daa-adv",),
    ("fashion-daa-full-adv",),
    "half the width, a few epochs with 7 steps in place of 100,000 updates with 40",
)
MADRY_CIFAR = Role(
    "adversarially trained",
    "Madry's w32-10",
    "cifar10",
    ("cifar10-wide-adv", "cifar10-resnet8-float-adv"),
    ("cifar10-madry-full-adv",),
    "a tenth of the width, 2 units a group in place of 5, 6 epochs with 7 steps in place of 80,000 updates with 10; "
    "where it is missing, a small residual network of another kind",
)
