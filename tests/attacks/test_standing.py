"""What docs/standard.md says of `standard` beside AutoAttack's ensemble is what the records say."""

from pathlib import Path
from statistics import median

from quantattack.record.store import Store

ROOT = Path(__file__).parents[2]


def total(folder: Path, column: str) -> float:
    record = Store.load(folder).records()[0]
    assert record.finished
    return float(record.column(record.attacks[0], column).astype(float).sum())


def test_it_takes_an_eighth_of_the_ensembles_backward_passes_at_most_and_a_twelfth_on_the_median():
    line = next(
        line for line in (ROOT / "docs" / "standard.md").read_text().splitlines() if line.startswith("| linf |")
    )
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    pairs = [path for path in (ROOT / "results" / "peers").iterdir() if path.is_dir()]
    pairs = [path for path in pairs if not any(mark in path.name for mark in ("-l1", "-l2", "-from", "-seed"))]
    shares = [
        total(path / "standard", "backwards") / total(path / "autoattack-standard", "backwards") for path in pairs
    ]
    assert int(cells[1]) == len(pairs) >= 32
    assert cells[5:7] == [f"{median(shares):.3f}", f"{max(shares):.3f}"]
    assert median(shares) < 1 / 12
    assert max(shares) < 1 / 8


def robust(folder: Path) -> float:
    record = Store.load(folder).records()[0]
    assert record.finished
    return float(record.robust(record.attacks[0]))


def test_under_linf_it_leaves_on_no_pair_more_than_the_ensemble_under_two_seeds():
    peers = ROOT / "results" / "peers"
    pairs = [
        path
        for path in peers.iterdir()
        if path.is_dir() and not any(mark in path.name for mark in ("-l1", "-l2", "-from"))
    ]
    more = [
        path.name
        for path in pairs
        if robust(path / "standard") > robust(peers / path.name.removesuffix("-seed1") / "autoattack-standard") + 1e-9
    ]
    assert len(pairs) >= 64
    assert more == []


def test_the_page_has_the_first_table_of_the_records_page():
    page, first = ((ROOT / name).read_text() for name in ("docs/standard.md", "results/peers/strength.md"))
    standing = page.partition("<!-- standing -->\n")[2].partition("\n<!-- end standing -->")[0]
    assert standing
    assert standing == first.partition("\n\n")[2].partition("\n\n## ")[0]
