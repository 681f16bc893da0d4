"""Whether a record's worst case can be trusted: a number that only shows how little was tried must pass no gate."""

from collections.abc import Iterator, Mapping
from typing import Any

from quantattack.record.record import Record
from quantattack.report.diagnosis import diagnosis

# Flags of a number that another run, other images beside it or a better attack would change.
SERIOUS = (
    "random_model",
    "batch_dependent",
    "model_changed",
    "nan_gradient",
    "misleading_gradient",
    "black_box_wins",
    "outside_threat",
    "chance",
)
# Parts that state no loss and are known not to climb cross entropy alone: searches without it, and other libraries'.
OTHERWISE = {"Square", "RandomSearch", "Exact", "Foolbox", "Art", "TorchAttacks", "AutoAttack", "Secml"}
FLAT = ("saturated_softmax", "zero_gradient", "wrong_direction")  # they mislead cross entropy alone


def trust_words(found: Mapping[str, str]) -> str:
    """Return the codes of what makes a worst case doubtful, or that it is trusted."""
    return ", ".join(found) or "trusted"


def trust_line(record: Record) -> str:
    """Return whether an evaluation's worst case can be trusted, with the sentences that no flag beside it says."""
    found = doubts(record)
    says = "; ".join(sentence for code, sentence in found.items() if code not in record.codes)
    not_to_be = "not to be trusted, " if found else ""
    return f"worst case: {not_to_be}{trust_words(found)}" + (f": {says}" if says else "")


def doubts(record: Record) -> dict[str, str]:
    """Return why the worst case of an evaluation cannot be trusted, code to sentence; empty where it can.

    A worst case bounds the robust accuracy from above, and says little where the attacks were misled.  So it is
    doubted where a flag speaks against every attack, where all attacks climb plain cross entropy, which a quantized
    network masks, where a diagnosis failed, and as long as the run is unfinished.

    Arguments:
        record: The evaluation.
    """
    if not record.finished:
        return {"unfinished": "the run is unfinished; the same `quantattack evaluate` command continues it"}
    codes = record.codes
    found = {code: codes[code] for code in SERIOUS if code in codes}
    if not any(_looks_beyond(record.settings(name)) for name in record.attacks):
        found |= {code: codes[code] for code in FLAT if code in codes}
        found["unchecked"] = (
            "every attack climbs plain cross entropy, or does not say what it climbs, and nothing checks it; "
            "add --attacks standard"
        )
    checks = diagnosis(record)
    return found if checks is None or checks.trusted else found | {"diagnosis": checks.headline}


def _looks_beyond(settings: Any) -> bool:
    """Return whether an attack is known to do anything but climb plain cross entropy on the model itself.

    It is where it, or an attack inside of it, states another loss or a temperature, or is known without.
    Of a user's own attack that states no loss nothing is known, be it a function or a class.
    """
    return not all(map(_is_plain, _leaves(settings)))


def _leaves(settings: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the attacks inside of an attack, or itself, of which it is known what they climb, or that they do not."""
    if isinstance(settings, dict):
        if "loss" in settings or "temperature" in settings or settings.get("part") in OTHERWISE:
            yield settings
        if "loss" not in settings:
            for inner in settings.values():
                yield from _leaves(inner)
    elif isinstance(settings, list):
        for inner in settings:
            yield from _leaves(inner)


def _is_plain(leaf: Mapping[str, Any]) -> bool:
    loss = leaf.get("loss", "cross_entropy")
    name = loss.get("part") if isinstance(loss, dict) else loss
    return name == "cross_entropy" and leaf.get("temperature") in (None, "unit") and leaf.get("part") not in OTHERWISE
