"""Build the README's numbers from the records in results/; `--check` only says whether they are stale."""

import re
import sys
from pathlib import Path

from quantattack.records import Record, Store

ROOT = Path(__file__).parents[1]
ROWS = ("pgd[steps=40]", "pgd_plus_hns[steps=40]", "pgd", "gap", "log_odds", "rivals", "square")
WORDS = {
    "digits-mdtanhs": "binarized",
    "digits-mdtanhs-bn": "binarized, BatchNorm on its logits",
    "digits-float": "float twin",
}


def table(records: list[Record]) -> str:
    """Robust accuracy of each network under each attack, in percent."""
    head = ["robust accuracy, %", *(f"{WORDS[one.subject.model]}<br>`{one.subject.model}`" for one in records)]
    lines = [head, ["---", *["---:"] * len(records)], ["clean", *(_percent(one.clean) for one in records)]]
    lines += [[f"`{name}`", *(_percent(one.robust(name)) for one in records)] for name in ROWS]
    lines += [["**worst case**", *(f"**{_percent(one.worst_case)}**" for one in records)]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def printed(record: Record) -> str:
    """What the README's example prints."""
    numbers = f"clean {record.clean:.3f}  pgd {record.robust('pgd'):.3f}  worst case {record.worst_case:.3f}"
    return "```text\n" + "\n".join([numbers, f"masked: {_first_masked(record)}"]) + "\n```"


def _first_masked(record: Record) -> str:
    rate, worst = record.robust("pgd"), record.worst_case
    return (
        f"pgd says {100 * rate:.1f}% where at most {100 * worst:.1f}% is true: "
        "the attack failed, the network did not hold"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def built(text: str) -> str:
    """The README with its numbers put in."""
    records = Store.load(ROOT / "results" / "demo").records()
    named = {record.subject.model: record for record in records}
    text = _between(text, "table", table(records))
    return _between(text, "output", printed(named["digits-mdtanhs"]))


def _between(text: str, mark: str, content: str) -> str:
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- end {mark} -->)"
    return re.sub(pattern, lambda match: f"{match.group(1)}{content}\n{match.group(2)}", text, flags=re.DOTALL)


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text()
    if "--check" in sys.argv:
        sys.exit(0 if built(text) == text else "README.md is stale: run `make results`")
    path.write_text(built(text))


if __name__ == "__main__":
    main()
