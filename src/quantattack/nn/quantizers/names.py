"""Quantizers by the names that recipes and lists use."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from quantattack.errors import InputError, unknown
from quantattack.nn.quantizers import ACTIVATIONS, WEIGHTS

KINDS: Mapping[str, tuple[type, ...]] = {"weights": WEIGHTS, "activations": ACTIVATIONS}
TRAINED = "beta"  # the temperature, which a training's schedule sets


def class_named(kind: str, name: str) -> str:
    """Return the name of a quantizer's class, however its letters are written, or by its short name.

    Arguments:
        kind: ``weights`` or ``activations``.
        name: A name as `quantattack list quantizers` prints it, or a short one such as ``bnn-waq``.

    Raises:
        InputError: If no quantizer of this kind has the name.

    """
    spelled = {spelling.lower(): each.__name__ for each in KINDS[kind] for spelling in _spellings(each)}
    if name.lower() not in spelled:
        permitted = [each.__name__ for each in KINDS[kind]]
        nearest = str(unknown(f"quantizer of {kind}", name, permitted)).partition("; known:")[0]
        raise InputError(f"{nearest}; permitted are {', '.join(permitted)}")
    return spelled[name.lower()]


def _spellings(quantizer: type) -> list[str]:
    short = vars(quantizer).get("name")
    return [quantizer.__name__, *([short] if isinstance(short, str) else [])]


def settings_of(quantizer: type) -> dict[str, Any]:
    """Return the settings that a recipe may give a quantizer, with their defaults; None where there is none."""
    named = [field for field in fields(quantizer) if field.name != TRAINED]
    return {field.name: None if field.default is MISSING else field.default for field in named}
