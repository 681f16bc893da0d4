"""How far a twin and its runtime agree, and how a file sees pixels: measured on images, never assumed."""

from collections.abc import Callable

import torch
from torch import Tensor

from quantattack.deployed.base import DeployedModel
from quantattack.gradients import parts_of
from quantattack.record.deployed import Agreement
from quantattack.types import Images

_AT_ONCE = 64  # images
_LEVELS = 1 << 16  # more distinct outputs than any quantized output has
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
    """Return the step of a quantized output, the smallest difference of two of its values; None for a float one.

    Arguments:
        outputs: The outputs of many images, with shape (n, k).
    """
    values = torch.unique(outputs.double())
    gaps = values[1:] - values[:-1]
    if not len(gaps):
        return None
    # neighbors one float32 unit apart are the same level, dequantized in another order
    gaps = gaps[gaps > 1e-6 * float(values.abs().max())]
    step = float(gaps.min()) if len(gaps) else 0.0
    if step == 0 or float(values.max() - values.min()) / step > _LEVELS:
        return None
    whole = gaps / step
    return step if bool(((whole - whole.round()).abs() < 0.01 * whole).all()) else None


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
