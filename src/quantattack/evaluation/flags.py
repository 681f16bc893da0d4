"""Flags of a finished evaluation: reasons to distrust its numbers, each a code and a sentence with the evidence."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from quantattack.evaluation.chance import LEVEL, chance
from quantattack.evaluation.deployed_flags import deployed_flags
from quantattack.evaluation.gradient_health import Cause, Health
from quantattack.record.bounds import BROKEN
from quantattack.record.record import MASKED, Record
from quantattack.record.statistics import mcnemar

_SHARE = 0.05  # fraction of the compared images whose gradient fails that raises a flag
_LOST = 0.01  # fraction of an attack's broken images: below it, robust accuracy changes by less than its interval

_CAUSES: Mapping[Cause, str] = {
    "rounding": "rounding turns the cross-entropy gradient away from the exact one",
    "unsteady": "two backward passes of the same images differ, so the cross-entropy gradient is not the exact one",
    "nonlinear": "the backward pass is no linear map, so the cross-entropy gradient is not that of the log-odds",
    "tiny": "next to no gradient passes the model: cross entropy's underflows, and points away from the exact one",
}
_RANDOM = "two forward passes of the same images differ; average the attack over the model's noise"
UNSEEN = (
    "the model answers the same clean images otherwise than before, though none of its parameters and buffers changed: "
    "something else in it did, such as a counter or a plain attribute, and the numbers here are of several models"
)
_DEPENDENT = (
    "an image's logits depend on the other images of its batch, and so does every number here; "
    "use fixed statistics: BatchNorm with running averages, activations quantized with fixed scales"
)


def flags(
    record: Record,
    health: Health,
    random: bool,
    dependent: bool = False,
    changed: Sequence[str] = (),
    drawn: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the flags of a finished evaluation as a mapping from code to sentence.

    Arguments:
        record: The record of one task.
        health: How often cross entropy's gradient fails on its clean images.
        random: Whether two forward passes of the same images differed.
        dependent: Whether an image's logits depended on the other images of its batch.
        changed: The names of the model's parameters and buffers that changed meanwhile; `UNSEEN` where none did.
        drawn: What is said of the attacks that draw random numbers of their own, by name.
    """
    sentences = {
        "random_model": _RANDOM if random else None,
        "batch_dependent": _DEPENDENT if dependent else None,
        "random_attack": _random_attack(drawn or {}),
        "model_changed": _model_changed(changed),
        **_of_gradients(health, random),
        **_of_outcomes(record),
        "off_grid": None if random else _off_grid(record),
        "opaque": _opaque(record),
        **deployed_flags(record),
        "chance": chance(record),
    }
    return {code: sentence for code, sentence in sentences.items() if sentence}


def _of_gradients(health: Health, random: bool) -> dict[str, str | None]:
    return {
        "nan_gradient": _nan_gradient(health),
        "zero_gradient": _zero_gradient(health),
        "wrong_direction": None if random else _wrong_direction(health),
    }


def _of_outcomes(record: Record) -> dict[str, str | None]:
    return {
        "masked": _masked(record),
        "black_box_wins": _black_box_wins(record),
        "exact_breaks": _exact_breaks(record),
        "outside_threat": _outside_threat(record),
        "ties": _ties(record),
    }


def _model_changed(changed: Sequence[str]) -> str | None:
    if not changed:
        return None
    if UNSEEN in changed:
        return UNSEEN
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"the model changed itself while it was evaluated ({changed[0]}{more}): later numbers are of another model"


def _random_attack(drawn: Mapping[str, str]) -> str | None:
    if not drawn:
        return None
    said = "; ".join(f"{name} {words}" for name, words in drawn.items())
    return f"{said}; draw from rng instead, which the call attack(model, images, labels, start, rng, radius) has"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _nan_gradient(health: Health) -> str | None:
    if not health.nan:
        return None
    where = f"{_percent(health.nan)} of {health.images} correctly classified images"
    return f"the gradient holds NaN or infinite entries on {where}: attacks climb without them; fix the backward pass"


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
    return f"{_CAUSES[health.cause]} on {_percent(health.wrong)} of {health.images} images"


