"""The checks before any attack: a model's outputs and gradients on clean images, at a few passes per image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantattack.attacks.directions import steepest
from quantattack.attacks.losses import log_odds
from quantattack.diagnostics.case import Case, many, percent
from quantattack.diagnostics.clean_gradients import CleanGradients, in_float64, limits
from quantattack.evaluation.checks import are_probabilities
from quantattack.evaluation.company import NOISY, relative_difference
from quantattack.evaluation.gradient_health import ALIGNED, alignment
from quantattack.evaluation.reach import changed, state_of
from quantattack.record.findings import Finding
from quantattack.rng import NOISE
from quantattack.types import Images

_COMPARED = 8  # images whose neighbors in the batch are exchanged
_BINS = 32
_NO_SOFTMAX = "return the logits, without the softmax"
_BETTER = 0.8  # share of the images on which a gradient's step must beat a random one


def logits_check(case: Case) -> Finding:
    """Whether the model returns logits, not probabilities."""
    logits = case.logits()
    if are_probabilities(logits):
        return Finding(
            "logits",
            "fail",
            "probabilities",
            f"every row of {len(logits)} outputs is positive and sums to 1: these are probabilities",
            f"{_NO_SOFTMAX}: inside the model it rounds its small gradients away",
        )
    if bool((logits <= 0).all()) and bool((logits.double().exp().sum(1) - 1).abs().max() < 1e-3):
        return Finding("logits", "pass", "", "the model returns log-probabilities, which serve as logits")
    least, most = float(logits.min()), float(logits.max())
    return Finding("logits", "pass", "", f"the model returns logits from {least:.4g} to {most:.4g}")


def randomness_check(case: Case) -> Finding:
    """Whether two forward passes of the same images agree."""
    logits, again = case.logits(), case.logits()
    size, changed = relative_difference(logits, again), int((logits.argmax(1) != again.argmax(1)).sum())
    data = {"relative_difference": size, "changed": changed}
    if size <= NOISY:
        words = "bit for bit" if torch.equal(logits, again) else f"to {size:.1e} of the logits' range"
        return Finding("randomness", "pass", "", f"two forward passes agree {words}", data=data)
    return Finding(
        "randomness",
        "fail",
        "random",
        f"two forward passes of the same images differ by {percent(size)} of the logits' range, "
        f"and {changed} of {len(logits)} predictions change",
        "attack the expectation, Eot(attack, draws=10), and judge over several passes; or switch the noise off",
        data,
    )


def batch_check(case: Case) -> Finding:
    """Whether an image's logits depend on the other images of its batch."""
    few = min(_COMPARED, len(case))
    if len(case) < 2 * few or few < 2:
        return _too_few("batch")
    size = min(len(case), case.batch_size)
    together = case.first(size)
    first, strangers = case.images[:few], case.images[size - few : size].flip(0)
    others = torch.cat([first, *[strangers] * (size // few)])[:size]  # the same count, so that no kernel changes
    logits, again, in_others = (case.logits(x)[:few] for x in (together.images, together.images, others))
    noise, difference = relative_difference(logits, again), relative_difference(logits, in_others)
    data = {"relative_difference": difference, "noise": noise}
    if noise > NOISY:
        says = "the model is random, so a difference in another batch proves nothing"
        return Finding("batch", "cannot tell", "", says, "switch the noise off and diagnose again", data)
    if difference <= NOISY:
        return Finding("batch", "pass", "", "an image's logits are the same in another batch", data=data)
    says = f"the logits of {few} images change by {percent(difference)} of their range in another batch"
    advice = "use fixed statistics (model.eval(), BatchNorm with running averages): no verdict may depend on the batch"
    return Finding("batch", "fail", "batch_dependent", says, advice, data)


def unchanged_check(case: Case, before: Mapping[str, str]) -> Finding:
    """Whether the model's parameters and buffers are what they were before its first call.

    Arguments:
        case: The model.
        before: Its state then, from `state_of`.
    """
    names = changed(before, state_of(case.host.model))
    data = {"tensors": len(before), "changed": names}
    if not names:
        says = f"none of {len(before)} parameters and buffers changed"
        return Finding("unchanged", "pass", "", says, data=data)
    says = f"{len(names)} of {len(before)} parameters and buffers changed while it was diagnosed, such as {names[0]}"
    advice = "give a model that does not learn from what it is shown: every number here is of another model"
    return Finding("unchanged", "fail", "model_changed", says, advice, data)


def path_check(gradients: CleanGradients, levels: int | None) -> Finding:
    """Whether a gradient reaches the images; a saturated softmax inside or a rounded input may be the reason."""
    count, total = int(gradients.silent.sum()), len(gradients.silent)
    data = {"silent": count, "images": total, "path": gradients.path}
    if not many(count, total):
        return Finding("gradient path", "pass", "", f"{total - count} of {total} images get a gradient", data=data)
    how = "there is no path from the logits to the image" if not gradients.path else "every entry is exactly zero"
    where = f"on {count} of {total} images no gradient arrives ({how})"
    if gradients.path and many(flat := int(gradients.flat.sum()), total):
        says = f"{where}; the outputs are probabilities, and on {flat} images 1 and 0: the softmax before is saturated"
        return Finding("gradient path", "fail", "saturation", says, _NO_SOFTMAX, data)
    if levels is not None:
        says = f"{where}; the model rounds its input to {levels} levels, whose derivative is zero"
        advice = "attack with the rounding straight-through (its derivative taken as one), or the float network"
        return Finding("gradient path", "fail", "shattered", says, advice, data)
    advice = "give the quantizers a surrogate derivative (with_surrogate), or name the float network (--float)"
    return Finding("gradient path", "fail", "no_gradient", where, advice, data)


def values_check(gradients: CleanGradients) -> Finding:
    """Whether cross entropy's gradient is zero, underflowed, NaN, or points elsewhere than the exact one."""
    reached = ~gradients.silent
    total = int(reached.sum())
    masks = {"zero": gradients.zero, "underflowed": gradients.underflowed, "wrong": gradients.wrong}
    counts = {name: int((mask & reached).sum()) for name, mask in masks.items()}
    cosine, signs = (_mean(values[reached]) for values in (gradients.cosine, gradients.agreement))
    broken = int(gradients.nan.sum())
    data = {**counts, "nan": broken, "images": total, "cosine": cosine, "sign_agreement": signs}
    if many(broken, len(reached)):
        says = f"the gradient of {broken} of {len(reached)} images holds NaN or infinite entries"
        return Finding("gradient values", "fail", "nan", says, "fix the model's backward pass first", data)
    if not total:
        return Finding("gradient values", "cannot tell", "", "there is no gradient to look at", data=data)
    says = (
        f"of {total} cross-entropy gradients {counts['zero']} are exactly zero, {counts['underflowed']} underflow and "
        f"{counts['wrong']} point away from the exact (mean cosine {_number(cosine)}, equal signs {_percent(signs)})"
    )
    if many(counts["zero"] + counts["underflowed"], total):
        return Finding("gradient values", "fail", "saturation", says, _SATURATED, data)
    return Finding("gradient values", "pass", "", says, data=data)


_SATURATED = "climb the log-odds or scale the logits (pgd_log_odds, pgd_plus_gap): the softmax is saturated"


def margins_check(case: Case, gradients: CleanGradients) -> Finding:
    """Where the margins lie against the limits of the floating-point type in use."""
    if gradients.probabilities:
        says = "the outputs are probabilities, whose margins are at most 1 whatever those of the logits are"
        return Finding("margins", "cannot tell", "", says, _NO_SOFTMAX)
    at = limits(case.images.dtype)
    edges = (at.rounded, at.flushed, at.zero)
    beyond = [int((gradients.margin > edge).sum()) for edge in edges]
    total, name = len(gradients.margin), str(case.images.dtype).removeprefix("torch.")
    data = {"dtype": name, "limits": list(edges), "beyond": beyond, "images": total, **_histogram(gradients.margin)}
    shares = ", ".join(f"{count} beyond {edge:.4g}" for count, edge in zip(beyond, edges, strict=True))
    says = f"of {total} margins {shares}, the limits of {name}; the median is {float(gradients.margin.median()):.4g}"
    if many(beyond[2], total):
        return Finding("margins", "fail", "saturation", says, _SATURATED, data)
    return Finding("margins", "pass", "", says, data=data)


def _histogram(margin: Tensor) -> dict[str, Any]:
    counts, edges = np.histogram(margin.cpu().numpy(), bins=_BINS)
    return {"counts": counts.tolist(), "edges": [float(edge) for edge in edges]}


def precision_check(case: Case, gradients: CleanGradients) -> Finding:
    """Whether the exact gradient is the same in float64."""
    reached = ~gradients.silent
    if not bool(reached.any()):
        return Finding("precision", "cannot tell", "", "there is no gradient to compare")
    grads = in_float64(case)
    if grads is None:
        return Finding("precision", "cannot tell", "", "the model cannot be copied to double precision")
    cosine, signs = alignment(gradients.exact, grads)
    away, total = int((cosine[reached] < ALIGNED).sum()), int(reached.sum())
    cosine_mean, same_signs = _mean(cosine[reached]), _mean(signs[reached])
    data = {"away": away, "images": total, "cosine": cosine_mean, "sign_agreement": same_signs}
    says = f"{away} of {total} exact gradients point elsewhere in float64 (signs agree on {_percent(same_signs)})"
    if not many(away, total, 0.25):
        return Finding("precision", "pass", "", says, data=data)
    advice = "search through a double-precision copy, InFloat64(attack), and look for the layer that loses precision"
    return Finding("precision", "fail", "shattered", says, advice, data)


def ascent_check(case: Case, gradients: CleanGradients) -> Finding:
    """Whether a step along the exact gradient raises the loss more than a random one of the same length."""
    reached = case.where(~gradients.silent)
    if not len(reached):
        return Finding("ascent", "cannot tell", "", "there is no gradient to follow")
    exact = gradients.exact[~gradients.silent]
    shares = {size: _better(reached, exact, size * case.threat.radius) for size in (0.25, 1.0)}
    data = {"images": len(reached), "share": {str(size): share for size, share in shares.items()}}
    says = ", ".join(f"{percent(share)} for {size:g} of the radius" for size, share in shares.items())
    says = f"a step along the gradient beats a random one on a share of {len(reached)} images: {says}"
    if max(shares.values()) >= _BETTER or len(reached) < 10:
        return Finding("ascent", "pass", "", says, data=data)
    advice = "the gradients mislead: replace what breaks them by a smooth part, or attack the float network (--float)"
    return Finding("ascent", "fail", "shattered", says, advice, data)


def _better(case: Case, exact: Images, length: float) -> float:
    start = log_odds(case.climbed(), case.labels)
    noise = case.rng.normal(0, NOISE, exact.shape[1:], exact.dtype)
    gains = [log_odds(case.climbed(_moved(case, step, length)), case.labels) - start for step in (exact, noise)]
    return float((gains[0] > gains[1]).double().mean())


def _moved(case: Case, grad: Images, length: float) -> Images:
    norm = case.threat.norm
    room = case.threat.room(case.images, grad) / length if norm.needs_room else None
    step = steepest(grad, norm, room)
    size = case.threat.spread(torch.full_like(case.labels, 1).to(grad) * length, grad)
    return case.threat.project(case.images + size * step, case.images)


def _too_few(check: str) -> Finding:
    return Finding(check, "cannot tell", "", "there are too few images", "give more images")


def _mean(values: Tensor) -> float | None:
    known = values[~values.isnan()].double()
    return float(known.mean()) if len(known) else None


def _percent(share: float | None) -> str:
    return "none" if share is None else percent(share)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
