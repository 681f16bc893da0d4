"""Build the tables of docs/many-classes.md from results/thousand; `--check` only says whether they are stale."""

import json
import sys
from pathlib import Path
from typing import Any

from quantattack.report.markdown import between, markdown_table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "many-classes.md"
FOLDER = ROOT / "results" / "thousand"
ABSENT = "Not measured yet: `python benchmarks/{}.py` does."
WORDS = {
    "hns": "`Hns(rivals=20)`, one fit",
    "njs": "`Njs.fit`",
    "pgd": "`pgd_plus` at `Hns(rivals=20)`, 20 steps",
    "standard": "`standard`",
    "diagnose": "`diagnose`",
}


def read(folder: Path, name: str) -> dict[str, Any]:
    """What a benchmark wrote; nothing where it has not run."""
    path = folder / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def rivals(found: dict[str, Any]) -> str:
    """How much of the whole Hessian's norm is reached among few rivals."""
    rows = [
        [f"`{network}`", count, str(entry["passes"]), *(f"{100 * entry[key]:.2f}" for key in ("mean", "least"))]
        for network, entries in found.get("networks", {}).items()
        for count, entry in entries.items()
    ]
    return _table(["network", "rivals", "passes", "mean, %", "least, %"], 1, rows) or ABSENT.format("rivals")


def run(found: dict[str, Any]) -> str:
    """What each part took."""
    rows = [_row(part, entry) for part, entry in found.get("parts", {}).items()]
    head = [
        "network",
        "channels",
        "part",
        "radius",
        "passes an image",
        "result",
        "seconds",
        "of the processor",
        "peak, GiB",
    ]
    return _table(head, 3, rows) or ABSENT.format("thousand")


def _row(part: str, entry: dict[str, Any]) -> list[str]:
    kind, _, name = part.partition("/")
    spent = f"{entry['passes']:.0f}" if "passes" in entry else "-"
    spent = f"at most {entry['passes at most']}" if "passes at most" in entry else spent
    times = [f"{entry[key]:.0f}" for key in ("seconds", "processor")]
    radius = f"{255 * entry['radius']:.2g}/255" if entry["radius"] is not None else "-"
    about = [kind, f"{entry['width']:g}", WORDS[name], radius, spent, _result(entry)]
    return [*about, *times, f"{entry['peak MiB'] / 1024:.2f}"]


def _result(entry: dict[str, Any]) -> str:
    """What came out, in a few words."""
    if "robust" in entry:
        each = ", ".join(f"`{name}` {100 * value:.0f}" for name, value in entry["robust"].items())
        return f"left, %: {each}; together {100 * entry['worst case']:.0f}"
    if "checks" in entry:
        verdicts = list(entry["checks"].values())
        return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    if "error" in entry:
        mean = entry["mean singular value"]
        return (
            f"{mean:.3g}, standard error {100 * entry['error']:.2g} %, too high by at most {100 * entry['below']:.2g} %"
        )
    return f"{entry['of all classes']} passes with all classes"


def _table(head: list[str], words: int, rows: list[list[str]]) -> str:
    return markdown_table(head, rows, words) if rows else ""


def built(text: str, folder: Path = FOLDER) -> str:
    """The page with its tables put in."""
    text = between(text, "rivals", rivals(read(folder, "rivals")))
    return between(text, "run", run(read(folder, "run")))


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(0 if built(text) == text else "docs/many-classes.md is stale: run `make results`")
    PAGE.write_text(built(text), encoding="utf-8")


if __name__ == "__main__":
    main()
