"""Build the tables of docs/pixels.md from results/pixels; `--check` only says whether they are stale."""

import json
import sys
from pathlib import Path
from typing import Any

from quantattack.report.markdown import between, markdown_table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "pixels.md"
FOLDER = ROOT / "results" / "pixels"
SUITE = ("pgd", "gap", "log_odds", "rivals", "square")
ALONE = ("pgd", "gap")  # measured with every way of rounding
WORDS = {
    "cifar10-resnet8-bnn-waq": "binarized ResNet-8",
    "cifar10-resnet8-mdtanhs": "MD-tanh-S ResNet-8",
    "cifar10-resnet8-float": "float ResNet-8",
    "mlperf-tiny-resnet8-int8": "MLPerf Tiny's ResNet-8, int8 file",
    "cifar10-resnet8-mdtanhs-adv": "MD-tanh-S, trained adversarially",
    "cifar10-resnet8-float-adv": "float, trained adversarially",
}
METHODS = {"real": "real numbers, not rounded", "afterwards": "rounded afterwards", "projected": "projected"}


def files(folder: Path, images: int) -> dict[tuple[str, int], dict[str, Any]]:
    """What was measured on a number of images, by network and radius in levels, in the order of WORDS."""
    paths = {(name, radius): folder / f"{name}-{radius}_255-{images}.json" for name in WORDS for radius in (1, 2)}
    return {key: json.loads(path.read_text(encoding="utf-8")) for key, path in paths.items() if path.is_file()}


def measured(entry: dict[str, Any]) -> tuple[str, ...]:
    """The attacks of the suite that were run both ways."""
    return tuple(attack for attack in SUITE if {"afterwards", "grid"} <= set(entry.get(attack, ())))


def left(entry: dict[str, Any], method: str, attacks: tuple[str, ...] = SUITE) -> int:
    """Correct images that all of some attacks leave together."""
    runs = [entry[attack][method] for attack in attacks]
    (clean,) = {run["clean"] for run in runs}
    return int(clean) - len(set().union(*(run["broken"] for run in runs)))


def suite(folder: Path) -> str:
    """Each attack and all together: rounded afterwards against the search on the grid."""
    head = ["network, radius", "right", *(f"`{attack}`" for attack in SUITE), "worst case"]
    rows = [
        [
            f"{WORDS[name]}, {radius}/255",
            str(entry["pgd"]["grid"]["clean"]),
            *(_pair(entry, (attack,)) for attack in SUITE),
            _pair(entry, SUITE),
        ]
        for (name, radius), entry in files(folder, 50).items()
    ]
    return markdown_table(head, rows)


def _pair(entry: dict[str, Any], attacks: tuple[str, ...]) -> str:
    if not set(attacks) <= set(measured(entry)):
        return "-"
    return f"{left(entry, 'afterwards', attacks)} → **{left(entry, 'grid', attacks)}**"


def methods(folder: Path) -> str:
    """PGD and Gap alone, by the way of rounding."""
    rows = []
    for (name, radius), entry in files(folder, 100).items():
        for attack in ALONE:
            runs = entry[attack]
            numbers = {"real": runs["afterwards"]["real"]} | {each: left(entry, each, (attack,)) for each in runs}
            cells = [str(numbers[method]) for method in METHODS]
            rows.append([f"{WORDS[name]}, {radius}/255", f"`{attack}`", *cells, f"**{numbers['grid']}**"])
    return markdown_table(["network, radius", "attack", *METHODS.values(), "on the grid"], rows, words=2)


def built(text: str, folder: Path = FOLDER) -> str:
    """The page with its tables put in."""
    text = between(text, "suite", suite(folder))
    return between(text, "methods", methods(folder))


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(0 if built(text) == text else "docs/pixels.md is stale: run `make results`")
    PAGE.write_text(built(text), encoding="utf-8")


if __name__ == "__main__":
    main()
