"""Build the README's numbers from the records in results/; `--check` only says whether they are stale."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from quantattack.record.record import Record
from quantattack.record.store import Store

ROOT = Path(__file__).parents[1]
ROWS = ("pgd[steps=40]", "pgd_plus_hns[steps=40]", "pgd", "gap", "log_odds", "rivals", "square")
WORDS = {
    "digits-mdtanhs": "binarized",
    "digits-mdtanhs-bn": "binarized, BatchNorm on its logits",
    "digits-float": "float twin",
}


def table(records: list[Record]) -> str:
    """Robust accuracy of each network under each attack, in percent."""
    head = ["robust accuracy, %", *(f"{WORDS[record.subject.model]}<br>`{record.subject.model}`" for record in records)]
    lines = [head, ["---", *["---:"] * len(records)], ["clean", *(_percent(record.clean) for record in records)]]
    lines += [[f"`{name}`", *(_percent(record.robust(name)) for record in records)] for name in ROWS]
    lines += [["**worst case**", *(f"**{_percent(record.worst_case)}**" for record in records)]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# The paper's networks and what stands for them, with the numbers published for PGD, NJS and HNS
CIFAR10 = {
    "cifar10-vgg5-float": ("VGG-16, float", 0.04, 0.0, 0.0),
    "cifar10-vgg5-mdtanhs": ("VGG-16, binary weights", 47.32, 0.0, 0.0),
    "cifar10-vgg5-bnn-waq": ("VGG-16, binary weights and activations", 78.01, 0.01, 0.02),
    "cifar10-resnet8-float": ("ResNet-18, float", 0.0, 0.0, 0.0),
    "cifar10-resnet8-mdtanhs": ("ResNet-18, binary weights", 26.98, 0.0, 0.0),
    "cifar10-resnet8-bnn-waq": ("ResNet-18, binary weights and activations", 8.57, 0.03, 0.04),
}
COLUMNS = {"pgd": "PGD", "pgd_plus_njs": "PGD++ NJS", "pgd_plus_hns": "PGD++ HNS", "pgd_plus_gap": "PGD++ Gap"}


def cifar10(folder: Path, networks: Mapping[str, tuple[str, float, float, float]], images: int = 200) -> str:
    """Robust accuracy on CIFAR-10 in percent as measured, what the paper prints in brackets."""
    head = ["the paper's network", "here", "clean", *COLUMNS.values()]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for name, (words, *paper) in networks.items():
        if (folder / f"{name}-{images}" / "record.sqlite").is_file():
            lines.append([words, f"`{name}`", *_measured(folder / f"{name}-{images}", paper)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _measured(folder: Path, paper: list[float]) -> list[str]:
    store = Store.load(folder)
    (record,) = [record for record in store.records() if set(COLUMNS) <= set(record.attacks)]
    published = [f" ({value:g})" for value in paper] + [""]
    cells = [_percent(record.robust(name)) + words for name, words in zip(COLUMNS, published, strict=True)]
    return [_percent(record.clean), *cells]


def output(record: Record) -> str:
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
    text = _between(text, "cifar10", cifar10(ROOT / "results" / "gupta2022", CIFAR10))
    return _between(text, "output", output(named["digits-mdtanhs"]))


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
