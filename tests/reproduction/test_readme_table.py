"""The README's table of CIFAR-10 is built from a reproduction's records."""

import runpy
from pathlib import Path

from quantattack.nn.zoo import card_of
from quantattack.record.store import Store
from quantattack.reproduction.read import Reader
from quantattack.reproduction.roles import role_of

RESULTS = Path(__file__).parents[2] / "results"
SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "readme.py"))


def test_the_table_has_what_the_record_has_and_what_the_paper_prints(filled):
    plan = filled["gupta2022"]
    networks = {"digits-mdtanhs": ("binary", 47.32, 0.0, 0.5), "digits-nothing": ("absent", 1.0, 1.0, 1.0)}
    head, rule, *rows = SCRIPT["cifar10"](plan.out, networks, 10).splitlines()
    assert head == (
        "| the paper's network | here | clean | PGD | PGD at the training's scale | PGD++ NJS | PGD++ HNS | PGD++ Gap |"
    )
    assert rule.count("---:") == 6
    (row,) = rows  # a network without a record has no row
    reader = Reader(plan)
    columns = {column.name: column for column in plan.paper.items["table2"].columns}
    names = ("pgd", "pgd_plus_njs", "pgd_plus_hns", "pgd_plus_gap")
    values = [100 * reader.number(role_of("BNN-WQ", "VGG-16"), columns[name]).value for name in names]
    reader.close()
    assert row.split(" | ")[3:] == [
        f"{values[0]:.1f} (47.32)",
        f"{values[0]:.1f}",  # the digits' network was trained on its logits as they are
        f"{values[1]:.1f} (0)",
        f"{values[2]:.1f} (0.5)",
        f"{values[3]:.1f} |",
    ]


def test_a_network_trained_on_scaled_logits_has_pgd_at_both_scales():
    rows = SCRIPT["cifar10"](RESULTS, SCRIPT["CIFAR10"]).splitlines()[2:]
    cells = {row.split(" | ")[1]: row.split(" | ")[3:5] for row in rows}
    raw = {name for name in cells if name.endswith("-raw`")}
    for name in cells:
        assert (card_of(name.strip("`")).logit_scale == 1) == (name in raw or "float" in name)
    for name, (plain, scaled) in ((name, numbers) for name, numbers in cells.items() if name not in raw):
        measured = 100 * _record(name.strip("`")).robust("as trained") if "float" not in name else 0.0
        assert scaled == f"{measured:.1f}"
        assert "float" in name or float(plain.split()[0]) > measured


def test_of_the_networks_trained_on_their_logits_as_they_are_pgd_stops_short_on_one():
    rows = SCRIPT["cifar10"](RESULTS, SCRIPT["CIFAR10"]).splitlines()[2:]
    left = {row.split(" | ")[1]: [float(cell.split()[0]) for cell in row.split(" | ")[3:8]] for row in rows}
    raw = {name: cells for name, cells in left.items() if name.endswith("-raw`")}
    assert [name for name, (pgd, _, *plus) in raw.items() if pgd > 1 + max(plus)] == ["`cifar10-vgg5-bnn-waq-raw`"]
    assert len(raw) == 4


def _record(name):
    records = Store.load(RESULTS / "beyond" / f"{name}-200").records()
    (record,) = [record for record in records if "as trained" in record.attacks]
    return record


def test_the_networks_are_those_of_the_paper_in_its_order():
    words = {name: tuple(entry) for name, entry in SCRIPT["CIFAR10"].items()}
    assert list(words)[:3] == ["cifar10-vgg5-float", "cifar10-vgg5-mdtanhs", "cifar10-vgg5-mdtanhs-raw"]
    assert len(words) == 10
    assert words["cifar10-vgg5-mdtanhs-raw"][1:] == words["cifar10-vgg5-mdtanhs"][1:] == (47.32, 0.0, 0.0)
    assert words["cifar10-resnet8-bnn-waq"] == ("ResNet-18, binary weights and activations", 8.57, 0.03, 0.04)
