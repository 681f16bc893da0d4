"""The papers as data: every table and figure is there, with the published numbers, and fits what builds its attacks."""

import json
from pathlib import Path

import pytest
import yaml

from quantattack.errors import InputError
from quantattack.nn.zoo import card_of, load_model
from quantattack.reproduction import files, judges_alike, judges_paired
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.catalog import PAPERS, PaperFile, built
from quantattack.reproduction.cells import NEAREST
from quantattack.reproduction.claims import ClaimFile
from quantattack.reproduction.claims import built as claim_of
from quantattack.reproduction.files import checked
from quantattack.reproduction.gupta2022 import attacks as gupta2022
from quantattack.reproduction.liu2020.attacks import SETTINGS

ITEMS = [(paper.key, key) for paper in PAPERS.values() for key in (*paper.items, *paper.parts)]
ATTACKED = [
    (paper, key) for paper, key in ITEMS if PAPERS[paper].runnable.get(key) and PAPERS[paper].runnable[key].attacked
]


def item_of(paper, key):
    return {**PAPERS[paper].items, **PAPERS[paper].parts}[key]


def published(paper, key, label, header):
    item = PAPERS[paper].items[key]
    (row,) = [row for row in item.rows if row.role.label == label]
    place = [column.header for column in item.columns].index(header)
    return row.published[place]


def test_every_table_and_figure_is_there():
    tables = {f"table{number}" for number in range(1, 14)}
    figures = {f"figure{number}" for number in range(1, 6)}
    assert set(PAPERS["gupta2022"].items) == tables | figures | {"clever", "edges", "training"}
    assert set(PAPERS["gupta2022"].parts) == {"figure1a", "figure1b", "figure1c"}
    few = {f"table{number}" for number in range(1, 7)}
    assert set(PAPERS["liu2020"].items) == few | figures | {"section45", "training"}
    assert set(PAPERS["beyond"].items) == {"ladder", "levels", "scales"}


@pytest.mark.parametrize(("paper", "key"), ITEMS)
def test_an_item_has_a_title_and_each_header_once(paper, key):
    item = item_of(paper, key)
    assert item.title
    assert len({column.header for column in item.columns}) == len(item.columns)
    # table 6 has settings alone
    assert (item.attacked is None and item.measured is None) == ((paper, key) == ("gupta2022", "table6"))


# how many of an item's last columns are this package's own, or were published for no network
OWN_COLUMNS = {("gupta2022", "table2"): 5, ("gupta2022", "table3"): 5, ("gupta2022", "table8"): 5}
# figures without printed numbers, and tables of words
UNPUBLISHED = {
    "gupta2022": {"table6", "figure1", "figure2", "figure3", "figure4", "figure5", "clever", "edges", "training"},
    "liu2020": {"table1", "figure1", "figure2", "figure3", "section45", "training"},
    "beyond": {"ladder", "levels", "scales"},
}


@pytest.mark.parametrize(("paper", "key"), [(paper.key, key) for paper in PAPERS.values() for key in paper.items])
def test_the_published_numbers_fill_their_columns(paper, key):
    item = PAPERS[paper].items[key]
    wanted = 0 if key in UNPUBLISHED[paper] else len(item.columns) - OWN_COLUMNS.get((paper, key), 0)
    assert {len(row.published) for row in item.rows} == ({wanted} if item.rows else set())
    for row in item.rows if wanted else ():
        for column, value in zip(item.columns, row.published, strict=False):
            share = column.how != "signal"
            assert value is None or 0 <= value <= (100 if share else 1000)


@pytest.mark.parametrize(("paper", "key"), ATTACKED)
def test_the_columns_are_the_attacks_that_are_built(paper, key):
    """Each column names an attack that the builder returns for a network of the item, under the column's norm."""
    item = item_of(paper, key)
    data = {row.role.data for row in item.rows} & set(SETTINGS) or {"mnist" if paper == "liu2020" else "cifar10"}
    names = set()
    for network in (
        Network(kind, load_model("digits-float"), place, kind) for place in data for kind in ("BNN-WQ", "REF")
    ):
        twin = Network("twin", network.model, network.data, "REF")
        bench = Bench((network, twin), scale=PAPERS[paper].scale("full"), fitted=fitted(network))
        for threat, attacks in item.attacked(bench, network):
            names |= {(name, type(threat.norm).__name__) for name in attacks}
    for column in item.columns:
        if column.how in ("clean", "quoted") or column.name in NEAREST:
            continue
        runs = column.how in ("mean", "worst", "merged")
        assert (f"{column.name} run 1" if runs else column.name, column.norm) in names
    assert {name for pair in item.pairs for name in pair} <= {column.name for column in item.columns}


