"""VGG networks for 32×32 images."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from quantattack.errors import unknown
from quantattack.nn.layers import CIFAR, Normalize

# Widths of 3x3 convolutions; M is a pooling.
STAGES: Mapping[int, str] = {
    5: "64 M 64 M 128 128 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
}


class Vgg(nn.Module):
    """VGG with BatchNorm before every activation and none after the last layer.

    Depth 16 has the names and shapes of the networks of paper A (Gupta & Ajanthan 2022,
    https://arxiv.org/abs/2003.13511), with two hidden layers of 512; depth 5 has four convolutions and a head over 2048
    features, and pools before it normalizes.

    Source: Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556

    Arguments:
        depth: 5 or 16.
        width: Factor of every width.
        classes: Number of logits.
        affine: Whether the BatchNorms have parameters.
        mean: Mean of each channel's pixels.
        std: Deviation of each channel's pixels.

    """

    def __init__(
        self,
        depth: int = 16,
        width: float = 1.0,
        classes: int = 10,
        affine: bool = False,
        mean: Sequence[float] = CIFAR["mean"],
        std: Sequence[float] = CIFAR["std"],
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise unknown("depth of vgg", str(depth), map(str, STAGES))
        self.normalize = Normalize(mean, std)
        self.features, last = _features(depth, width, affine)
        self.classifier = nn.Sequential(_head(last, classes, affine) if depth == 16 else _flat(16 * last, classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(self.normalize(x)).flatten(1))
        return logits


def _features(depth: int, width: float, affine: bool) -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    before = 3
    stages = STAGES[depth].split()
    for stage, following in zip(stages, [*stages[1:], ""], strict=True):
        if stage == "M":
            layers += [nn.MaxPool2d(2)] if depth == 16 else []
            continue
        after = round(int(stage) * width)
        pool = [nn.MaxPool2d(2)] if following == "M" and depth != 16 else []
        layers += [nn.Conv2d(before, after, 3, padding=1), *pool, nn.BatchNorm2d(after, affine=affine), nn.ReLU()]
        before = after
    return nn.Sequential(*layers), before


def _head(features: int, classes: int, affine: bool) -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        fc1=nn.Linear(features, features),
        bn1=nn.BatchNorm1d(features, affine=affine),
        relu1=nn.ReLU(),
        fc2=nn.Linear(features, features),
        bn2=nn.BatchNorm1d(features, affine=affine),
        relu2=nn.ReLU(),
        fc3=nn.Linear(features, classes),
    )


def _flat(features: int, classes: int) -> OrderedDict[str, nn.Module]:
    return OrderedDict(fc=nn.Linear(features, classes))