def uses_gradient(record: Record, name: str) -> bool:
    """Return whether an attack made backward passes, by its record."""
    return bool(record.column(name, "backwards").sum() > 0)


def _masked(record: Record) -> str | None:
    """Say which attacks that climb step by step are far above the worst case.

    Not those of one step: they leave images standing on a network that masks nothing, by their design.
    """
    worst = record.worst_case
    climbs = [name for name in record.attacks if uses_gradient(record, name) and not _is_one_step(record, name)]
    high = {name: record.robust(name) for name in climbs}
    high = {name: rate for name, rate in high.items() if rate - worst >= MASKED - 1e-9}
    if not high:
        return None
    rates = ", ".join(f"{name} says {_percent(rate)}" for name, rate in high.items())
    return f"{rates} where at most {_percent(worst)} is true: the attack failed, the network did not hold"


def _is_one_step(record: Record, name: str) -> bool:
    """Return whether an attack takes one step of gradients, by its settings, else by what it cost."""
    steps = list(_steps(record.settings(name)))
    return max(steps) == 1 if steps else bool(record.column(name, "backwards").max() <= 1)


def _steps(settings: object) -> Iterator[int]:
    """Yield the numbers of steps that an attack, and those inside it, state."""
    if isinstance(settings, dict):
        steps = settings.get("steps")
        yield from [steps] if isinstance(steps, int) else []
        settings = list(settings.values())
    for inner in settings if isinstance(settings, list) else ():
        yield from _steps(inner)


def _black_box_wins(record: Record) -> str | None:
    """Hold each attack without the model's gradient against all that climb it, by a paired test."""
    common = record.indices
    broken = {
        name: record.by_attack[name].broken_itself[np.isin(record.column(name, "image"), common)]
        for name in record.attacks
    }
    white = [broken[name] for name in broken if uses_gradient(record, name) and not _transfers(record.settings(name))]
    if not white:
        return None
    together = np.logical_or.reduce(white)
    black = [name for name in broken if _transfers(record.settings(name)) or _only_asks(record, name)]
    won = {name: (int((broken[name] & ~together).sum()), int((together & ~broken[name]).sum())) for name in black}
    name, (only, lost) = max(won.items(), key=lambda item: item[1][0] - item[1][1], default=("", (0, 0)))
    if only <= lost or mcnemar(only, lost) >= LEVEL:
        return None
    return f"{name} breaks {only} of {len(common)} images that no gradient attack breaks: the gradients mislead"


def _exact_breaks(record: Record) -> str | None:
    """Say how many images a complete search broke that all attacks before it left."""
    seen = [bound.verdict for bound in record.bounds.values()]
    broken = seen.count(BROKEN)
    if not broken:
        return None
    return f"complete search broke {broken} of {len(seen)} images that all other attacks left: they are too weak here"


def _only_asks(record: Record, name: str) -> bool:
    """Return whether an attack called the model without its gradient; a complete search has a flag of its own."""
    if record.by_attack[name].certifies:
        return False
    return not uses_gradient(record, name) and bool(record.column(name, "forwards").sum() > 0)


def _transfers(settings: object) -> bool:
    """Return whether an attack, or one inside it, climbs another model: it is no gradient attack on this one."""
    if isinstance(settings, dict):
        return settings.get("part") == "Transfer" or any(map(_transfers, settings.values()))
    return isinstance(settings, list) and any(map(_transfers, settings))


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
    if not opaque:
        return None
    return f"only a name is known of {opaque}; settings that are fields of a dataclass which is the attack are recorded"


def _name_alone(settings: object) -> str:
    """Return the recorded name of an attack without recorded settings; an empty string if it has settings."""
    if isinstance(settings, dict) and settings.get("part") == "Bound":
        settings = settings["attack"]
    if isinstance(settings, dict) and set(settings) == {"part"}:
        settings = settings["part"]
    return settings if isinstance(settings, str) and "(" not in settings else ""
