"""Small networks with known properties, for the tests."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from quantattack.data.digits import digits_table


class Linear(nn.Module):
    """Logits that are linear in the pixels: W x + b, for images of any shape.

    The rival's row points away from the true class's and the third row is the true class's own, so that every loss
    climbs along `ascent`, wherever it stands.  The bias keeps the true class, 0, ahead everywhere in the range.
    """

    def __init__(self, ascent: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([-ascent / 2, ascent / 2, -ascent / 2]))
        reach = float(ascent.abs().sum())
        self.bias = nn.Parameter(torch.tensor([reach + 1, 0.0, -1.0], dtype=ascent.dtype))

    @property
    def ascent(self) -> Tensor:
        return (self.weight[1] - self.weight[0]).detach()

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.bias


class Times(nn.Module):
    """A model whose logits are multiplied by a number."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * self.model(images)


def linear_model(seed: int, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Linear:
    """Return a linear model whose margin stays below 8, where cross entropy still has its direction in float32."""
    ascent = torch.randn(math.prod(shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Linear((3 * ascent / ascent.abs().sum()).to(dtype)).eval()


def relu_network(
    seed: int,
    shape: Sequence[int],
    classes: int = 10,
    width: int = 32,
    dtype: torch.dtype = torch.float32,
    gain: float = 3.0,
) -> nn.Sequential:
    """Return a random network of two hidden layers with ReLU, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (math.prod(shape), width, width, classes)
    layers: list[nn.Module] = [nn.Flatten()]
    for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        with torch.no_grad():
            weight = torch.randn(fan_out, fan_in, generator=generator, dtype=torch.float64)
            layer.weight.copy_(weight * math.sqrt(gain / fan_in))
            layer.bias.copy_(0.1 * torch.randn(fan_out, generator=generator, dtype=torch.float64))
        layers += [layer, nn.ReLU()] if number < 2 else [layer]
    return nn.Sequential(*layers).to(dtype).eval()


def digits_network(steps: int = 150) -> tuple[nn.Module, Tensor, Tensor]:
    """Train a network of one hidden layer on scikit-learn's digits; return it with 200 unseen images and labels."""
    table = digits_table()
    pixels = torch.from_numpy(table[:, :64] / 16).float().reshape(-1, 1, 8, 8)
    classes = torch.from_numpy(table[:, 64]).long()
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    pixels, classes = pixels[order], classes[order]
    model = relu_network(0, (1, 8, 8), width=64)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(steps):
        part = (torch.arange(128) + 128 * step) % 1500
        loss = functional.cross_entropy(model(pixels[part]), classes[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    optimizer.zero_grad()
    return model, pixels[1500:1700], classes[1500:1700]


def named(part: object) -> str:
    """Return the text of a part for a test's id, without the addresses that differ from process to process."""
    return re.sub(r"<\w+ ([\w.]+) at 0x[0-9a-f]+>", r"\1", str(part))
