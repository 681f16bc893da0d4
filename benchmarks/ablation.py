"""What each member of `standard` is for: the suite without it, in robust accuracy and in passes.

    python benchmarks/ablation.py                        # every pair below; results/ablation is not run again
    python benchmarks/ablation.py digits-float:0.1
    python benchmarks/ablation.py --table                # the table of docs/standard.md from results/ablation alone

Images 100 to 199 of each data set: the settings of `HillClimbing` were chosen on images 100 to 266 of the digits, so it
is not blind there; nothing else of the suite was tuned on them.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from strength import Pair

import quantattack as qa
from quantattack.attacks.base import Attack
from quantattack.nn.zoo import card_of
from quantattack.report.markdown import between, markdown_table

ROOT = Path(__file__).parents[1]
OUT, PAGE = ROOT / "results" / "ablation", ROOT / "docs" / "standard.md"
FIRST, LAST = 100, 200
PAIRS = (
    *("digits-float:0.1", "digits-uniform2:0.1", "digits-uniform4:0.1", "digits-bnn-waq:0.05"),
    *("mnist-lenet-bnn-waq:0.05", "fashion-lenet-mdtanhs:8/255"),
)
WHOLE = "the whole suite"


def variants(threat: qa.Threat) -> dict[str, Attack]:
    """The suite, and what is left of it without each member and without what its parts have of their own."""
    suite = qa.standard(threat)
    return {
        WHOLE: suite,
        **{f"without `{name}`": without(suite, name) for name in suite.members},
        **{f"`close` without `{name}`": without_last(suite, name) for name in suite.attacks["close"].attack.attacks},
        "Square without ties": changed(suite, strict),
        "signs with their own derivative": changed(suite, plain),
    }


def without(suite: qa.Ensemble, name: str) -> qa.Ensemble:
    attacks = {other: attack for other, attack in suite.attacks.items() if other != name}
    return replace(suite, attacks=attacks, onward=tuple(other for other in suite.onward if other != name))


def without_last(suite: qa.Ensemble, name: str) -> qa.Ensemble:
    """Return the suite with a part of `close` left out."""
    close: Any = suite.attacks["close"]
    return replace(suite, attacks={**suite.attacks, "close": replace(close, attack=without(close.attack, name))})


def changed(attack: Any, change: Callable[[Any], Any]) -> Any:
    """Return an attack with a change made in it and in every attack that it runs."""
    if isinstance(attack, qa.Ensemble):
        return replace(attack, attacks={name: changed(each, change) for name, each in attack.attacks.items()})
    inside = getattr(attack, "attack", None)
    return change(attack if inside is None else replace(attack, attack=changed(inside, change)))


def strict(attack: Any) -> Any:
    return replace(attack, ties=False) if isinstance(attack, qa.Square) else attack


def plain(attack: Any) -> Any:
    return attack.attack if isinstance(attack, qa.SmoothSigns) else attack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", help="network:radius, under Linf")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if not arguments.table:
        torch.set_num_threads(1)
        for pair in arguments.pairs or PAIRS:
            measure(pair)
    PAGE.write_text(between(PAGE.read_text(), "ablation", table()))


def measure(pair: str) -> None:
    """Run the variants that a pair's file lacks, one after the other."""
    read = Pair.read(pair, 0)
    threat, (clean, labels) = read.threat, qa.load_data(card_of(read.name).data)
    model, index = qa.load_model(read.name), range(FIRST, LAST)
    place = OUT / f"{read.folder.name}.json"
    done: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
    for variant, attack in variants(threat).items():
        if variant in done:
            continue
        record = qa.evaluate(
            model, clean[FIRST:LAST], labels[FIRST:LAST], {variant: attack}, threat, indices=index, batch_size=100
        )
        columns = {each: float(record.column(variant, each).mean()) for each in ("forwards", "backwards")}
        done[variant] = {"robust": record.robust(variant), **columns}
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(done, indent=1) + "\n")
        print(pair, variant, done[variant], flush=True, file=sys.stderr)


def table() -> str:
    """One row for each variant, one column for each network: points of accuracy more, and the change of the passes."""
    found = {place.stem: json.loads(place.read_text()) for place in sorted(OUT.glob("*.json"))}
    rows = max((list(done) for done in found.values()), key=len)  # parts that the suite had then, too
    lines = [[row, *(cell(done, row) for done in found.values())] for row in rows]
    said = (
        f"Images {FIRST} to {LAST - 1}. First row: robust accuracy in %, backward and forward passes an image. Other "
        "rows: points of robust accuracy more than that, and the change of the passes. The settings of `HillClimbing` "
        "were chosen on images of the digits that are among these.\n\n"
    )
    return said + markdown_table(["", *(f"`{name}`" for name in found)], lines)


def cell(done: Mapping[str, Mapping[str, float]], row: str) -> str:
    if row not in done:
        return ""
    this, whole = done[row], done[WHOLE]
    if row == WHOLE:
        return f"{100 * this['robust']:.0f}; {this['backwards']:.0f}, {this['forwards']:.0f}"
    points, back, forth = (this[name] - whole[name] for name in ("robust", "backwards", "forwards"))
    return f"{100 * points:+.0f}; {back:+.0f}, {forth:+.0f}"


if __name__ == "__main__":
    main()
