"""MobileNet-V2 for 32×32 images."""

from torch import Tensor, nn

from quantattack.nn.layers import CIFAR, Normalize

# Expansion, channels, blocks, stride of the first block.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class Inverted(nn.Module):
    """A widening 1×1, a depthwise 3×3 and a narrowing 1×1 convolution, and a shortcut where the size stays.

    Arguments:
        before: Channels that come in.
        after: Channels that go out.
        expansion: Factor of the channels inside.
        stride: Of the 3×3 convolution.
        affine: Whether the BatchNorms have parameters.

    """

    def __init__(self, before: int, after: int, expansion: int, stride: int, affine: bool) -> None:
        super().__init__()
        inside = before * expansion
        self.conv1 = nn.Conv2d(before, inside, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inside, affine=affine)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False)
        self.bn2 = nn.BatchNorm2d(inside, affine=affine)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(inside, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after, affine=affine)
        self.shortcut = _shortcut(before, after, affine) if stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))
        result: Tensor = self.bn3(self.conv3(out))
        return result if self.shortcut is None else result + self.shortcut(x)


class MobileNetV2(nn.Module):
    """MobileNet-V2 with strides for 32×32 images.

    Source: Sandler, Howard, Zhu, Zhmoginov & Chen 2018, https://arxiv.org/abs/1801.04381

    Arguments:
        width: Factor of every width.
        classes: Number of logits.
        affine: Whether the BatchNorms have parameters.
        stem_stride: Stride of the first convolution.

    """

    def __init__(self, width: float = 1.0, classes: int = 10, affine: bool = False, stem_stride: int = 1) -> None:
        super().__init__()
        before, last = round(32 * width), round(1280 * width)
        self.normalize = Normalize(**CIFAR)
        self.conv1 = nn.Conv2d(3, before, 3, stem_stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(before, affine=affine)
        self.relu1 = nn.ReLU()
        layers: list[nn.Module] = []
        for expansion, channels, number, stride in STAGES:
            after = round(channels * width)
            for index in range(number):
                layers.append(Inverted(before, after, expansion, 1 if index else stride, affine))
                before = after
        self.layers = nn.Sequential(*layers)
        self.conv2 = nn.Conv2d(before, last, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(last, affine=affine)
        self.relu2 = nn.ReLU()
        self.linear = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(self.relu1(self.bn1(self.conv1(self.normalize(x)))))
        x = self.relu2(self.bn2(self.conv2(x)))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _shortcut(before: int, after: int, affine: bool) -> nn.Module:
    if before == after:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after, affine=affine))
