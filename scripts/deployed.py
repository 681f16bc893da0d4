"""Build the numbers of docs/deployed-models.md from results/deployed; `--check` only says whether they are stale."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.report.deployed import ARGMAX, COLUMNS, Entry, Line, deployed_lines
from quantattack.report.markdown import between, markdown_table
from quantattack.report.tables import threat_words
from quantattack.report.trust import doubts

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "deployed-models.md"
FOLDER = ROOT / "results" / "deployed"
ABSENT = "Not measured yet: `python benchmarks/deployed.py` does."
KINDS = ("clean", "noise")
PUBLISHED = "mlperf-tiny-resnet8-int8"
IN_TORCH = "twin by the network in torch (convolution, batch norm, relu)"
LOGITS = "PGD on logits"  # of a file that ends in a softmax: what enters it
CAPTION = (
    "Robust accuracy in % on that many test images of CIFAR-10, the first ones, seed 0; in brackets how far above the "
    "worst case, and its 95 % interval, which covers the choice of images and not that of the seed. Transferred, "
    "Square and PGD are members of the worst case, so theirs cannot be below it. A flag beside a worst case is one "
    "for which `--min-robust` refuses the number: it is an upper bound that a better attack would lower."
)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    return markdown_table(head, rows) if rows else ABSENT


def measured(folder: Path) -> Iterator[tuple[Line, Record]]:
    """Every line of the records' tables, with the evaluation that it is of."""
    for run in sorted(path.parent for path in folder.glob("*/record.sqlite")):
        records = Store.load(run).records()
        named = {(record.subject.model, threat_words(record.threat)): record for record in records}
        yield from ((line, named[line.model, line.threat]) for line in deployed_lines(records))


def tables(folder: Path) -> str:
    """The numbers of every record, in percent, each of the five with what it is above the worst case."""
    head = ["file", "images", "clean", *COLUMNS[:-1], LOGITS, COLUMNS[-1]]
    rows = []
    for line, record in measured(folder):
        cells = [_cell(line.entries.get(column)) for column in COLUMNS[:-1]]
        about = [f"`{line.model}`, {line.threat}, ties {line.ties}", str(record.images), percent(record.clean)]
        rows.append([*about, *cells, on_logits(line, record), worst(line, record)])
    return markdown(head, rows) + (f"\n\n{CAPTION}" if rows else "")


def on_logits(line: Line, record: Record) -> str:
    """What PGD leaves on what enters a file's softmax, ties decided by argmax; a dash where there is none."""
    return percent(record.robust("pgd_logits")) if line.ties == ARGMAX and "pgd_logits" in record.attacks else "-"


def worst(line: Line, record: Record) -> str:
    """The worst case, with the flags for which a gate would refuse it."""
    entry = line.entries["worst case"]
    share = "-" if entry is None else f"**{percent(entry.share.value)}**"
    return " ".join([share, *(f"`{code}`" for code in doubts(record))])


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _cell(entry: Entry | None) -> str:
    if entry is None or entry.over is None or entry.interval is None:
        return "-"
    low, high = (100 * end for end in entry.interval)
    return f"{percent(entry.share.value)} ({100 * entry.over:+.1f}, {low:+.1f} to {high:+.1f})"


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


def cost(folder: Path) -> str:
    """The ratios, and what the PNG files reproduce."""
    found, counts = _read(folder / "ratios.json"), _read(folder / "reproduced.json")
    in_torch = {PUBLISHED: _read(folder / "tflite.json").get("speed", {}).get(IN_TORCH)}
    kinds = ["twin over float network", "evaluation with the runtime over without"]
    rows = []
    for name in dict.fromkeys([*found, *counts]):
        twin, judged = (f"{found[name][kind]:.2f}" if name in found else "-" for kind in kinds)
        beside = "" if in_torch.get(name) is None else f" ({in_torch[name]:.2f} over it in torch)"
        rows.append([f"`{name}`", twin + beside, judged, _share(counts.get(name))])
    return markdown(["file", *kinds, "successes reproduced from PNG files"], rows)


def _share(counts: dict[str, int] | None) -> str:
    return "-" if counts is None else f"{counts['reproduced']:,} of {counts['successes']:,}"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def built(text: str, folder: Path = FOLDER) -> str:
    """The page with its numbers put in."""
    text = between(text, "tables", tables(folder))
    text = between(text, "formats", formats(folder / "formats.json"))
    return between(text, "cost", cost(folder))


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(0 if built(text) == text else "docs/deployed-models.md is stale: run `make results`")
    PAGE.write_text(built(text), encoding="utf-8")


if __name__ == "__main__":
    main()
