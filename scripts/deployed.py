"""Build the numbers of docs/deployed-models.md from results/deployed; `--check` only says whether they are stale."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

from quantattack.record.store import Store
from quantattack.report.deployed import COLUMNS, Entry, deployed_lines

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "deployed-models.md"
FOLDER = ROOT / "results" / "deployed"
ABSENT = "Not measured yet: `python benchmarks/deployed.py` does."
KINDS = ("clean", "noise")


def markdown(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ABSENT
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(folder: Path) -> str:
    """The five numbers of every record, in percent, each with what it is above the worst case."""
    rows = []
    for run in sorted(path.parent for path in folder.glob("*/record.sqlite")):
        for line in deployed_lines(Store.load(run).records()):
            cells = [_cell(line.entries.get(column)) for column in COLUMNS]
            count = {entry.share.of for entry in line.entries.values() if entry is not None}
            rows.append([f"`{line.model}`, {line.threat}, ties {line.ties}", " and ".join(map(str, count)), *cells])
    words = (
        "Robust accuracy in % on that many test images of CIFAR-10, the first ones, seed 0; in brackets how far above "
        "the worst case, and its 95 % interval."
    )
    return markdown(["file", "images", *COLUMNS], rows) + (f"\n\n{words}" if rows else "")


def _cell(entry: Entry | None) -> str:
    if entry is None:
        return "-"
    share = f"{100 * entry.share.value:.1f}"
    if entry.over is None or entry.interval is None:
        return f"**{share}**"
    low, high = (100 * end for end in entry.interval)
    return f"{share} ({100 * entry.over:+.1f}, {low:+.1f} to {high:+.1f})"


def formats(path: Path) -> str:
    """How far twin and runtime agree, by file and format, on test images and on noise."""
    head = ["file", "format", "images", "outputs that differ, %", "largest step", "same prediction, %"]
    rows = [
        [
            f"`{name.removesuffix('-qdq')}`",
            form,
            str(kinds["clean"]["images"]),
            *_agreed([kinds[kind] for kind in KINDS]),
        ]
        for name, forms in _read(path).items()
        for form, kinds in forms.items()
    ]
    words = "Each number on test images / on uniform noise; a step is one of the file's quantized output."
    return markdown(head, rows) + (f"\n\n{words}" if rows else "")


def _agreed(found: list[dict[str, Any]]) -> list[str]:
    differing = [f"{100 * each['differing']:.3g}" for each in found]
    same = [f"{100 * each['argmax']:.1f}" for each in found]
    return [" / ".join(cells) for cells in (differing, map(_step, found), same)]


def _step(each: dict[str, Any]) -> str:
    if each["largest"] == 0:
        return "0"
    return f"{each['largest']:.2g} (float)" if each["step"] is None else str(each["step"])


def cost(ratios: Path, reproduced: Path) -> str:
    """The ratios, and what the PNG files reproduce."""
    found, counts = _read(ratios), _read(reproduced)
    kinds = ["twin over float network", "evaluation with the runtime over without"]
    rows = [
        [
            f"`{name}`",
            *(f"{found[name][kind]:.2f}" if name in found else "-" for kind in kinds),
            _share(counts.get(name)),
        ]
        for name in dict.fromkeys([*found, *counts])
    ]
    return markdown(["file", *kinds, "successes reproduced from PNG files"], rows)


def _share(counts: dict[str, int] | None) -> str:
    return "-" if counts is None else f"{counts['reproduced']:,} of {counts['successes']:,}"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def built(text: str, folder: Path = FOLDER) -> str:
    """The page with its numbers put in."""
    between = runpy.run_path(str(ROOT / "scripts" / "readme.py"))["_between"]
    text = between(text, "tables", tables(folder))
    text = between(text, "formats", formats(folder / "formats.json"))
    return between(text, "cost", cost(folder / "ratios.json", folder / "reproduced.json"))


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(0 if built(text) == text else "docs/deployed-models.md is stale: run `make results`")
    PAGE.write_text(built(text), encoding="utf-8")


if __name__ == "__main__":
    main()
