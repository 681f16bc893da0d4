"""What to know before trusting the numbers: each flag is a code and a sentence with its evidence."""

import numpy as np

from quantattack.evaluation.gradient_health import Health
from quantattack.record.record import MASKED, Record

_SHARE = 0.05  # share of the probe from which a gradient's failure is worth a flag


def flags(record: Record, health: Health, random: bool) -> dict[str, str]:
    """Return the flags of a finished evaluation, code to sentence."""
    sentences = {
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
    return {code: sentence for code, sentence in sentences.items() if sentence}


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