def fitted(network):
    """NJS as if it had been fitted: the names do not depend on it."""
    return {network.name: gupta2022.Njs(1.0, 0.01)}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("gupta2022", "table1", "BNN-WAQ, VGG-16, CIFAR-10", "many starts"), 59.26),
        (("gupta2022", "table2", "BNN-WQ, ResNet-50, CIFAR-100", "PGD++ HNS"), 2.73),
        (("gupta2022", "table2", "BNN-WQ, VGG-16, CIFAR-10", "PGD-L2 as released"), 61.90),
        (("gupta2022", "table3", "BNN-WAQ, DenseNet-121, CIFAR-10", "PGD++-L2 HNS as released"), 6.17),
        (("gupta2022", "table4", "BNN-WQ*, ResNet-18, CIFAR-10", "BBA"), 40.69),
        (("gupta2022", "table5", "REF*, ResNet-18, CIFAR-10", "FGSM DLR"), 66.39),
        (("gupta2022", "table7", "BNN-WAQ, ResNet-18, CIFAR-10", "Square"), 21.45),
        (("gupta2022", "table8", "REF, VGG-16, CIFAR-100", "FGSM++ HNS"), 9.19),
        (("gupta2022", "table9", "BNN-WAQ, VGG-16, CIFAR-10", "DeepFool"), 12.12),
        (("gupta2022", "table10", "BNN-WAQ, ResNet-18, CIFAR-10", "beta 0.01"), 3.1578),
        (("gupta2022", "table12", "BNN-WQ, ResNet-18, CIFAR-10", "its sign, plain"), 43.9),
        (("gupta2022", "table13", "REF*, ResNet-18, CIFAR-10", "rho 1e-09"), 47.66),
        (("liu2020", "table2", "adversarially trained, Madry's network, MNIST", "BLOB_QG, b = 100, worst"), 90.07),
        (("liu2020", "table3", "adversarially trained, Madry's network, MNIST", "Interval attack"), 88.42),
        (("liu2020", "table5", "adversarially trained, the network of DAA, Fashion-MNIST", "BLOB_QG, b = 500"), 65.61),
        (("liu2020", "table6", "adversarially trained, Madry's w32-10, CIFAR-10", "PQGD, b = 1000, 16/255"), 13.87),
        (("liu2020", "figure4", "adversarially trained, Madry's network, MNIST", "PQGD, b = 1000, 20 steps"), 88.89),
        (
            ("liu2020", "figure5", "adversarially trained, Madry's w32-10, CIFAR-10", "PGD, 16/255, 10 steps"),
            28.98,
        ),
    ],
)
def test_published_numbers_are_the_papers(place, value):
    assert published(*place) == value


def test_the_headline_names_rows_that_are_there():
    for paper in PAPERS.values():
        assert paper.headline
        for key, networks in paper.headline.items():
            rows = {(row.role.kind, row.role.architecture) for row in paper.items[key].rows}
            assert networks
            assert set(networks) <= rows


SMALL = """
key: small
title: A paper
source: someone
items:
  table1:
    title: A table
    attacked: table1
    columns: [{header: PGD, name: pgd}]
    rows: [{network: [REF, VGG-16], published: [1.5]}]
"""


def small(*changes):
    text = SMALL
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return built(checked("small/paper.yaml", yaml.safe_load(text), PaperFile), gupta2022)


