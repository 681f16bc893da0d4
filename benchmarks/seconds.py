"""What an image that survives costs in seconds: `standard` beside AutoAttack's ensemble, side by side in one run.

    python benchmarks/seconds.py                         # every Linf pair of strength.py; continued where it was left
    python benchmarks/seconds.py digits-float:0.1
    python benchmarks/seconds.py --table                 # the table of docs/standard.md from results/peers/seconds.json

The first five images that neither leaves broken, by the records of `strength.py`, in one batch on one thread; on images
that fall both take less, and on more of them at once both take less for each.  The two run one after the other, so that
a busy machine disturbs both.  Pairs on which less than five images survive both are left out.

Needs the peers (`pip install 'quantattack[peers]'`).
"""

import time
import warnings
from statistics import median

from continued import continued
from strength import ENSEMBLE, OUT, PAGE, PAIRS, Pair, found

import quantattack as qa
from quantattack.attacks.adapters import AutoAttack
from quantattack.attacks.base import Attack
from quantattack.report.markdown import between, markdown_table

PLACE, SHOWN = OUT / "seconds.json", 5
BOTH = (ENSEMBLE, "standard")


def survivors(pair: Pair) -> list[int]:
    """Return the first images that `standard` and the ensemble leave, by their records."""
    records = found(pair.folder)
    left = [{int(index) for index in records[name].indices[records[name].survivors]} for name in BOTH]
    return sorted(set.intersection(*left))[:SHOWN]


def measure(text: str) -> dict[str, float]:
    """Return the seconds that each takes for the survivors of a pair; empty where they are too few."""
    pair = Pair.read(text, 0)
    shown = survivors(pair)
    if len(shown) < SHOWN:
        return {}
    images, labels = pair.shown(shown)
    model, taken = qa.load_model(pair.name), {}
    attacks: dict[str, Attack] = {"to warm up": qa.pgd(pair.threat), ENSEMBLE: AutoAttack(pair.threat)}
    for name, attack in {**attacks, "standard": qa.standard(pair.threat)}.items():
        begun = time.perf_counter()
        qa.evaluate(model, images, labels, {name: attack}, pair.threat, indices=shown)
        taken[name] = time.perf_counter() - begun
    return {name: taken[name] for name in BOTH}


def main() -> None:
    warnings.simplefilter("ignore")
    done = continued(__doc__, PLACE, PAIRS, measure)
    PAGE.write_text(between(PAGE.read_text(), "seconds", table(done)))


def table(done: dict[str, dict[str, float]]) -> str:
    """One row for each pair, from the most times faster to the least."""
    times = {pair: taken[ENSEMBLE] / taken["standard"] for pair, taken in done.items() if taken}
    order = sorted(times, key=times.__getitem__, reverse=True)
    rows = [
        [f"`{pair}`", *(f"{done[pair][name] / SHOWN:.2f}" for name in BOTH), f"{times[pair]:.1f}"] for pair in order
    ]
    head = ["pair", "AutoAttack's ensemble, seconds an image", "`standard`", "times as fast"]
    most, middle = sum(ratio >= 5 for ratio in times.values()), median(times.values())
    said = f"{middle:.1f} times as fast on the median of {len(times)} pairs; at least 5 times on {most} of them."
    return f"{said}\n\n{markdown_table(head, rows)}"


if __name__ == "__main__":
    main()
