"""Build the tables of docs/certify.md from results/truth; `--check` only says whether they are stale."""

import json
import sys
from pathlib import Path

import numpy as np

from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.report.markdown import between, markdown_table
from quantattack.report.tables import radius_words

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "certify.md"
FOLDER = ROOT / "results" / "truth"
ABSENT = "Not measured yet: `python benchmarks/truth.py` does."


def records(folder: Path) -> list[Record]:
    """The finished records, by name."""
    found = [Store.load(path.parent).records()[0] for path in sorted(folder.glob("*/record.sqlite"))]
    return [record for record in found if record.finished]


def left(record: Record, *names: str) -> int | None:
    """Images that some attacks leave together; None if none of them was run."""
    broken = [record.broken(name) for name in names if name in record.attacks]
    return int((~np.logical_or.reduce(broken)).sum()) if broken else None


def row(record: Record) -> list[str]:
    """One network: what each attack says, and what is true."""
    count, radius = record.images, radius_words(record.threat["radius"])
    numbers = [*(left(record, name) for name in ("pgd", "autoattack", "standard")), left(record, *record.attacks)]
    found = list(record.bounds.values())
    levels = " on bytes" if record.threat.get("levels") else ""
    cells = ["-" if number is None else f"{100 * number / count:.1f}" for number in numbers]
    seconds = sum(bound.seconds for bound in found) / max(1, len(found))
    broken = sum(bound.verdict == "broken" for bound in found)
    first = int(record.indices[0])
    images = f"{first} to {first + count - 1}" if first else str(count)
    about = [f"`{record.subject.model}`, {radius}{levels}", images, f"{100 * record.clean:.1f}"]
    proved = f"{100 * int(record.proved.sum()) / count:.1f}"
    return [*about, *cells[:3], f"**{cells[3]}**", f"**{proved}**", str(broken), f"{seconds:.1f}"]


def truth(folder: Path) -> str:
    """The table of all records."""
    head = ["network, radius", "images", "clean", "PGD", "AutoAttack", "`standard`", "exact", "proved"]
    head += ["images that search broke", "seconds an image"]
    return table(head, [row(record) for record in records(folder)])


def hammered(path: Path) -> str:
    """The table of what was attacked again."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    keys = ("images", "seeds", "queries", "runs", "broken")
    head = ["network:radius", "attacks", "proved images", "seeds", "queries of Square", "runs", "broken"]
    return table(
        head,
        [
            [f"`{entry['pair']}`", ", ".join(entry["attacks"]).replace("_", " "), *(f"{entry[key]:,}" for key in keys)]
            for entry in found
        ],
        words=2,
    )


def table(head: list[str], rows: list[list[str]], words: int = 1) -> str:
    return markdown_table(head, rows, words=words) if rows else ABSENT


def built(text: str, folder: Path = FOLDER) -> str:
    """The page with its tables put in."""
    text = between(text, "truth", truth(folder))
    return between(text, "hammered", hammered(folder / "hammered.json"))


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(0 if built(text) == text else "docs/certify.md is stale: run `make results`")
    PAGE.write_text(built(text), encoding="utf-8")


if __name__ == "__main__":
    main()
