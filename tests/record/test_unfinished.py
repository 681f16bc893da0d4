"""Nothing is said of an attack that has not been run on every image: what is written first is no sample."""

import csv
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from quantattack.cli.commands import app
from quantattack.errors import InputError
from quantattack.record.description import stable
from quantattack.record.export import export
from quantattack.record.outcome import Outcome, Subject
from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.report.comparison import comparisons
from quantattack.report.page import write_page
from quantattack.report.record_page import write_record_page
from quantattack.report.tables import headline
from quantattack.report.terminal import print_table

IMAGES, THREAT = 10, {"norm": {"part": "Linf"}, "radius": 0.1, "low": 0.0, "high": 1.0, "part": "Threat"}
RIGHT = Outcome(0, 1, 1, 1, 0.5, 0.1, None, 0, 20.0, 20.0, 0.01, True)
WRONG = replace(RIGHT, clean_prediction=2, prediction=2, margin=-1.0, size=0.0, step=0)


def identity(attacks: tuple[str, ...]) -> dict[str, Any]:
    model, data = ["net", "sum", "print"], ["digits", IMAGES, "sum", "index"]
    return {
        "subjects": [{"model": model, "data": data, "threat": THREAT, "attacks": dict.fromkeys(attacks, "x")}],
        "seed": 0,
    }


def stopped(
    folder: Path, done: dict[str, int], attacks: tuple[str, ...] = ("pgd", "square"), net: str = "net"
) -> Store:
    """A record whose attacks were stopped after so many images, two wrong ones first, as a run writes them."""
    store = Store.open(folder, identity(attacks))
    for name, count in done.items():
        cell = store.cell(Subject(net, "digits", stable(THREAT)), name, "x", IMAGES)
        store.write(cell, [replace(WRONG if image < 2 else RIGHT, image=image) for image in range(count)])
    return store


@pytest.mark.parametrize("wrong", range(IMAGES + 1))
def test_what_is_at_most_left_of_a_whole_run_is_what_is_left(wrong: int, tmp_path: Path):
    store = Store.open(tmp_path, identity(("pgd",)))
    cell = store.cell(Subject("net", "digits", stable(THREAT)), "pgd", "x", IMAGES)
    outcomes = [replace(WRONG if image < wrong else RIGHT, image=image) for image in range(IMAGES)]
    store.write(cell, outcomes[:wrong])
    record = store.records()[0]
    assert record.at_most == (IMAGES - wrong) / IMAGES  # nothing else is broken yet
    store.write(cell, outcomes[wrong:])
    record = store.records()[0]
    assert record.at_most == record.worst_case
    store.close()


SAID: dict[str, Callable[[Record], Any]] = {
    "clean": lambda record: record.clean,
    "robust": lambda record: record.robust("square"),
    "worst_case": lambda record: record.worst_case,
    "masking_gap": lambda record: record.masking_gap,
    "json clean": lambda record: record.summary()["clean"],
    "json robust": lambda record: record.summary()["attacks"]["square"],
    "json worst_case": lambda record: record.summary()["worst_case"],
    "json gap": lambda record: record.summary()["masking_gap"],
}


