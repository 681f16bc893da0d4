"""Records of version 0.1.0: read number by number as that version read them, and continued as the same run."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from quantattack import Linf, Threat, evaluate, load_data, load_model, pgd
from quantattack.attacks.eot import Eot
from quantattack.attacks.minimum_norm import MinimumNorm
from quantattack.cli.commands import app
from quantattack.errors import InputError
from quantattack.record.description import stable
from quantattack.record.outcome import COLUMNS
from quantattack.record.record import Record
from quantattack.record.statistics import wilson
from quantattack.record.store import Store
from quantattack.report.comparison import comparisons
from quantattack.report.tables import attack_rows, headline, pairs, verdict

FIXTURES = Path(__file__).parent / "fixtures" / "version-0.1.0"
ATTACKS = "pgd[steps=10],pgd_plus_hns[steps=10],suite,daa_blob[steps=10],multi_targeted[steps=10],square[queries=100]"


def plain(values: np.ndarray) -> list[Any]:
    """An array as JSON holds it: NaN is null."""
    return [None if isinstance(value, float) and np.isnan(value) else value for value in values.tolist()]


def attack_numbers(record: Record, name: str) -> dict[str, Any]:
    broken = record.broken(name)
    return {
        "cell": record.cells[name],
        "settings": record.settings(name),
        "robust": record.robust(name),
        "broken": plain(broken),
        "interval": wilson(int((~broken).sum()), len(broken)),
        "columns": {column: plain(record.column(name, column)) for column in COLUMNS},
        "kinds": {column: record.column(name, column).dtype.kind for column in COLUMNS},
    }


def numbers(record: Record) -> dict[str, Any]:
    survivors = record.survivors
    return {
        "subject": [record.subject.model, record.subject.data, record.subject.threat],
        "summary": {name: value for name, value in record.summary().items() if name != "done"},  # added since
        "repr": repr(record),
        "threat": record.threat,
        "images": record.images,
        "indices": plain(record.indices),
        "clean": record.clean,
        "worst_case": record.worst_case,
        "survivors": plain(survivors),
        "interval": wilson(int(survivors.sum()), len(survivors)),
        "plain_pgd": record.plain_pgd,
        "masking_gap": record.masking_gap,
        "codes": record.codes,
        "rows": [{key: value for key, value in asdict(row).items() if key != "done"} for row in attack_rows(record)],
        "pairs": pairs(record).tolist(),
        "headline": headline(record),
        "verdict": asdict(verdict(record)),
        "complete": record.complete,
        "finished": record.finished,
        "attacks": {name: attack_numbers(record, name) for name in record.attacks},
    }


def assert_same(actual: Any, expected: Any, where: str = "") -> None:
    """Every leaf is equal; a number to 1e-12."""
    if isinstance(expected, dict):
        assert list(actual) == list(expected), where
        for key, value in expected.items():
            assert_same(actual[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(actual) == len(expected), where
        for place, value in enumerate(expected):
            assert_same(actual[place], value, f"{where}[{place}]")
    else:
        assert type(actual) is type(expected), where
        assert actual == (pytest.approx(expected, abs=1e-12) if isinstance(expected, float) else expected), where


@pytest.mark.parametrize("run", ["command", "python"])
def test_every_number_is_the_one_that_its_version_read(run: str):
    expected = json.loads((FIXTURES / run / "numbers.json").read_text(encoding="utf-8"))
    store = Store.load(FIXTURES / run)
    records = store.records()
    assert stable(store.identity) == expected["identity_text"]
    assert_same(store.identity, expected["identity"], "identity")
    assert_same(store.notes, expected["notes"], "notes")
    assert store.finished == expected["finished"]
    assert len(records) == len(expected["records"])
    for record, wanted in zip(records, expected["records"], strict=True):
        assert_same(numbers(record), wanted, record.subject.model)
    compared = [{**asdict(comparison)} for comparison in comparisons(records)]
    assert [comparison.pop("left_out") for comparison in compared] == [()] * len(compared)  # added since
    for comparison in compared:
        assert len(comparison.pop("clean_pairs")) == len(comparison["pairs"])  # likewise
    assert [comparison.pop("proved") for comparison in compared] == [{}] * len(compared)  # likewise
    assert all(len(comparison.pop("runs")) == 1 for comparison in compared)  # likewise
    assert_same(compared, expected["comparisons"])
    store.close()


def contents(folder: Path) -> dict[str, Any]:
    store = Store.load(folder)
    outcomes = store.connection.execute("SELECT * FROM outcome ORDER BY cell, image").fetchall()
    cells = store.connection.execute("SELECT * FROM cell ORDER BY id").fetchall()
    identity = store.identity
    store.close()
    return {"outcomes": outcomes, "cells": cells, "identity": identity}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES, tmp_path / "runs"))


def test_the_same_command_is_refused_since_its_suite_is_another_and_changes_nothing(copied: Path):
    before = contents(copied / "command")
    words = ["evaluate", "digits-mdtanhs", "digits-float", "--radius", "0.05,0.2", "--images", "40"]
    done = CliRunner().invoke(app, [*words, "--attacks", ATTACKS, "--out", str(copied / "command"), "--quiet"])
    assert isinstance(done.exception, InputError)
    assert "its attacks differ" in str(done.exception)
    assert contents(copied / "command") == before  # the seconds of each outcome included


def test_the_same_script_continues_it_through_the_new_names(copied: Path):
    before = contents(copied / "python")
    threat = Threat(Linf(), 0.1)
    images, labels = (part[:40] for part in load_data("digits"))
    attack = pgd(threat, steps=5)
    attacks = {"averaged": Eot(attack, draws=2), "nearest": MinimumNorm(attack, threat, 3)}
    evaluate(load_model("digits-bnn-waq"), images, labels, attacks, threat, seed=3, out=copied / "python")
    assert contents(copied / "python") == before
