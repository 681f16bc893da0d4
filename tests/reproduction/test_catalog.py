"""The papers as data: every table and figure is there, with the numbers that are printed."""

import pytest

from quantattack.reproduction.catalog import HEADLINE, PAPERS
from quantattack.reproduction.gupta2022.published import PUBLISHED

ITEMS = [(paper.key, key) for paper in PAPERS.values() for key in paper.items]


def printed(paper, key, label, header):
    item = PAPERS[paper].items[key]
    (row,) = [row for row in item.rows if row.role.label == label]
    place = [column.header for column in item.columns].index(header)
    return row.published[place]


def test_every_table_and_figure_is_there():
    tables = {f"table{number}" for number in range(1, 14)}
    figures = {f"figure{number}" for number in range(1, 6)}
    assert set(PAPERS["gupta2022"].items) == tables | figures | {"edges"}
    few = {f"table{number}" for number in range(1, 7)}
    assert set(PAPERS["liu2020"].items) == few | figures | {"section45", "training"}
    assert set(PAPERS["beyond"].items) == {"ladder", "levels"}


@pytest.mark.parametrize(("paper", "key"), ITEMS)
def test_published_numbers_fall_into_columns(paper, key):
    item = PAPERS[paper].items[key]
    assert item.title
    assert len({(column.header) for column in item.columns}) == len(item.columns)
    for row in item.rows:
        assert len(row.published) <= len(item.columns)
        if "table" in key and "own" not in key and paper != "beyond" and key != "table1":
            assert len(row.published) >= len(item.columns) - 2
    # a table is of settings alone, or there is something that it is run with
    assert key == "table6" or item.attacked or item.measured


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("gupta2022", "table1", "BNN-WAQ, VGG-16, CIFAR-10", "many starts"), 59.26),
        (("gupta2022", "table2", "BNN-WQ, ResNet-50, CIFAR-100", "PGD++ HNS"), 2.73),
        (("gupta2022", "table2", "BNN-WQ, VGG-16, CIFAR-10", "PGD-L2 as released"), 61.90),
        (("gupta2022", "table3", "BNN-WAQ, DenseNet-121, CIFAR-10", "PGD++-L2 HNS"), 6.17),
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
def test_printed_numbers_are_the_papers(place, value):
    assert printed(*place) == value


def test_published_rows_fill_their_columns():
    for item in ("table10", "table11", "table13"):
        assert all(len(row) == len(PUBLISHED[item]["columns"]) for row in PUBLISHED[item]["rows"].values())


def test_the_headline_names_rows_that_are_there():
    for paper, items in HEADLINE.items():
        for key, network in items.items():
            rows = PAPERS[paper].items[key].rows
            assert [row for row in rows if (row.role.kind, row.role.architecture) == network]


def test_pairs_compare_attacks_of_the_item():
    for paper in PAPERS.values():
        for item in paper.items.values():
            names = {column.name for column in item.columns}
            assert {name for pair in item.pairs for name in pair} <= names
