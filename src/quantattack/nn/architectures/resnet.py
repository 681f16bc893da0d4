"""Residual networks for 32×32 images, with the names and shapes of the networks of paper A."""

from collections.abc import Sequence

from torch import Tensor, nn

from quantattack.nn.layers import CIFAR, Normalize


class Basic(nn.Module):
    """Two 3×3 convolutions and a shortcut.

    Arguments:
        before: Channels that come in.
        planes: Channels inside, and that go out.
        stride: Of the first convolution.
        affine: Whether the BatchNorms have parameters.

    """

    expansion = 1

    def __init__(self, before: int, planes: int, stride: int, affine: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes, affine=affine)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes, affine=affine)
        self.shortcut = _shortcut(before, planes, stride, affine)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        result: Tensor = self.relu2(out + self.shortcut(x))
        return result


class Bottleneck(nn.Module):
    """A 1×1, a 3×3 and a 1×1 convolution and a shortcut.

    Arguments:
        before: Channels that come in.
        planes: Channels inside; four times as many go out.
        stride: Of the 3×3 convolution.
        affine: Whether the BatchNorms have parameters.

    """

    expansion = 4

    def __init__(self, before: int, planes: int, stride: int, affine: bool) -> None:
        super().__init__()
        after = 4 * planes
        self.conv1 = nn.Conv2d(before, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes, affine=affine)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes, affine=affine)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(planes, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after, affine=affine)
        self.shortcut = _shortcut(before, after, stride, affine)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))
        result: Tensor = self.relu3(self.bn3(self.conv3(out)) + self.shortcut(x))
        return result


class ResNet(nn.Module):
    """A residual network with a 3×3 stem, a mean over positions and a linear head.

    Source: He, Zhang, Ren & Sun 2016, https://arxiv.org/abs/1512.03385

    Arguments:
        block: ``Basic`` or ``Bottleneck``.
        blocks: Number of blocks in each stage.
        planes: Channels of each stage.
        classes: Number of logits.
        affine: Whether the BatchNorms have parameters.
        pool: Side of the windows that the head's means are taken over.
        stem_stride: Stride of the stem.
        mean: Mean of each channel's pixels.
        std: Deviation of each channel's pixels.

    """

    def __init__(
        self,
        block: type[Basic] | type[Bottleneck],
        blocks: Sequence[int],
        planes: Sequence[int],
        classes: int = 10,
        affine: bool = False,
        pool: int = 4,
        stem_stride: int = 1,
        mean: Sequence[float] = CIFAR["mean"],
        std: Sequence[float] = CIFAR["std"],
    ) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.conv1 = nn.Conv2d(len(mean), planes[0], 3, stem_stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes[0], affine=affine)
        self.relu1 = nn.ReLU()
        before, self.stages = planes[0], len(planes)
        for index, (number, width) in enumerate(zip(blocks, planes, strict=True)):
            stage = _stage(block, before, width, number, 2 if index else 1, affine)
            self.add_module(f"layer{index + 1}", stage)
            before = width * block.expansion
        self.pool = nn.AvgPool2d(pool)
        self.linear = nn.Linear(before * _means(stem_stride, len(planes), pool), classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.bn1(self.conv1(self.normalize(x))))
        for index in range(self.stages):
            x = self.get_submodule(f"layer{index + 1}")(x)
        logits: Tensor = self.linear(self.pool(x).flatten(1))
        return logits


def resnet18(width: float = 1.0, classes: int = 10, affine: bool = False) -> ResNet:
    """ResNet-18: four stages of two blocks, of 64 to 512 channels times ``width``."""
    return ResNet(Basic, (2, 2, 2, 2), _planes(width), classes, affine)


def resnet50(width: float = 1.0, classes: int = 10, affine: bool = False, stem_stride: int = 1) -> ResNet:
    """ResNet-50: four stages of bottlenecks, of 64 to 512 channels times ``width``, four times as many between them.

    The head's mean is over all positions that are left: 4×4, or 2×2 behind a stem of stride 2.
    """
    pool = 4 // stem_stride
    return ResNet(Bottleneck, (3, 4, 6, 3), _planes(width), classes, affine, pool, stem_stride)


def resnet8(width: float = 1.0, classes: int = 10, affine: bool = False) -> ResNet:
    """A small residual network: a stem of stride 2, three stages of one block, a head over 512 features per ``width``.

    The stages have 32, 64 and 128 channels times ``width``; the head's mean is over windows of 2×2.
    """
    planes = [round(size * width) for size in (32, 64, 128)]
    return ResNet(Basic, (1, 1, 1), planes, classes, affine, pool=2, stem_stride=2)


def _planes(width: float) -> list[int]:
    return [round(size * width) for size in (64, 128, 256, 512)]


def _stage(
    block: type[Basic] | type[Bottleneck], before: int, planes: int, number: int, stride: int, affine: bool
) -> nn.Sequential:
    after = planes * block.expansion
    rest = [block(after, planes, 1, affine) for _ in range(number - 1)]
    return nn.Sequential(block(before, planes, stride, affine), *rest)


def _means(stem_stride: int, stages: int, pool: int) -> int:
    """Return how many means of each channel the head sees, of 32×32 images halved from stage to stage."""
    side: int = 32 // stem_stride // 2 ** (stages - 1)
    return (side // pool) ** 2


def _shortcut(before: int, after: int, stride: int, affine: bool) -> nn.Sequential:
    if stride == 1 and before == after:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after, affine=affine))