@pytest.mark.parametrize("done", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("number", SAID)
def test_no_number_is_said_before_the_last_image(number: str, done: int, tmp_path: Path):
    store = stopped(tmp_path, {"pgd": done, "square": done})
    (record,) = store.records()
    said = SAID[number](record)
    assert said is None or math.isnan(said)
    assert set(record.summary()["done"].values()) == {done}
    store.close()


@pytest.mark.parametrize("number", SAID)
def test_every_number_is_said_after_it(number: str, tmp_path: Path):
    store = stopped(tmp_path, {"pgd": IMAGES, "square": IMAGES})
    assert SAID[number](store.records()[0]) == (0.0 if "gap" in number else 0.8)
    store.close()


def test_an_attack_of_the_run_that_has_not_begun_keeps_the_worst_case_unknown(tmp_path: Path):
    store = stopped(tmp_path, {"pgd": IMAGES})
    (record,) = store.records()
    store.finish()
    assert (record.clean, record.robust("pgd")) == (0.8, 0.8)
    assert math.isnan(record.worst_case)
    assert not record.finished
    assert record.summary()["done"] == {"pgd": IMAGES, "square": 0}
    assert record.summary()["attacks"] == {"pgd": 0.8, "square": None}
    assert "square 0 of 10" in headline(record)
    store.close()


PRINTED: dict[str, Callable[[Path], str]] = {
    "page": lambda folder: write_page(folder).read_text(encoding="utf-8"),
    "record page": lambda folder: write_record_page(folder).read_text(encoding="utf-8"),
    "table": lambda folder: table(Store.load(folder)),
    "show": lambda folder: CliRunner().invoke(app, ["show", str(folder)]).output,
}


def table(store: Store) -> str:
    console = Console(file=StringIO(), width=200)
    print_table(store.records(), console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("where", PRINTED)
def test_what_is_printed_of_an_unfinished_run_has_no_rate(where: str, tmp_path: Path):
    stopped(tmp_path, {"pgd": 2, "square": 2}).close()
    text = PRINTED[where](tmp_path)
    assert " 0.0 " not in text
    assert not re.search(r"(?<![0-9.])(?<!width: )0\.0%", text)
    if where != "record page":
        assert "unfinished" in text
        assert "at most 80.0%" in text


def test_rows_of_an_unfinished_attack_are_exported_only_if_asked_for(tmp_path: Path):
    stopped(tmp_path, {"pgd": IMAGES, "square": 3}).close()
    assert export(tmp_path, tmp_path / "table.csv") == IMAGES
    assert export(tmp_path, tmp_path / "all.csv", unfinished=True) == IMAGES + 3
    said = CliRunner().invoke(app, ["export", str(tmp_path), "--out", str(tmp_path / "again.csv")])
    assert "square is unfinished, 3 of 10 images, and left out" in said.stderr


@pytest.mark.parametrize("other", [0, 2, 9])
def test_networks_are_compared_under_complete_attacks_alone(other: int, tmp_path: Path):
    store = stopped(tmp_path, {"pgd": IMAGES, "square": IMAGES})
    for name, count in {"pgd": IMAGES, "square": other}.items():
        cell = store.cell(Subject("other", "digits", stable(THREAT)), name, "x", IMAGES)
        store.write(cell, [replace(WRONG if image < 2 else RIGHT, image=image) for image in range(count)])
    (compared,) = comparisons(store.records())
    assert (compared.attacks, compared.images, compared.left_out) == (("pgd",), IMAGES, ("square",))
    with pytest.raises(InputError, match=f"square on other {other} of 10"):
        comparisons(store.records(), attack="square")
    store.close()


def test_networks_on_other_images_are_named_on_the_page(tmp_path: Path):
    store = stopped(tmp_path, {"pgd": IMAGES}, attacks=("pgd",))
    cell = store.cell(Subject("other", "digits", stable(THREAT)), "pgd", "x", IMAGES)
    store.write(cell, [replace(RIGHT, image=image, label=7) for image in range(IMAGES)])
    store.close()
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert "Not compared: the networks were attacked on different images under one name" in text


@pytest.mark.parametrize("name", ['=cmd("x")', "+1", "-1", "@a", "\tb"])
def test_no_cell_of_a_table_is_a_formula(name: str, tmp_path: Path):
    stopped(tmp_path, {name: IMAGES}, attacks=(name,), net=name).close()
    export(tmp_path, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["attack"] for row in rows} == {row["model"] for row in rows} == {f"'{name}"}
    assert float(rows[0]["margin"]) == -1.0  # a number is one


def test_the_json_says_how_far_each_attack_is(tmp_path: Path):
    stopped(tmp_path, {"pgd": IMAGES, "square": 4}).close()
    shown = json.loads(CliRunner().invoke(app, ["show", "--json", str(tmp_path)]).output)
    assert shown["done"] == {"pgd": 10, "square": 4}
    assert (shown["attacks"], shown["worst_case"], shown["finished"]) == ({"pgd": 0.8, "square": None}, None, False)
