"""DenseNet-121 for 32×32 images."""

import torch
from torch import Tensor, nn

from quantattack.nn.layers import CIFAR, Normalize


class Dense(nn.Module):
    """Two normalized convolutions whose output is concatenated with the input.

    Arguments:
        before: Channels that come in.
        growth: Channels that are added.
        affine: Whether the BatchNorms have parameters.

    """

    def __init__(self, before: int, growth: int, affine: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before, affine=affine)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(before, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth, affine=affine)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.relu2(self.bn2(self.conv1(self.relu1(self.bn1(x))))))
        return torch.cat([out, x], 1)


class DenseNet(nn.Module):
    """DenseNet-121: blocks of 6, 12, 24 and 16 dense units with halving transitions between them.

    Source: Huang, Liu, van der Maaten & Weinberger 2017, https://arxiv.org/abs/1608.06993

    Arguments:
        width: Factor of the growth of 32 channels.
        classes: Number of logits.
        affine: Whether the BatchNorms have parameters.
        stem_stride: Stride of the first convolution.

    """

    def __init__(self, width: float = 1.0, classes: int = 10, affine: bool = False, stem_stride: int = 1) -> None:
        super().__init__()
        growth = round(32 * width)
        self.normalize = Normalize(**CIFAR)
        self.conv1 = nn.Conv2d(3, 2 * growth, 3, stem_stride, 1, bias=False)
        channels, stages = 2 * growth, []
        for index, units in enumerate((6, 12, 24, 16)):
            stages += [Dense(channels + i * growth, growth, affine) for i in range(units)]
            channels += units * growth
            if index < 3:
                stages.append(_transition(channels, channels // 2, affine))  # type: ignore[arg-type]
                channels //= 2
        self.stages = nn.Sequential(*stages)
        self.bn = nn.BatchNorm2d(channels, affine=affine)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn(self.stages(self.conv1(self.normalize(x)))))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _transition(before: int, after: int, affine: bool) -> nn.Module:
    convolution = nn.Conv2d(before, after, 1, bias=False)
    return nn.Sequential(nn.BatchNorm2d(before, affine=affine), nn.ReLU(), convolution, nn.AvgPool2d(2))
