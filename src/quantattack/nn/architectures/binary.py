"""The networks made for binarized weights and activations, without BatchNorm after the last layer."""

from torch import Tensor, nn

from quantattack.nn.layers import CIFAR, Normalize, Slot


class Block(nn.Module):
    """Two 3×3 convolutions of binarized inputs; the residual stays real.

    Arguments:
        before: Channels that come in.
        after: Channels that go out.
        stride: Of the first convolution; a shortcut convolution follows from it.
        finish: Whether BatchNorm and Hardtanh follow the sum.

    """

    def __init__(self, before: int, after: int, stride: int, finish: bool = True) -> None:
        super().__init__()
        self.sign1, self.sign2 = Slot(), Slot()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.tanh1 = nn.Hardtanh()
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.downsample = (
            nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
            if stride != 1 or before != after
            else None
        )
        self.bn2 = nn.BatchNorm2d(after)
        self.tanh2 = nn.Hardtanh()
        self.finish = finish

    def forward(self, x: Tensor) -> Tensor:
        binary = self.sign1(x)
        out = self.conv2(self.sign2(self.tanh1(self.bn1(self.conv1(binary)))))
        out = out + (x if self.downsample is None else self.downsample(binary))
        result: Tensor = self.tanh2(self.bn2(out)) if self.finish else out
        return result


class ResNetBinary(nn.Module):
    """The residual network for binarized weights and activations: 14 layers, 80 to 320 channels.

    Paper A (Gupta & Ajanthan 2022, https://arxiv.org/abs/2003.13511) leaves out the BatchNorm that the original has
    after its last layer; so does this.

    Source: Hubara, Courbariaux, Soudry, El-Yaniv & Bengio 2016, https://arxiv.org/abs/1602.02830

    Arguments:
        width: Factor of every width.
        classes: Number of logits.

    """

    def __init__(self, width: float = 1.0, classes: int = 10) -> None:
        super().__init__()
        a, b, c = (round(size * width) for size in (80, 160, 320))
        self.normalize = Normalize(**CIFAR)
        self.conv1 = nn.Conv2d(3, a, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(a)
        self.tanh1 = nn.Hardtanh()
        self.layer1 = nn.Sequential(Block(a, a, 1), Block(a, a, 1))
        self.layer2 = nn.Sequential(Block(a, b, 2), Block(b, b, 1))
        self.layer3 = nn.Sequential(Block(b, c, 2), Block(c, c, 1, finish=False))
        self.avgpool = nn.AvgPool2d(8)
        self.bn2 = nn.BatchNorm1d(c)
        self.tanh2 = nn.Hardtanh()
        self.sign2 = Slot()
        self.fc = nn.Linear(c, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tanh1(self.bn1(self.conv1(self.normalize(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = self.tanh2(self.bn2(self.avgpool(x).flatten(1)))
        logits: Tensor = self.fc(self.sign2(x))
        return logits


class VggBinary(nn.Module):
    """The VGG for binarized weights and activations: six convolutions, three linear layers, no BatchNorm at the end.

    Source: Hubara, Courbariaux, Soudry, El-Yaniv & Bengio 2016, https://arxiv.org/abs/1602.02830

    Arguments:
        width: Factor of every width: convolutions of 384 to 1536 channels, hidden layers of 1024.
        classes: Number of logits.

    """

    def __init__(self, width: float = 1.0, classes: int = 10) -> None:
        super().__init__()
        a, b, c, d, hidden = (round(size * width) for size in (384, 768, 1536, 512, 1024))
        self.normalize = Normalize(**CIFAR)
        self.features = nn.Sequential(
            *_unit(3, a), *_unit(a, a, pool=True),
            *_unit(a, b), *_unit(b, b, pool=True),
            *_unit(b, c), *_unit(c, d, pool=True),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(16 * d, hidden), nn.BatchNorm1d(hidden), nn.Hardtanh(),
            nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.Hardtanh(),
            nn.Linear(hidden, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(self.normalize(x)).flatten(1))
        return logits


def _unit(before: int, after: int, pool: bool = False) -> tuple[nn.Module, ...]:
    pooling = (nn.MaxPool2d(2),) if pool else ()
    return nn.Conv2d(before, after, 3, padding=1), *pooling, nn.BatchNorm2d(after), nn.Hardtanh()
