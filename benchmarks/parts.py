"""What each part of `standard` solves, and what it takes: one run of the suite on every pair of `strength.py`.

    python benchmarks/parts.py                           # every pair; results/parts/now.json is continued
    python benchmarks/parts.py digits-float:0.1
    python benchmarks/parts.py --table                   # the table of docs/standard.md from that file alone

The first 100 images. results/parts/before.json has the same counts of the suite of commit 4de02d8, with the longer
searches that were then left out; this program as it was at commit 3d4b6fd makes them again with that src on PYTHONPATH.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from continued import continued
from strength import PAIRS, Pair

import quantattack as qa
from quantattack.attacks.around import Around
from quantattack.attacks.base import Batch, Trace, search
from quantattack.evaluation.models import CountedModel
from quantattack.report.markdown import between, markdown_table
from quantattack.rng import Rng
from quantattack.types import Model

ROOT = Path(__file__).parents[1]
OUT, BEFORE = (ROOT / "results" / "parts" / name for name in ("now.json", "before.json"))
PAGE = ROOT / "docs" / "standard.md"
IMAGES = 100
COLUMNS = ("images", "solved", "forwards", "backwards")
Counts = dict[str, dict[str, int]]  # by the part's name


@dataclass(frozen=True)
class Watched(Around):
    """An attack whose images, successes and passes are added to a table."""

    name: str
    host: CountedModel
    counts: Counts

    def trace(self, model: Model, batch: Batch) -> Trace:
        before = self.host.passes.snapshot()
        trace = search(self.attack, model, batch)
        taken = [after - then for after, then in zip(self.host.passes.snapshot(), before, strict=True)]
        with torch.no_grad():
            solved = int((self.host.uncounted()(trace.images).argmax(1) != batch.labels).sum())
        counts = self.counts.setdefault(self.name, dict.fromkeys(COLUMNS, 0))
        for column, count in zip(COLUMNS, (len(batch), solved, *taken), strict=True):
            counts[column] += count
        return trace


def watched(attack: Any, name: str, host: CountedModel, counts: Counts) -> Any:
    """Return a suite with every part watched; `Restarts` and what wraps no attack are parts."""
    if isinstance(attack, qa.Ensemble):
        inside = {key: watched(each, f"{name}/{key}", host, counts) for key, each in attack.attacks.items()}
        return replace(attack, attacks=inside)
    if getattr(attack, "attack", None) is None or isinstance(attack, qa.Restarts):
        return Watched(attack, name.removeprefix("/"), host, counts)
    return replace(attack, attack=watched(attack.attack, name, host, counts))


def measure(text: str) -> Counts:
    """Run the suite on a pair's first images that are classified correctly."""
    pair, counts = Pair.read(text, 0), Counts()
    host = CountedModel(qa.load_model(pair.name))
    images, labels = pair.shown(slice(IMAGES))
    with torch.no_grad():
        right = (host(images).argmax(1) == labels).nonzero()[:, 0]
    suite = watched(qa.standard(pair.threat), "", host, counts)
    suite.trace(host, Batch(images[right], labels[right], Rng(0, right)))
    return counts


def main() -> None:
    done, before = continued(__doc__, OUT, PAIRS, measure), json.loads(BEFORE.read_text())
    PAGE.write_text(between(PAGE.read_text(), "parts", told(done, before)))


def told(done: dict[str, Counts], before: dict[str, Counts]) -> str:
    """The table of what each part solves now, and the same of what was left out."""
    shares = [passes_of(counts) / passes_of(before[pair]) for pair, counts in done.items() if pair in before]
    now = f"{len(done)} networks, {IMAGES} images each, one seed; of these the correctly classified ones."
    then = (
        f"The suite of commit 4de02d8 on {len(before)} of the networks, its `close` alone; today's takes "
        f"{median(shares):.2f} of all its passes on the median of {len(shares)} networks:"
    )
    return "\n\n".join([now, table(done), then, table(before, "close/")])


def passes_of(counts: Counts) -> int:
    """Return all passes of a run, both kinds."""
    return sum(part["forwards"] + part["backwards"] for part in counts.values())


def table(done: dict[str, Counts], start: str = "") -> str:
    """One row for each part: its images, successes and passes on all pairs, and on how many of these it solved any."""
    names = [
        name for name in dict.fromkeys(name for counts in done.values() for name in counts) if name.startswith(start)
    ]
    head = ["part", "images it attacked", "solved", "on networks", "forward passes", "backward passes"]
    return markdown_table(
        head, [[f"`{name}`", *cells([counts[name] for counts in done.values() if name in counts])] for name in names]
    )


def cells(found: Sequence[dict[str, int]]) -> list[str]:
    images, solved, forwards, backwards = (sum(counts[column] for counts in found) for column in COLUMNS)
    networks = sum(counts["solved"] > 0 for counts in found)
    return [f"{count:,}" for count in (images, solved, networks, forwards, backwards)]


if __name__ == "__main__":
    main()
