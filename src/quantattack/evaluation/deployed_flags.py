"""Flags of a deployed model: reasons to distrust its numbers that lie in the file and in what runs it."""

import math
from collections.abc import Mapping
from typing import Any

from quantattack.record.deployed import Agreement, agreements, deployed_note
from quantattack.record.record import Record

_SATURATED, _CLIPPED = 0.05, 0.01  # shares from which on they are said


def deployed_flags(record: Record) -> dict[str, str | None]:
    """Return a deployed model's flags: an inexact twin, a flat softmax, clipped pixels.

    Arguments:
        record: The record of one task; none of these flags is raised for any other model.
    """
    about = deployed_note(record.store, record.subject.model)
    if about is None or record.subject.data not in about["on"]:
        return {}
    on = about["on"][record.subject.data]
    return {
        "inexact_twin": _inexact(agreements(about, record.subject)),
        "saturated_softmax": _saturated(on),
        "clipped_pixels": _clipped(on),
    }


def _inexact(found: Mapping[str, Agreement]) -> str | None:
    """Say where a twin and its runtime differ, with the numbers; None where they nowhere do."""
    if all(agreed.exact for agreed in found.values()):
        return None
    words = "; ".join(f"{name} images: {agreed.words}" for name, agreed in found.items())
    return f"the twin that is searched differs from the runtime that judges, which alone counts ({words})"


def _saturated(on: Mapping[str, Any]) -> str | None:
    """Say that the softmax of a file is flat on clean images; None where it is not."""
    share, top = on["saturated"], on["top"]
    if share is None or share < _SATURATED:
        return None
    level = f"{round(256 * top)}/256" if math.isclose(256 * top, round(256 * top), abs_tol=0.01) else f"{top:.4g}"
    return (
        f"the largest output of the file's softmax is at its maximum {level} on {_percent(share)} of {on['images']} "
        "clean images, where PGD on the outputs stands still"
    )


def _clipped(on: Mapping[str, Any]) -> str | None:
    """Say which share of the pixels the input quantization clips; None where it is next to none."""
    share = on["clipped"]
    if share is None or share < _CLIPPED:
        return None
    return f"the scale of the file's input clips {_percent(share)} of the pixels, where its derivative is zero"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
