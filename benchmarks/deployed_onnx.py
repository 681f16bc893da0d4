"""How near an ONNX file's twin is to onnxruntime, and what it costs over the float network.

    QUANTATTACK_DATA=data python benchmarks/deployed_onnx.py [--out results/deployed] [--networks NAME ...]

Networks of the zoo, and three networks with random weights (depthwise, concatenation, attention), are exported by
torch and quantized by onnxruntime in four variants, calibrated on the last 1,000 images of CIFAR-10's test set and
compared on the first ones (the first 200 for random weights): clean, noise, and attacked through the twin.
Costs are of a forward and backward pass on 100 images, the pairs timed alternately.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from quantattack.data.sets import load_data
from quantattack.deployed.onnx.load import LoadedOnnx, load_onnx
from quantattack.nn.zoo import load_model

ZOO = ("cifar10-resnet8-float", "cifar10-vgg5-float", "cifar10-resnet8-mdtanhs")
VARIANTS = {
    "QDQ u8s8": (QuantFormat.QDQ, QuantType.QUInt8, QuantType.QInt8),
    "QDQ s8s8": (QuantFormat.QDQ, QuantType.QInt8, QuantType.QInt8),
    "QOperator u8s8": (QuantFormat.QOperator, QuantType.QUInt8, QuantType.QInt8),
    "QOperator u8u8": (QuantFormat.QOperator, QuantType.QUInt8, QuantType.QUInt8),
}
STEP, RADIUS, STEPS = 2 / 255, 4 / 255, 3
FEW = 200  # images for the networks with random weights


class Inverted(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        wide = 6 * channels
        self.adds = stride == 1 and channels == out
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


class Growing(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(relu(self.norm(x)))], 1)


class Attending(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.three, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        split = self.three(self.before(x)).reshape(n, tokens, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(n, tokens, width))
        return x + self.mlp(self.after(x))


class Transformer(nn.Module):
    def __init__(self, width: int = 96, patch: int = 4, depth: int = 3) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.place = nn.Parameter(torch.randn(1, (32 // patch) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(Attending(width, 4) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


def mobilenet() -> nn.Module:
    start = [nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU6()]
    blocks = [Inverted(16, 16, 1), Inverted(16, 24, 2), Inverted(24, 24, 1), Inverted(24, 32, 2)]
    return nn.Sequential(*start, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


def densenet() -> nn.Module:
    first = [nn.Conv2d(3, 24, 3, 1, 1), *(Growing(24 + 12 * n, 12) for n in range(3)), nn.BatchNorm2d(60), nn.ReLU()]
    second = [nn.Conv2d(60, 30, 1), nn.AvgPool2d(2), *(Growing(30 + 12 * n, 12) for n in range(3))]
    end = [nn.BatchNorm2d(66), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(66, 10)]
    return nn.Sequential(*first, *second, *end)


RANDOM: dict[str, Callable[[], nn.Module]] = {
    "mobilenet-v2, random": mobilenet,
    "densenet, random": densenet,
    "vision transformer, random": Transformer,
}


def network(name: str) -> nn.Module:
    if name not in RANDOM:
        return load_model(name).requires_grad_(False)
    torch.manual_seed(0)
    model = RANDOM[name]().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.2, 1.0)
    return model.requires_grad_(False)


class Calibration:
    def __init__(self, images: Tensor) -> None:
        self.batches: Iterator[dict[str, np.ndarray]] = iter([{"x": part.numpy()} for part in images.split(100)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Calibration in parts is not used here."""


def export(model: nn.Module, folder: Path, images: Tensor) -> Path:
    raw, ready = folder / "float.onnx", folder / "ready.onnx"
    axes = {"x": {0: "n"}, "y": {0: "n"}}
    names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": axes}
    torch.onnx.export(model, (images[:2],), str(raw), dynamo=False, opset_version=17, **names)
    quant_pre_process(str(raw), str(ready), skip_symbolic_shape=True)  # which writes to the working folder
    return ready


def quantize(ready: Path, variant: str, images: Tensor) -> Path:
    layout, activations, weights = VARIANTS[variant]
    target = ready.with_name(f"{variant}.onnx")
    types = {"activation_type": activations, "weight_type": weights}
    quantize_static(str(ready), str(target), Calibration(images), quant_format=layout, per_channel=True, **types)
    return target


