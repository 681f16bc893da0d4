"""Small networks with random weights, exported by torch and quantized by onnxruntime."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

SIZE = 12
VARIANTS = {
    "qdq-u8s8": ("QDQ", "QUInt8", "QInt8"),
    "qdq-s8s8": ("QDQ", "QInt8", "QInt8"),
    "qoperator-u8s8": ("QOperator", "QUInt8", "QInt8"),
    "qoperator-u8u8": ("QOperator", "QUInt8", "QUInt8"),
}


class Residual(nn.Module):
    def __init__(self, before: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels))
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))
        changes = stride > 1 or before != channels
        self.shortcut = nn.Conv2d(before, channels, 1, stride) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.second(relu(self.first(x))) + self.shortcut(x))


class Inverted(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        wide = 3 * channels
        self.body = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


class Growing(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, growth, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(relu(self.norm(x)))], 1)


class Attending(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.three, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        split = self.three(self.before(x)).reshape(n, tokens, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(n, tokens, width))
        return x + self.mlp(self.after(x))


class Transformer(nn.Module):
    def __init__(self, width: int = 16, patch: int = 4) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.place = nn.Parameter(torch.randn(1, (SIZE // patch) ** 2 + 1, width))
        self.block, self.norm, self.head = Attending(width, 2), nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.block(x))[:, 0])


def residual() -> nn.Module:
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
    return nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), Residual(8, 8), Residual(8, 16, 2), *end)


def vgg() -> nn.Module:
    first = [nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(8, 16, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*first, *second, nn.Linear(16 * 9, 24), nn.ReLU(), nn.Linear(24, 10))


def depthwise() -> nn.Module:
    start = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6()]
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10)]
    return nn.Sequential(*start, Inverted(8, 8, 1), Inverted(8, 12, 2), *end)


def lenet() -> nn.Module:
    first = [nn.Conv2d(3, 6, 5), nn.LeakyReLU(0.1), nn.AvgPool2d(2)]
    second = [nn.Conv2d(6, 6, 3, groups=6), nn.Sigmoid(), nn.Flatten()]
    return nn.Sequential(*first, *second, nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 10), nn.Softmax(1))


def dense() -> nn.Module:
    first = [nn.Conv2d(3, 8, 3, 1, 1), Growing(8, 4), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 8, 1)]
    second = [nn.AvgPool2d(2), Growing(8, 4), nn.BatchNorm2d(12), nn.ReLU()]
    return nn.Sequential(*first, *second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10))


NETWORKS = {
    "residual": residual,
    "vgg": vgg,
    "depthwise": depthwise,
    "lenet": lenet,
    "dense": dense,
    "transformer": Transformer,
}


def network(name: str) -> nn.Module:
    """One of the networks with random weights and running statistics, ready for inference."""
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in ((module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 1.5)):
                values.uniform_(low, high)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.3, 0.3)
    return model.requires_grad_(False)


def images(count: int, seed: int = 0) -> Tensor:
    """Random images on the grid of bytes."""
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.rand(count, 3, SIZE // 3, SIZE // 3, generator=generator)
    grown = torch.nn.functional.interpolate(smooth, (SIZE, SIZE), mode="bilinear")
    return (grown * 255).round() / 255


def export(model: nn.Module, path: Path, batch: int | None = None, opset: int = 17) -> Path:
    """Write a model as ONNX; with any number of rows unless one is given."""
    axes = {"x": {0: "n"}, "y": {0: "n"}} if batch is None else None
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (images(batch or 2),),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=axes,
        )
    return path


def quantize(path: Path, variant: str, batch: int | None = None, per_channel: bool = True) -> Path:
    """Quantize a file statically, calibrated on images of its own."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    layout, activations, weights = VARIANTS[variant]
    target = path.with_name(f"{path.stem}-{variant}.onnx")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        quantize_static(
            str(path),
            str(target),
            Calibration(batch or 32),
            quant_format=QuantFormat[layout],
            activation_type=QuantType[activations],
            weight_type=QuantType[weights],
            per_channel=per_channel,
        )
    return target


def prepared(path: Path) -> Path:
    """The same file with its shapes and its batch normalizations folded, as onnxruntime's guide asks for."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    target = path.with_name(f"{path.stem}-prepared.onnx")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        quant_pre_process(str(path), str(target), skip_symbolic_shape=True)  # which writes to the working folder
    return target


class Calibration:
    """What onnxruntime calibrates on: batches of images until there is none."""

    def __init__(self, batch: int) -> None:
        self.batches = self._batches(batch)

    def _batches(self, batch: int) -> Iterator[dict[str, np.ndarray]]:
        for seed in range(2):
            yield {"x": images(batch, seed + 100).numpy()}

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Calibration in parts is not used here."""


def attacked(twin: nn.Module, clean: Tensor, step: float = 4 / 255) -> Tensor:
    """Images one sign step up the cross entropy of the twin."""
    x = clean.clone().requires_grad_()
    logits = twin(x)
    loss = torch.nn.functional.cross_entropy(logits, logits.argmax(1), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    return (clean + step * gradient.sign()).clamp(0, 1)
