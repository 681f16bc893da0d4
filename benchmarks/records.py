"""How long a record takes to be shown and reported, at 10,000 and at 100,000 images.

    python benchmarks/records.py            # writes results/records/scale.json

The outcomes are made up: five attacks on one network, with steps, margins and images that were wrong from the start.
`show` is the summary and the terminal's table, `report` the HTML page; each opens the record anew, after one small
record has been shown and reported, so that no import is timed.
"""

import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from quantattack.record.description import stable
from quantattack.record.outcome import Outcome, Subject
from quantattack.record.store import Store
from quantattack.report.page import write_page
from quantattack.report.terminal import print_table

OUT = Path(__file__).parents[1] / "results" / "records" / "scale.json"
IMAGES = (10_000, 100_000)
MOST_SECONDS, MOST_TIMES = 3.0, 12.0  # of the smaller record; of the larger one against it
SHARE = {"pgd": 0.3, "pgd_plus_hns": 0.7, "gap": 0.75, "apgd": 0.6, "square": 0.5}  # of the images that each breaks
SUBJECT = Subject("made-up", "made-up", stable({"norm": {"part": "Linf"}, "radius": 0.1, "low": 0.0, "high": 1.0}))


def made_up(images: int, broken: float, rng: np.random.Generator) -> list[Outcome]:
    """Outcomes of one attack; one image of twenty is wrong from the start."""
    labels, fooled = rng.integers(0, 10, images).tolist(), (rng.random(images) < broken).tolist()
    margins, steps = rng.normal(0.0, 3.0, images).tolist(), rng.integers(0, 40, images).tolist()
    return [
        Outcome(
            image=at,
            label=label,
            clean_prediction=(label + (at % 20 == 0)) % 10,
            prediction=(label + fooled[at]) % 10,
            margin=-abs(margins[at]) if fooled[at] else abs(margins[at]),
            size=0.1,
            step=steps[at] if fooled[at] else None,
            restart=0,
            forwards=40.0,
            backwards=40.0,
            seconds=0.001,
            inside=True,
        )
        for at, label in enumerate(labels)
    ]


def write(folder: Path, images: int) -> None:
    store, rng = Store.open(folder, {"subjects": [], "seed": 0}), np.random.default_rng(0)
    for name, share in SHARE.items():
        cell = store.cell(SUBJECT, name, {"part": "Ascent", "steps": 40}, images)
        store.write(cell, made_up(images, share, rng))
    store.finish()
    store.close()


def show(folder: Path) -> None:
    store = Store.load(folder)
    records = store.records()
    json.dumps([record.summary() for record in records])
    print_table(records, Console(file=io.StringIO()))
    store.close()


def seconds(work: Callable[[Path], object], folder: Path) -> float:
    begun = time.perf_counter()
    work(folder)
    return time.perf_counter() - begun


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folders = {images: Path(place) / str(images) for images in (100, *IMAGES)}
        for images, folder in folders.items():
            write(folder, images)
        show(folders[100])
        write_page(folders[100])
        timed = {
            str(images): {"show": seconds(show, folders[images]), "report": seconds(write_page, folders[images])}
            for images in IMAGES
        }
    small, large = (sum(timed[str(images)].values()) for images in IMAGES)
    result = {
        "attacks": len(SHARE),
        "seconds": {images: {name: round(value, 3) for name, value in each.items()} for images, each in timed.items()},
        "ratio": round(large / small, 2),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
    assert small <= MOST_SECONDS, f"{small:.1f} s at {IMAGES[0]} images"
    assert large <= MOST_TIMES * small, f"{large / small:.1f} times as long"


if __name__ == "__main__":
    main()
