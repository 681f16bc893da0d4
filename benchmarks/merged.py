"""How far one run of `standard` is from the truth, from above: from ten runs merged, and 20,000 queries more.

    python benchmarks/merged.py                          # every pair below; results/merged.json is continued
    python benchmarks/merged.py digits-float:0.1
    python benchmarks/merged.py --table                  # the table of docs/standard.md from that file alone

The first 100 images.  The first run has seed 0, the others seeds 1 to 10; each attacks what all before it left, which
leaves the same as if each attacked every image, since an image's random numbers do not depend on the others.  Then
Square that keeps ties asks up to 20,000 queries for each image that is left.  Where results/truth has a complete search
at the same network and radius, its bounds stand beside.
"""

from pathlib import Path

from continued import continued
from strength import Pair
from truth import case

import quantattack as qa
from quantattack.attacks.base import Attack
from quantattack.report.markdown import between, markdown_table

ROOT = Path(__file__).parents[1]
OUT, PAGE = ROOT / "results" / "merged.json", ROOT / "docs" / "standard.md"
IMAGES, RUNS, QUERIES = 100, 10, 20_000
PAIRS = (
    *("digits-w4-bnn-waq:0.02", "digits-w4-bc:0.02", "digits-float:0.1", "digits-uniform4:0.1", "digits-bnn-waq:0.05"),
    *("mnist-lenet-float:0.1", "fashion-lenet-mdtanhs:8/255", "cifar10-vgg5-float:3/255"),
)


def left_by(attack: Attack, pair: Pair, indices: list[int], seed: int) -> list[int]:
    """Return which of some images an attack does not break."""
    if not indices:
        return []
    images, labels = pair.shown(indices)
    settings = {"indices": indices, "seed": seed, "batch_size": 128}
    record = qa.evaluate(qa.load_model(pair.name), images, labels, {"attack": attack}, pair.threat, **settings)
    return [int(index) for index in record.indices[record.survivors]]


def measure(text: str) -> dict[str, list[list[int]]]:
    """Return what is left after each run, and after the queries."""
    pair = Pair.read(text, 0)
    suite, runs = qa.standard(pair.threat), [list(range(IMAGES))]
    for seed in range(RUNS + 1):
        runs.append(left_by(suite, pair, runs[-1], seed))
    square = qa.Square(threat=pair.threat, queries=QUERIES, ties=True)
    return {"runs": runs[1:], "square": [left_by(square, pair, runs[-1], RUNS + 1)]}


def main() -> None:
    done = continued(__doc__, OUT, PAIRS, measure)
    PAGE.write_text(between(PAGE.read_text(), "merged", table(done)))


def table(done: dict[str, dict[str, list[list[int]]]]) -> str:
    """One row for each pair, in percent of its 100 images."""
    head = ["pair", "one run", "ten more merged", f"and {QUERIES:,} queries of Square", "complete search"]
    rows = [
        [f"`{pair}`", *(str(len(left)) for left in (runs["runs"][0], runs["runs"][-1], runs["square"][0])), exact(pair)]
        for pair, runs in done.items()
    ]
    return markdown_table(head, rows)


def exact(pair: str) -> str:
    """Return the bounds of a complete search on the same images; empty where there is none."""
    folder = case(pair)[0]
    if not folder.is_dir():
        return ""
    record = qa.Record.load(folder)
    if record.indices.tolist() != list(range(IMAGES)) or record.bracket is None:
        return ""
    low, high = (round(100 * bound) for bound in record.bracket)
    return str(low) if low == high else f"{low} to {high}"


if __name__ == "__main__":
    main()
