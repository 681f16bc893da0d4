"""Robust accuracy from both sides in words: what is proved, and what nothing broke."""

from quantattack.record.record import Record
from quantattack.report.percent import percent


def bracket_words(proved: float, worst: float) -> str:
    """Return robust accuracy from both sides in percent: what is proved, and what nothing broke."""
    return f"[{percent(proved).rstrip('%')}, {percent(worst)}]"


def worst_words(record: Record) -> str:
    """Return the worst case in percent, with what is proved before it where something was."""
    return percent(record.worst_case) if record.bracket is None else bracket_words(*record.bracket)


def proved_words(record: Record) -> str:
    """Say what a complete search has decided, in a sentence; empty where there was none."""
    if record.bracket is None or not record.complete:
        return ""
    proved, worst = record.bracket
    undecided = round((worst - proved) * record.images)
    known = "so that is the robust accuracy" if not undecided else f"{undecided} of {record.images} images are open"
    return f" At least {percent(proved)} is proved robust, {known}."
