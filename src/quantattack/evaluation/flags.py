"""What to know before trusting the numbers: each flag is a code and a sentence with its evidence."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from quantattack.attacks.losses import cross_entropy, log_odds
from quantattack.gradients import NoGradient, gradient
from quantattack.record.store import MASKED, Record
from quantattack.types import Images, Labels, Mask, Model

_SHARE = 0.05  # share of the probe from which a gradient's failure is worth a flag
_COSINE = 0.99


@dataclass(frozen=True)
class Health:
    """The float gradient of cross entropy on clean, correctly classified images, held against the exact direction.

    Arguments:
        images: How many images were looked at.
        zero: Share of them whose cross-entropy gradient is exactly zero although the log-odds gradient is not.
        wrong: Share of them whose cross-entropy gradient is not zero and points away: cosine under 0.99.
        silent: Share of them whose log-odds gradient is zero too: the model passes no gradient.
    """

    images: int = 0
    zero: float = 0.0
    wrong: float = 0.0
    silent: float = 0.0


def look(model: Model, batches: Iterable[tuple[Images, Labels]]) -> Health:
    """Compare the two gradients on a probe of correctly classified images.

    Arguments:
        model: Maps images to logits.
        batches: Correctly classified images with shape (m, ...), and their classes with shape (m,).
    """
    found = [_compared(model, images, labels) for images, labels in batches]
    if not found:
        return Health()
    zero, wrong, silent = (torch.cat(parts).double() for parts in zip(*found, strict=True))
    return Health(len(zero), float(zero.mean()), float(wrong.mean()), float(silent.mean()))


def _compared(model: Model, images: Images, labels: Labels) -> tuple[Mask, Mask, Mask]:
    try:
        common = gradient(model, images, lambda logits: cross_entropy(logits, labels))[1].double().flatten(1)
        exact = gradient(model, images, lambda logits: log_odds(logits, labels))[1].double().flatten(1)
    except NoGradient:
        every = torch.ones_like(labels, dtype=torch.bool)
        return ~every, ~every, every
    silent = exact.abs().amax(1) == 0
    zero = (common.abs().amax(1) == 0) & ~silent
    cosine = torch.nn.functional.cosine_similarity(_scaled(common), _scaled(exact), dim=1)
    wrong = (cosine < _COSINE) & ~zero & ~silent
    return zero, wrong, silent


def _scaled(grad: torch.Tensor) -> torch.Tensor:
    largest = grad.abs().amax(1, keepdim=True)
    return grad / largest.where(largest > 0, largest.new_ones(()))


def flags(record: Record, health: Health, random: bool) -> dict[str, str]:
    """Return the flags of a finished evaluation, code to sentence."""
    found = {
        "random_model": "two forward passes of the same images differ; average the attack over the model's noise"
        if random
        else None,
        "zero_gradient": _zero(health),
        "wrong_direction": None if random else _wrong(health),
        "masked": _masked(record),
        "black_box_wins": _black_box_wins(record),
        "outside_threat": _outside(record),
        "ties": _ties(record),
        "opaque": _opaque(record),
    }
    return {code: sentence for code, sentence in found.items() if sentence}


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _zero(health: Health) -> str | None:
    if health.zero + health.silent < _SHARE:
        return None
    if health.silent == 1:
        return "the model passes no gradient from its logits to its input: no gradient attack can work on it"
    share, of = _percent(health.zero + health.silent), health.images
    where = f"{share} of {of} correctly classified images"
    return f"the cross-entropy gradient is exactly zero on {where}, where PGD stands still"


def _wrong(health: Health) -> str | None:
    if health.wrong < _SHARE:
        return None
    share, of = _percent(health.wrong), health.images
    return f"rounding turns the cross-entropy gradient away from the exact one on {share} of {of} images"


def uses_gradient(record: Record, name: str) -> bool:
    """Return whether an attack asked the model for gradients."""
    return bool(record.column(name, "backwards").sum() > 0)


def _masked(record: Record) -> str | None:
    worst = record.worst_case
    high = {name: record.robust(name) for name in record.attacks if uses_gradient(record, name)}
    high = {name: rate for name, rate in high.items() if rate - worst >= MASKED - 1e-9}
    if not high:
        return None
    says = ", ".join(f"{name} says {_percent(rate)}" for name, rate in high.items())
    return f"{says} where at most {_percent(worst)} is true: the attack failed, the network did not hold"


def _black_box_wins(record: Record) -> str | None:
    seen, white = set(record.indices.tolist()), np.zeros(len(record.indices), dtype=np.bool_)
    black: dict[str, np.ndarray] = {}
    for name in record.attacks:
        broken = record.broken(name)[np.isin(record.column(name, "image"), list(seen))]
        if uses_gradient(record, name):
            white |= broken
        elif record.column(name, "forwards").sum() > 0:
            black[name] = broken
    if len(black) == len(record.attacks):
        return None
    won = {name: int((broken & ~white).sum()) for name, broken in black.items()}
    name, count = max(won.items(), key=lambda item: item[1], default=("", 0))
    if count < max(1, 0.01 * len(seen)):
        return None
    return f"{name} breaks {count} of {len(seen)} images that no gradient attack breaks: the gradients mislead"


def _outside(record: Record) -> str | None:
    out = {name: int((record.column(name, "inside") == 0).sum()) for name in record.attacks}
    out = {name: count for name, count in out.items() if count}
    if not out:
        return None
    says = ", ".join(f"{count} of {name}" for name, count in out.items())
    return f"images outside the threat do not count as broken: {says}; mend the attack"


def _ties(record: Record) -> str | None:
    ties = {name: int((record.column(name, "margin") == 0).sum()) for name in record.attacks}
    name, count = max(ties.items(), key=lambda item: item[1])
    if not count:
        return None
    return f"{count} images end on an exact tie of the two largest logits under {name}; the first class counts"


def _opaque(record: Record) -> str | None:
    names = {name: _name_alone(record.settings(name)) for name in record.attacks}
    says = ", ".join(f"{name} ({told})" for name, told in names.items() if told)
    return f"only a name is known of {says}, none of its settings; note them yourself" if says else None


def _name_alone(settings: object) -> str:
    """Return the name that is all that a record keeps of an attack; empty where it keeps settings."""
    if isinstance(settings, dict) and settings.get("part") == "Bound":
        settings = settings["attack"]
    return settings if isinstance(settings, str) and "(" not in settings else ""