def attacked(twin: nn.Module, clean: Tensor, labels: Tensor) -> Tensor:
    """Signed steps through the twin, on the grid of bytes and in the ball."""
    x = clean.clone()
    for _ in range(STEPS):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(twin(x), labels, reduction="sum"), x)
        moved = (x.detach() + STEP * gradient.sign()).clamp(clean - RADIUS, clean + RADIUS).clamp(0, 1)
        x = (moved * 255).round() / 255
    return x


def in_parts(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    return torch.cat([function(*parts) for parts in zip(*(tensor.split(100) for tensor in tensors), strict=True)])


def compared(loaded: LoadedOnnx, images: Tensor) -> dict[str, float]:
    with torch.no_grad():
        twin, judge = in_parts(loaded.twin.outputs, images), in_parts(loaded.runtime, images)
    levels = torch.unique(judge)
    step = float((levels[1:] - levels[:-1]).min())
    gaps = (twin - judge).abs()
    return {
        "outputs": judge.numel(),
        "differing": round(float((gaps > step / 1000).float().mean()), 6),
        "largest_step": round(float(gaps.max()) / step, 2),
        "argmax_equal": round(float((twin.argmax(1) == judge.argmax(1)).float().mean()), 5),
    }


def seconds(model: nn.Module, images: Tensor) -> tuple[float, float]:
    """Processor and wall time of one forward and backward pass."""
    begun, started = time.process_time(), time.perf_counter()
    x = images.clone().requires_grad_()
    torch.autograd.grad(model(x).sum(), x)
    return time.process_time() - begun, time.perf_counter() - started


def cost(twin: nn.Module, model: nn.Module, images: Tensor, pairs: int) -> dict[str, float]:
    """The twin's time over the float network's: medians of pairs timed one after the other."""
    seconds(twin, images), seconds(model, images)
    timed = [(seconds(twin, images), seconds(model, images)) for _ in range(pairs)]
    processor, wall = (statistics.median(ours[kind] / theirs[kind] for ours, theirs in timed) for kind in range(2))
    return {"cost_over_float": round(processor, 3), "wall_time_over_float": round(wall, 3)}


def measured(path: Path, model: nn.Module, images: Tensor, labels: Tensor, pairs: int) -> dict[str, Any]:
    loaded = load_onnx(path, threads=1)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)) / 2 + 0.5
    worst = in_parts(lambda x, y: attacked(loaded.twin, x, y), images, labels)
    with torch.no_grad():
        clean, robust = (in_parts(loaded.runtime, x).argmax(1) == labels for x in (images, worst))
    operators = sorted({node.op_type for node in onnx.load(str(path)).graph.node})
    return {
        "clean": compared(loaded, images),
        "noise": compared(loaded, noise),
        "attacked": compared(loaded, worst),
        "accuracy": round(float(clean.float().mean()), 4),
        "accuracy_attacked": round(float(robust.float().mean()), 4),
        **cost(loaded.twin, model, images[:100], pairs),
        "operators_of_the_file": operators,
        "judge": dict(loaded.runtime.artifact.settings),
    }


def run(given: argparse.Namespace, found: dict[str, Any]) -> Iterator[None]:
    """Fill in one network after the other."""
    data, labels = load_data("cifar10", os.environ.get("QUANTATTACK_DATA"))
    calibration = data[-1000:]
    for name in given.networks:
        model = network(name)
        count = min(FEW, given.images) if name in RANDOM else given.images
        images, found[name] = data[:count], found.get(name, {}) if given.costs else {}
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            ready = export(model, Path(folder), images)
            for variant in VARIANTS:
                path = quantize(ready, variant, calibration)
                if given.costs and variant in found[name]:
                    found[name][variant] |= cost(load_onnx(path, threads=1).twin, model, images[:100], given.pairs)
                else:
                    found[name][variant] = measured(path, model, images, labels[:count], given.pairs)
        for variant, row in found[name].items():
            kinds = "; ".join(f"{kind} {row[kind]['differing']:.4%} differ" for kind in ("clean", "noise", "attacked"))
            print(f"{name}, {variant}: {kinds}; {row['cost_over_float']:.2f} of the float network's time", flush=True)
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--networks", nargs="+", default=[*ZOO, *RANDOM], metavar="NAME", help="these alone")
    parser.add_argument("--costs", action="store_true", help="measure the costs alone where the rest is known")
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    versions = {"torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    about = "calibrated on the last 1,000 images of the test set, the training set not being at hand"
    kept = given.out / "onnx.json" if given.out else None
    networks: dict[str, Any] = json.loads(kept.read_text("utf-8"))["networks"] if kept and kept.is_file() else {}
    found = {"versions": versions, "images": given.images, "calibration": about, "networks": networks}
    for _ in run(given, networks):
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
