"""Flags of a finished evaluation: reasons to distrust its numbers, each a code and a sentence with the evidence."""

import numpy as np

from quantattack.evaluation.deployed_flags import deployed_flags
from quantattack.evaluation.gradient_health import Health
from quantattack.record.record import MASKED, Record

_SHARE = 0.05  # fraction of the compared images whose gradient fails that raises a flag
_LOST = 0.01  # fraction of an attack's broken images: below it, robust accuracy changes by less than its interval


def flags(record: Record, health: Health, random: bool) -> dict[str, str]:
    """Return the flags of a finished evaluation as a mapping from code to sentence.

    Arguments:
        record: The record of one task.
        health: How often cross entropy's gradient fails on its clean images.
        random: Whether two forward passes of the same images differed.
    """
    sentences = {
        "random_model": "two forward passes of the same images differ; average the attack over the model's noise"
        if random
        else None,
        "zero_gradient": _zero_gradient(health),
        "wrong_direction": None if random else _wrong_direction(health),
        "masked": _masked(record),
        "black_box_wins": _black_box_wins(record),
        "outside_threat": _outside_threat(record),
        "ties": _ties(record),
        "off_grid": None if random else _off_grid(record),
        "opaque": _opaque(record),
        **deployed_flags(record),
    }
    return {code: sentence for code, sentence in sentences.items() if sentence}


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _zero_gradient(health: Health) -> str | None:
    if health.zero + health.silent < _SHARE:
        return None
    if health.silent == 1:
        return "the model passes no gradient from its logits to its input: no gradient attack can work on it"
    share = _percent(health.zero + health.silent)
    where = f"{share} of {health.images} correctly classified images"
    return f"the cross-entropy gradient is exactly zero on {where}, where PGD stands still"


def _wrong_direction(health: Health) -> str | None:
    if health.wrong < _SHARE:
        return None
    share = _percent(health.wrong)
    return f"rounding turns the cross-entropy gradient away from the exact one on {share} of {health.images} images"


def uses_gradient(record: Record, name: str) -> bool:
    """Return whether an attack made backward passes, by its record."""
    return bool(record.column(name, "backwards").sum() > 0)


def _masked(record: Record) -> str | None:
    worst = record.worst_case
    high = {name: record.robust(name) for name in record.attacks if uses_gradient(record, name)}
    high = {name: rate for name, rate in high.items() if rate - worst >= MASKED - 1e-9}
    if not high:
        return None
    rates = ", ".join(f"{name} says {_percent(rate)}" for name, rate in high.items())
    return f"{rates} where at most {_percent(worst)} is true: the attack failed, the network did not hold"


def _black_box_wins(record: Record) -> str | None:
    common, white = set(record.indices.tolist()), np.zeros(len(record.indices), dtype=np.bool_)
    black: dict[str, np.ndarray] = {}
    for name in record.attacks:
        broken = record.broken(name)[np.isin(record.column(name, "image"), list(common))]
        if uses_gradient(record, name):
            white |= broken
        elif record.column(name, "forwards").sum() > 0:
            black[name] = broken
    if len(black) == len(record.attacks):
        return None
    won = {name: int((broken & ~white).sum()) for name, broken in black.items()}
    name, count = max(won.items(), key=lambda item: item[1], default=("", 0))
    if count < max(1, 0.01 * len(common)):
        return None
    return f"{name} breaks {count} of {len(common)} images that no gradient attack breaks: the gradients mislead"


def _outside_threat(record: Record) -> str | None:
    outside = {name: int((record.column(name, "inside") == 0).sum()) for name in record.attacks}
    outside = {name: count for name, count in outside.items() if count}
    if not outside:
        return None
    counts = ", ".join(f"{count} of {name}" for name, count in outside.items())
    return f"images outside the threat do not count as broken: {counts}; fix the attack"


def _ties(record: Record) -> str | None:
    ties = {name: int((record.column(name, "margin") == 0).sum()) for name in record.attacks}
    name, count = max(ties.items(), key=lambda item: item[1])
    if not count:
        return None
    return f"{count} images end on an exact tie of the two largest logits under {name}; the first class counts"


def _off_grid(record: Record) -> str | None:
    lost = {name: len(record.store.lost(cell)) for name, cell in record.cells.items()}
    lost = {name: count for name, count in lost.items() if count}
    broken = {name: int((record.broken(name) & record.by_attack[name].right).sum()) for name in lost}
    shares = {name: count / broken[name] for name, count in lost.items()}
    high = {name: share for name, share in shares.items() if share >= _LOST}
    if not high:
        return None
    words = ", ".join(f"{_percent(share)} of those that {name} broke ({lost[name]})" for name, share in high.items())
    return f"attacked images that fool the model no longer as 8-bit images: {words}; search on the grid with levels=256"


def _opaque(record: Record) -> str | None:
    recorded = {name: _name_alone(record.settings(name)) for name in record.attacks}
    opaque = ", ".join(f"{name} ({callable_name})" for name, callable_name in recorded.items() if callable_name)
    return f"only a name is known of {opaque}, none of its settings; note them yourself" if opaque else None


def _name_alone(settings: object) -> str:
    """Return the recorded name of an attack without recorded settings; an empty string if it has settings."""
    if isinstance(settings, dict) and settings.get("part") == "Bound":
        settings = settings["attack"]
    return settings if isinstance(settings, str) and "(" not in settings else ""
