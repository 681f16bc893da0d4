"""The wide residual network of the Madry CIFAR-10 challenge."""

from torch import Tensor, nn
from torch.nn.functional import pad

SLOPE = 0.1


class Standardize(nn.Module):
    """Each image to zero mean and unit deviation: ``(x - mean) / max(std, 1 / sqrt(d))``, in units of the pixel range.

    The published network takes pixels from 0 to 255, so the floor is 255 times smaller here.
    """

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        mean, std = flat.mean(1), flat.std(1, correction=0)
        floor = 1 / (255 * flat.shape[1] ** 0.5)
        each = (-1, *(1,) * (x.ndim - 1))
        return (x - mean.view(each)) / std.clamp(min=floor).view(each)


class Unit(nn.Module):
    """A pre-activation unit; the shortcut pools over positions and pads channels with zeros on both sides.

    Arguments:
        before: Channels that come in.
        after: Channels that go out.
        stride: Of the first convolution.
        first: Whether the activation comes before the shortcut leaves.

    """

    def __init__(self, before: int, after: int, stride: int, first: bool) -> None:
        super().__init__()
        self.bn1 = _norm(before)
        self.relu1 = nn.LeakyReLU(SLOPE)
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn2 = _norm(after)
        self.relu2 = nn.LeakyReLU(SLOPE)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.first, self.sides = first, (after - before) // 2

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu1(self.bn1(x))
        kept = self.pool(active if self.first else x)
        out: Tensor = self.conv2(self.relu2(self.bn2(self.conv1(active))))
        return out + pad(kept, (0, 0, 0, 0, self.sides, self.sides))


class WideResNet(nn.Module):
    """The w32-10 network: three groups of five units, 160, 320 and 640 channels.

    Source: Madry, Makelov, Schmidt, Tsipras & Vladu 2018, https://arxiv.org/abs/1706.06083

    Arguments:
        width: Factor of the groups' channels.
        classes: Number of logits.
        units: Units in each group.

    """

    def __init__(self, width: float = 1.0, classes: int = 10, units: int = 5) -> None:
        super().__init__()
        self.standardize = Standardize()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        before, layers = 16, []
        for group, size in enumerate((160, 320, 640)):
            # Even, so that the shortcut's zeros split evenly on both sides.
            after = 2 * round(size * width / 2)
            for index in range(units):
                stride = 2 if group and not index else 1
                layers.append(Unit(before, after, stride, first=not group and not index))
                before = after
        self.units = nn.Sequential(*layers)
        self.bn = _norm(before)
        self.relu = nn.LeakyReLU(SLOPE)
        self.linear = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn(self.units(self.conv1(self.standardize(x)))))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _norm(features: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(features, eps=1e-3, momentum=0.1)
