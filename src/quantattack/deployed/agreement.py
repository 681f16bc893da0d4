"""How far a twin and its runtime agree, and how a file sees pixels: measured on images, never assumed."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from quantattack.deployed.base import DeployedModel
from quantattack.gradients import parts_of
from quantattack.record.deployed import Agreement
from quantattack.types import Images

_AT_ONCE = 64  # images
_LEVELS = 1 << 16  # of a quantized output, at most
_SAME = 1e-4  # of the outputs' range: what float arithmetic may differ by


def agreement(model: DeployedModel, images: Images) -> Agreement:
    """Compare the outputs of a model's twin with those of its runtime.

    Arguments:
        model: A deployed model with a twin.
        images: Images in [0, 1] with shape (n, c, h, w), one at least.
    """
    searched, judged = _in_parts(lambda batch: twin_outputs(model, batch), images), outputs_of(model, images)
    difference = (searched - judged).abs()
    step = quantum(judged)
    span = float(judged.max() - judged.min())
    tolerance = _SAME * span if step is None else step / 2
    largest = float(difference.max())
    return Agreement(
        images=len(images),
        differing=float((difference > tolerance).double().mean()),
        step=None if step is None else round(largest / step),
        largest=largest,
        argmax=float((searched.argmax(1) == judged.argmax(1)).double().mean()),
    )


def twin_outputs(model: DeployedModel, images: Images) -> Tensor:
    """Return the file's outputs as the twin computes them, in float64 with shape (n, k)."""
    if model.twin is None:
        raise ValueError("a model without a twin has none to compare")
    with torch.no_grad():
        outputs: Tensor = model.twin.outputs(model.shown(images))  # type: ignore[operator]
    return outputs.double().cpu()


def outputs_of(model: DeployedModel, images: Images) -> Tensor:
    """Return the file's outputs as the runtime computes them, in float64 with shape (n, k)."""
    return _in_parts(lambda batch: model.returned(batch).double(), images)


def quantum(outputs: Tensor) -> float | None:
    """Return the step of a quantized output, of which all differences are multiples; None for a float one.

    Arguments:
        outputs: The outputs of many images, with shape (n, k).
    """
    values = torch.unique(outputs.double())
    span = float(values[-1] - values[0])
    same = 1e-6 * float(values.abs().max())  # one level, dequantized in another order, differs by less
    step = 0.0
    for gap in (values[1:] - values[:-1]).tolist():
        step = _common_step(step, gap, same) if gap > same else step
        if 0 < step < span / _LEVELS:
            return None
    return step or None


def _common_step(first: float, second: float, same: float) -> float:
    """Return the largest number of which two are multiples, to within a tolerance (Euclid's algorithm)."""
    while first > same:
        rest = math.fmod(second, first)
        first, second = (0.0 if first - rest <= same else rest), first
    return second


def saturated_share(outputs: Tensor) -> float:
    """Return on which share of the images a softmax's largest output is as large as the file can write it.

    Arguments:
        outputs: Probabilities with shape (n, k), as the file returns them.
    """
    step = quantum(outputs) or 0.0
    return float((outputs.amax(1) >= 1 - 1.01 * step).double().mean())


def clipped_share(images: Images, model: DeployedModel) -> float | None:
    """Return the share of the pixels that a file's input quantization clips; None for a float input.

    Arguments:
        images: Images in [0, 1] with shape (n, c, h, w).
        model: The deployed model.
    """
    if model.quantized is None:
        return None
    inputs, (low, high) = model.inputs(images).double(), model.quantized.range
    half = model.quantized.scale / 2  # less is rounded to the end of the range, which is not clipping
    return float(((inputs < low - half) | (inputs > high + half)).double().mean())


def _in_parts(run: Callable[[Images], Tensor], images: Images) -> Tensor:
    return torch.cat([run(images[rows]) for rows in parts_of(len(images), _AT_ONCE)])