def test_a_paper_is_read_from_its_file():
    item = small().items["table1"]
    assert item.attacked is gupta2022.table1
    assert item.rows[0].role.label == "REF, VGG-16, CIFAR-10"
    assert item.rows[0].published == (1.5,)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("title: A table", "titel: A table", r"small/paper.yaml: items.table1.\w+: .*key"),
        ("header: PGD", "heading: PGD", r"small/paper.yaml: items.table1.columns.0.heading: unknown key"),
        (
            "attacked: table1",
            "attacked: tabel1",
            "unknown function of the paper's attacks 'tabel1'; did you mean 'table1'",
        ),
        ("[REF, VGG-16]", "[REF, VGG16]", "unknown architecture 'VGG16'; did you mean 'VGG-16'"),
        ("[REF, VGG-16]", "[RFE, VGG-16]", "unknown kind of network 'RFE'; did you mean 'REF'"),
        ("[REF, VGG-16]", "mnist-madri-adv", "unknown network 'mnist-madri-adv'; did you mean 'mnist-madry-adv'"),
        ("[1.5]", "[much]", r"items.table1.rows.0.published.0"),
    ],
)
def test_a_wrong_key_or_name_is_one_line(before, after, said):
    with pytest.raises(InputError, match=said) as error:
        small((before, after))
    assert "\n" not in str(error.value)


CLAIM = {"item": "table1", "words": "w", "short": "s", "rule": "r"}


def claim(judge, **more):
    return claim_of("small", checked("small/claims.yaml", {**CLAIM, "judge": judge, **more}, ClaimFile))


def test_a_judge_takes_the_claims_item_unless_it_names_one():
    judge = {"first": "a", "second": "b"}
    assert claim({"stronger": judge}).judge == judges_paired.Stronger("table1", "a", "b")
    both = claim([{"stronger": judge}, {"alike": {**judge, "item": "table2", "effect": 0.1}}]).judge.judges
    assert both == (judges_paired.Stronger("table1", "a", "b"), judges_alike.Alike("table2", "a", "b", 0.1))


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ({"strongest": {}}, "unknown judge in small/claims.yaml 'strongest'; did you mean 'stronger'"),
        ({"stronger": {"first": "a", "second": "b", "third": "c"}}, "small/claims.yaml: third: unknown key"),
        ({"stronger": {"first": "a"}}, "small/claims.yaml: second: this key is missing"),
        ({}, "a judge of table1 must have one name, not none"),
    ],
)
def test_a_wrong_judge_is_one_line(judge, said):
    with pytest.raises(InputError, match=said):
        claim(judge)


def test_the_files_are_in_the_package():
    folder = Path(files.__file__).parent
    assert len(list(folder.rglob("*.yaml"))) == 7


def zoo_card(name):
    """The card of a network of the package, or of the checkout's `zoo/`."""
    path = Path(__file__).parents[2] / "zoo" / f"{name}.safetensors"
    return card_of(str(path) if path.is_file() else name)


def test_the_note_on_trainings_has_the_step_sizes_of_the_networks():
    item = PAPERS["liu2020"].items["training"]
    sizes = {}
    for row in item.rows:
        attack = json.loads(zoo_card(row.role.small[0]).adversarial)["attack"]
        sizes.setdefault(attack["steps"], set()).add(f"{attack['step_size']:.3g}")
    assert sizes == {7: {"0.107"}, 3: {"0.15"}, 2: {"0.15"}}
    assert "Seven steps are of 0.107, three and two of 0.15, half the radius." in item.note


@pytest.mark.parametrize(
    ("table", "kind", "named"),
    [
        ("table2", "BNN-WQ", {"ResNet-50", "DenseNet-121", "MobileNet-V2", ("ResNet-18", "cifar100")}),
        ("table3", "BNN-WAQ", {"DenseNet-121"}),
        ("table3", "REF", {"ResNet-18", "VGG-16", "ResNet-50", "DenseNet-121"}),
    ],
)
def test_the_notes_name_the_trainings_that_end_on_the_logits_as_they_are(table, kind, named):
    for row in PAPERS["gupta2022"].items[table].rows:
        role = row.role
        if role.kind == kind and not role.twin:
            ends = zoo_card(role.small[0]).logit_scale == 1
            assert ends == (role.architecture in named or (role.architecture, role.data) in named), role.label
