"""A ResNet that normalizes its own pixels, so that a radius is one of pixels: python resnet_normalized.py [IMAGES]."""

import sys

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

import quantattack as qa


class Block(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        inner = relu(self.norms[0](self.first(x)))
        return relu(x + self.norms[1](self.second(inner)))


class Normalized(nn.Module):
    """A network on pixels in [0, 1]: attacks see the pixels, the network their normalized values."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", images.mean((0, 2, 3), keepdim=True))
        self.register_buffer("std", images.std((0, 2, 3), keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.network((x - self.mean) / self.std)


torch.manual_seed(0)
images, labels = qa.load_data("digits", split="train")
ends = nn.Conv2d(1, 8, 3, padding=1), nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(128, 10))
model = Normalized(nn.Sequential(ends[0], Block(8), Block(8), ends[1]), images)
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
for batch in torch.arange(20 * 128).split(128):
    optimizer.zero_grad()
    cross_entropy(model(images[batch % len(images)]), labels[batch % len(images)]).backward()
    optimizer.step()

count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
tests, answers = (part[:count] for part in qa.load_data("digits"))
threats = [qa.Threat("linf", radius) for radius in (0.05, 0.1)]
for record in qa.evaluate(model.eval(), tests, answers, lambda threat: qa.apgd(threat, steps=10), threats):
    print(f"radius {record.threat['radius']}: clean {record.clean:.2f}, robust {record.worst_case:.2f}")
