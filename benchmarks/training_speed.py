"""Training speed of a binarized ResNet-18 over the same network in float, in one run: batches of both in turn.

python benchmarks/training_speed.py --width 1 --batches 5
"""

import argparse
import time
from statistics import median

import torch

from quantattack.nn.architectures import build
from quantattack.nn.convert import quantize
from quantattack.nn.quantizers import MdTanhS
from quantattack.training.fit import fit
from quantattack.training.schedules import Constant, Growth
from quantattack.training.settings import Settings


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    return parser.parse_args()


def seconds(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, settings: Settings) -> float:
    start = time.perf_counter()
    fit(model, images, labels, settings)
    return time.perf_counter() - start


def main() -> None:
    given = arguments()
    images, labels = torch.rand(given.batch_size, 3, 32, 32), torch.randint(10, (given.batch_size,))
    settings = Settings(epochs=1, batch_size=given.batch_size, rate=Constant(1e-3), beta=Growth(), recalibrate=0)
    plain = build("resnet-18", {"width": given.width})
    binary = quantize(plain, weights=MdTanhS())
    ratios, speeds = [], []
    for index in range(given.batches + 1):
        float_time, binary_time = (seconds(model, images, labels, settings) for model in (plain, binary))
        if index:  # the first round warms up
            ratios.append(float_time / binary_time)
            speeds.append(given.batch_size / binary_time)
    print(f"binarized ResNet-18, width {given.width}: {median(speeds):.0f} images/s")
    print(f"binarized over float, images per second: {median(ratios):.2f} (0.80 or more is the aim)")


if __name__ == "__main__":
    main()
