"""Records made by hand for the gate and the leaderboard: each image held or broken, each attack with its settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quantattack.record.description import stable
from quantattack.record.outcome import Outcome, Subject
from quantattack.record.store import Store

PLAIN = {"part": "Ascent", "loss": "cross_entropy", "temperature": "unit"}
GAP = {"part": "Apgd", "loss": "log_odds", "temperature": {"part": "Gap", "c": 2.4}}


def threat(radius: float = 0.1) -> str:
    return stable({"norm": "Linf", "radius": radius, "low": 0.0, "high": 1.0})


def add(
    store: Store,
    model: str,
    held: Sequence[bool],
    attacks: Mapping[str, Any] | None = None,
    radius: float = 0.1,
    data: str = "digits",
    first: int = 0,
    label: int = 3,
    images: int | None = None,
) -> Subject:
    """Write what each attack left standing: the same images for all; the first image is wrong from the start."""
    subject = Subject(model, data, threat(radius))
    for name, settings in (attacks or {"pgd": PLAIN, "gap": GAP}).items():
        cell = store.cell(subject, name, settings, len(held) if images is None else images)
        rows = [
            Outcome(
                at + first, label, label + (at == 0), label + (not hold), 1.0, 0.1, 0, 0, 20.0, 10.0, 0.5, inside=True
            )
            for at, hold in enumerate(held)
        ]
        store.write(cell, rows)
    return subject


def made(folder: Path | None = None) -> Store:
    return Store.open(folder, {"subjects": [], "seed": 0})


def held(count: int, of: int = 10) -> list[bool]:
    """The last `count` images are held."""
    return [at >= of - count for at in range(of)]
