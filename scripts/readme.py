"""Build the README's numbers from the records in results/; `--check` only says whether they are stale."""

import runpy
import sys
from collections.abc import Mapping
from pathlib import Path

from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.report.deployed import ARGMAX
from quantattack.report.deployed import COLUMNS as DEPLOYED
from quantattack.report.markdown import between, markdown_table
from quantattack.reproduction.catalog import PAPERS

ROOT = Path(__file__).parents[1]
ROWS = ("pgd[steps=40]", "pgd_plus_hns[steps=40]", "pgd", "gap", "square", "log_odds", "rivals", "close")
WORDS = {
    "digits-mdtanhs": "binarized",
    "digits-mdtanhs-bn": "binarized, BatchNorm on its logits",
    "digits-float": "float network",
    "mnist-lenet-mdtanhs": "binarized, of MNIST",
}


def table(records: list[Record]) -> str:
    """Robust accuracy of each network under each attack, in percent."""
    head = ["robust accuracy, %", *(f"{WORDS[record.subject.model]}<br>`{record.subject.model}`" for record in records)]
    lines = [["clean", *(_percent(record.clean) for record in records)]]
    lines += [[f"`{name}`", *(_percent(record.robust(name)) for record in records)] for name in ROWS]
    lines += [["**worst case**", *(f"**{_percent(record.worst_case)}**" for record in records)]]
    return markdown_table(head, lines)


KINDS = {"REF": "float", "BNN-WQ": "binary weights", "BNN-WAQ": "binary weights and activations"}
ENDS = ", its training ends on its logits as they are"
ARCHITECTURES = ("VGG-16", "ResNet-18")


def printed() -> dict[str, tuple[str, float, float, float]]:
    """What stands for the paper's networks on CIFAR-10: which these are, and what it prints for PGD, NJS and HNS."""
    tables = (PAPERS["gupta2022"].items[key] for key in ("table2", "table3"))
    rows = [row for item in tables for row in item.rows if row.role.data == "cifar10" and row.role.kind in KINDS]
    places = [(name, kind) for name in ARCHITECTURES for kind in KINDS]
    chosen = [row for row in rows if row.role.family in ARCHITECTURES]
    chosen.sort(key=lambda row: (places.index((row.role.family, row.role.kind)), row.role.twin))
    words = [f"{row.role.family}, {KINDS[row.role.kind]}{ENDS if row.role.twin else ''}" for row in chosen]
    return {row.role.small[0]: (text, *row.published[3:6]) for row, text in zip(chosen, words, strict=True)}


CIFAR10 = printed()
COLUMNS = {"pgd": "PGD", "pgd_plus_njs": "PGD++ NJS", "pgd_plus_hns": "PGD++ HNS", "pgd_plus_gap": "PGD++ Gap"}
SCALED = "as trained"  # PGD at the scale of the training's loss


def cifar10(folder: Path, networks: Mapping[str, tuple[str, float, float, float]], images: int = 200) -> str:
    """Robust accuracy on CIFAR-10 in percent as measured, what the paper prints in brackets."""
    head = ["the paper's network", "here", "clean", *COLUMNS.values()]
    head.insert(4, "PGD at the training's scale")
    lines = []
    for name, (words, *paper) in networks.items():
        run = f"{name}-{images}"
        place = folder / "gupta2022" / run
        if (place / "record.sqlite").is_file():
            cells = _measured(place, paper)
            cells.insert(2, _scaled(folder / "beyond" / run) or cells[1].split()[0])  # a scale of 1 is plain PGD
            lines.append([words, f"`{name}`", *cells])
    return markdown_table(head, lines, words=2)


def _scaled(folder: Path) -> str | None:
    """What PGD leaves at the scale of the training; None for a network trained on its logits as they are."""
    if not (folder / "record.sqlite").is_file():
        return None
    (record,) = [record for record in Store.load(folder).records() if SCALED in record.attacks]
    return _percent(record.robust(SCALED))


def _measured(folder: Path, paper: list[float]) -> list[str]:
    (record,) = [record for record in Store.load(folder).records() if set(COLUMNS) <= set(record.attacks)]
    published = [f" ({value:g})" for value in paper] + [""]
    cells = [_percent(record.robust(name)) + words for name, words in zip(COLUMNS, published, strict=True)]
    return [_percent(record.clean), *cells]


def deployed(folder: Path) -> str:
    """What deployed files leave at 2/255 under each kind of attack, in percent, ties decided by argmax."""
    page = runpy.run_path(str(ROOT / "scripts" / "deployed.py"))
    head, lines = ["file", "images", "clean", *DEPLOYED[:-1], page["LOGITS"], DEPLOYED[-1]], []
    for line, record in page["measured"](folder):
        if line.ties == ARGMAX and "2/255" in line.threat:
            entries = [line.entries.get(column) for column in DEPLOYED[:-1]]
            shares = ["-" if entry is None else _percent(entry.share.value) for entry in entries]
            cells = [*shares, page["on_logits"](line, record), page["worst"](line, record)]
            lines.append([f"`{line.model}`", str(record.images), _percent(record.clean), *cells])
    return markdown_table(head, lines)


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
    mnist = Store.load(ROOT / "results" / "mnist").records()
    text = between(text, "table", table([*records, *mnist]))
    text = between(text, "cifar10", cifar10(ROOT / "results", CIFAR10))
    text = between(text, "deployed", deployed(ROOT / "results" / "deployed"))
    return between(text, "output", output(named["digits-mdtanhs"]))


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text()
    if "--check" in sys.argv:
        sys.exit(0 if built(text) == text else "README.md is stale: run `make results`")
    path.write_text(built(text))


if __name__ == "__main__":
    main()
