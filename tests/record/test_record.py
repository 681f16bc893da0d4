"""The record reads once: how many questions it asks the file, when it asks again, and what an array says for None."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from quantattack.record.checksums import NO_STEP, replace_rows
from quantattack.record.description import stable
from quantattack.record.file import FILE, transaction
from quantattack.record.outcome import COLUMNS, Outcome, Subject
from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.report.comparison import comparisons
from quantattack.report.page import render
from quantattack.report.tables import attack_rows, pairs
from quantattack.report.terminal import print_table

THREAT = stable({"norm": "Linf", "radius": 0.1})
SUBJECT = Subject("net", "digits", THREAT)
BASE = Outcome(0, 1, 1, 1, 0.5, 0.1, None, 0, 20.0, 20.0, 0.01, True)
NAMES = ("pgd", "gap", "square", "fgsm", "pgd_plus_hns", "apgd", "daa_blob", "multi_targeted", "pqgd", "mi_fgsm")


def made(attacks: int, images: int, models: int = 1) -> Store:
    """A store in memory; each attack breaks other images."""
    store = Store.open(None, {"subjects": [], "seed": 0})
    for model in range(models):
        subject = replace(SUBJECT, model=f"net {model}")
        for number, name in enumerate(NAMES[:attacks]):
            rows = [
                replace(BASE, image=at, prediction=1 + (at % (number + model + 2) == 0), step=at % 7)
                for at in range(images)
            ]
            store.write(store.cell(subject, name, {"steps": 10}, images), rows)
    store.finish()
    return store


@contextmanager
def counted(store: Store) -> Iterator[list[str]]:
    """The statements that SQLite runs meanwhile."""
    statements: list[str] = []
    store.connection.set_trace_callback(statements.append)
    yield statements
    store.connection.set_trace_callback(None)


@pytest.mark.parametrize(
    "read",
    [
        lambda record: record.summary(),
        lambda record: record.worst_case,
        lambda record: record.masking_gap,
        lambda record: record.clean,
        lambda record: record.finished,
        repr,
    ],
)
def test_a_record_of_five_attacks_is_read_in_ten_statements(read: Callable[[Record], object]):
    store = made(5, 20)
    (record,) = store.records()
    with counted(store) as statements:
        read(record)
    assert 0 < len(statements) <= 10, statements
    with counted(store) as again:
        read(record)
    assert not [statement for statement in again if "FROM outcome" in statement or "FROM cell" in statement]


@pytest.mark.parametrize(
    ("read", "each"),
    [
        (lambda store: [attack_rows(record) for record in store.records()], 2),
        (lambda store: [pairs(record) for record in store.records()], 2),
        (lambda store: comparisons(store.records()), 4),
        (lambda store: print_table(store.records(), Console(file=StringIO())), 2),
        (lambda store: render(store, Path("nowhere")), 20),
    ],
    ids=["attack_rows", "pairs", "comparisons", "table", "report"],
)
def test_no_number_of_statements_grows_with_the_images(read: Callable[[Store], object], each: int):
    counts = {}
    for attacks, images in ((5, 10), (5, 200), (10, 10)):
        store = made(attacks, images, models=2)
        with counted(store) as statements:
            read(store)
        counts[attacks, images] = len(statements)
        assert sum("FROM outcome" in statement for statement in statements) == 2 * attacks  # each cell once
    assert counts[5, 10] == counts[5, 200]
    assert counts[10, 10] - counts[5, 10] <= 2 * 5 * each  # two networks, five attacks more


def test_what_was_written_since_is_read(tmp_path):
    store = Store.open(tmp_path, {"seed": 0})
    cell = store.cell(SUBJECT, "pgd", {}, 2)
    store.write(cell, [BASE])
    record, reader = Record(store, SUBJECT), Record.load(tmp_path)
    before = record.by_attack["pgd"].outcomes
    assert record.broken("pgd").tolist() == reader.broken("pgd").tolist() == [False]
    store.write(cell, [replace(BASE, image=1, prediction=2)])
    assert record.robust("pgd") == reader.robust("pgd") == 0.5
    assert len(before) == 1  # what was read stays as it was
    store.write(cell, [replace(BASE, prediction=2)])  # replaced, not added
    assert record.robust("pgd") == reader.robust("pgd") == 0.0
    store.cell(SUBJECT, "gap", {}, 4)
    assert record.attacks == reader.attacks == ["pgd", "gap"]
    assert not record.complete
    store.close()
    reader.store.close()


def test_what_another_connection_writes_is_read(tmp_path):
    store = Store.open(tmp_path, {"seed": 0})
    store.write(store.cell(SUBJECT, "pgd", {}, 1), [BASE])
    store.close()
    record = Record.load(tmp_path)
    assert record.robust("pgd") == 1.0
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    with transaction(other):
        replace_rows(other, 1, [astuple(replace(BASE, prediction=2))])
    other.close()
    assert record.robust("pgd") == 0.0
    record.store.close()


def test_a_step_and_a_margin_of_none_are_told_from_any_number():
    store = Store.open(None, {"seed": 0})
    rows = [BASE, replace(BASE, image=1, step=0, margin=None), replace(BASE, image=2, step=3, margin=-np.inf)]
    store.write(store.cell(SUBJECT, "pgd", {}, 3), rows)
    (record,) = store.records()
    cell = record.by_attack["pgd"]
    assert cell.outcomes["step"].tolist() == [NO_STEP, 0, 3]
    assert np.array_equal(cell.outcomes["margin"], [0.5, np.nan, -np.inf], equal_nan=True)
    assert cell.outcomes.dtype.names == COLUMNS
    assert record.outcomes("pgd") == rows
    kinds = [[type(value) for value in vars(row).values()] for row in record.outcomes("pgd")]
    assert kinds == [[type(value) for value in vars(row).values()] for row in rows]
    assert record.column("pgd", "step").dtype == np.float64
    store.write(cell.row, [replace(BASE, step=1)])
    assert record.column("pgd", "step").dtype == np.int64
    assert record.column("pgd", "inside").tolist() == [1, 1, 1]


def test_nobody_changes_what_was_read():
    store = made(1, 3)
    (record,) = store.records()
    with pytest.raises(ValueError, match="read-only"):
        record.by_attack["pgd"].outcomes["label"][0] = 7
    record.column("pgd", "label")[:] = 7
    record.broken("pgd")[:] = True
    record.indices[:] = 7
    assert record.column("pgd", "label").tolist() == [1, 1, 1]
    assert record.indices.tolist() == [0, 1, 2]
    assert record.broken("pgd").tolist() == [True, False, True]


def test_attacks_that_have_seen_other_images_are_lined_up():
    store = Store.open(None, {"seed": 0})
    seen = {"pgd": [2, 5, 9, 11], "gap": [5, 7, 11], "square": [1, 2, 5, 11]}
    for name, images in seen.items():
        rows = [replace(BASE, image=at, prediction=2 if (name, at) == ("gap", 11) else 1) for at in images]
        store.write(store.cell(SUBJECT, name, {}, 12), rows)
    (record,) = store.records()
    assert record.indices.tolist() == [5, 11]
    assert record.survivors.tolist() == [True, False]


def test_the_former_name_of_plain_pgd_works_and_says_the_new_one():
    (record,) = made(1, 3).records()
    assert record.plain_pgd == "pgd"
    with pytest.warns(DeprecationWarning, match=r"Record\.ordinary is now Record\.plain_pgd"):
        assert record.ordinary == "pgd"
