"""Plain stacks for small images: a few convolutions, then linear layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quantattack.nn.layers import Normalize


class Small(nn.Module):
    """Two 3×3 convolutions, one pooling and a linear head, for small images.

    Without ``head_norm`` the logits are the head's raw sums, whose size grows with its features: with binary weights
    that is what saturates the softmax.

    Arguments:
        shape: Channels, height and width of an image.
        classes: Number of logits.
        width: Channels of the first convolution; the second has twice as many.
        affine: Whether the BatchNorms have parameters.
        head_norm: Whether a BatchNorm follows the last layer.

    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        classes: int = 10,
        width: int = 32,
        affine: bool = False,
        head_norm: bool = False,
    ) -> None:
        super().__init__()
        channels, height, across = shape
        self.normalize = Normalize([0.5] * channels, [0.5] * channels)
        self.features = nn.Sequential(
            *_unit(channels, width, affine),
            *_unit(width, 2 * width, affine),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(2 * width * (height // 2) * (across // 2), classes)
        self.head_norm = nn.BatchNorm1d(classes, affine=affine) if head_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head_norm(self.head(self.features(self.normalize(x))))
        return logits


def _unit(before: int, after: int, affine: bool) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after, affine=affine), nn.ReLU()


class Coarse(Small):
    """A ``Small`` network of the means over windows of 2×2 pixels, for larger images.

    Arguments:
        shape: Channels, height and width of an image.
        classes: Number of logits.
        width: Channels of the first convolution; the second has twice as many.

    """

    def __init__(self, shape: Sequence[int] = (1, 28, 28), classes: int = 10, width: int = 4) -> None:
        channels, height, across = shape
        super().__init__((channels, height // 2, across // 2), classes, width)
        self.shrink = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.shrink(x))


class Perceptron(nn.Module):
    """One hidden layer with BatchNorm, and a linear head.

    Arguments:
        shape: Channels, height and width of an image.
        classes: Number of logits.
        hidden: Units of the hidden layer.

    """

    def __init__(self, shape: Sequence[int] = (1, 8, 8), classes: int = 10, hidden: int = 32) -> None:
        super().__init__()
        channels, height, across = shape
        self.normalize = Normalize([0.5] * channels, [0.5] * channels)
        self.features = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * height * across, hidden), nn.BatchNorm1d(hidden, affine=False), nn.ReLU()
        )
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(self.normalize(x)))
        return logits


class LeNet(nn.Module):
    """Two 5×5 convolutions with pooling and two linear layers, BatchNorm before every activation.

    Source: the size is that of LeCun, Bottou, Bengio & Haffner 1998, http://yann.lecun.com/exdb/publis/pdf/lecun-01a.pdf

    Arguments:
        shape: Channels, height and width of an image.
        classes: Number of logits.
        width: Factor of every width: convolutions of 32 and 64 channels, a hidden layer of 1024.
        affine: Whether the BatchNorms have parameters.
        mean: Mean of each channel's pixels.
        std: Deviation of each channel's pixels.

    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        classes: int = 10,
        width: float = 1.0,
        affine: bool = False,
        mean: Sequence[float] = (0.1307,),
        std: Sequence[float] = (0.3081,),
    ) -> None:
        super().__init__()
        channels, height, across = shape
        a, b, hidden = (round(size * width) for size in (32, 64, 1024))
        self.normalize = Normalize(mean, std)
        self.features = nn.Sequential(
            *_pooled(channels, a, affine), *_pooled(a, b, affine), nn.Flatten(),
            nn.Linear(b * (height // 4) * (across // 4), hidden), nn.BatchNorm1d(hidden, affine=affine), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(self.normalize(x)))
        return logits


def _pooled(before: int, after: int, affine: bool) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(before, after, 5, padding=2)
    return convolution, nn.MaxPool2d(2), nn.BatchNorm2d(after, affine=affine), nn.ReLU()


class MadryMnist(nn.Module):
    """The MNIST network of the Madry challenge: two 5×5 convolutions with pooling and a hidden layer of 1024.

    Source: Madry, Makelov, Schmidt, Tsipras & Vladu 2018, https://arxiv.org/abs/1706.06083

    Arguments:
        width: Factor of every width: convolutions of 32 and 64 channels, a hidden layer of 1024.
        classes: Number of logits.

    """

    def __init__(self, width: float = 1.0, classes: int = 10) -> None:
        super().__init__()
        a, b, hidden = (round(size * width) for size in (32, 64, 1024))
        self.conv1 = nn.Conv2d(1, a, 5, padding=2)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(a, b, 5, padding=2)
        self.relu2 = nn.ReLU()
        self.fc1 = nn.Linear(49 * b, hidden)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(hidden, classes)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu1(self.conv1(x)))
        x = self.pool(self.relu2(self.conv2(x)))
        logits: Tensor = self.fc2(self.relu3(self.fc1(x.flatten(1))))
        return logits


class Affine(nn.Module):
    """A factor and a shift for each feature: ``gamma x / sqrt(1 + 1e-3) + beta``.

    It is a BatchNorm whose running statistics keep their initial values.

    Arguments:
        features: Number of features.

    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(features))
        self.beta = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = self.gamma * x / 1.001**0.5
        return scaled + self.beta


class DaaFashion(nn.Module):
    """The Fashion-MNIST network of distributionally adversarial attack: four convolutions and a hidden layer.

    Source: Zheng, Chen & Ren 2019, https://arxiv.org/abs/1808.05537

    Arguments:
        width: Factor of every width: convolutions of 32, 32, 64 and 64 channels, a hidden layer of 1024.
        classes: Number of logits.

    """

    def __init__(self, width: float = 1.0, classes: int = 10) -> None:
        super().__init__()
        a, b, hidden = (round(size * width) for size in (32, 64, 1024))
        self.features = nn.Sequential(
            nn.Conv2d(1, a, 5, padding=2), nn.ReLU(), nn.Conv2d(a, a, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.Conv2d(b, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(49 * b, hidden), nn.ReLU(), Affine(hidden),
        )  # fmt: skip
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits
