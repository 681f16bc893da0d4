"""The record: what it computes, what it resumes, and what it refuses."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantattack.errors import InputError, unknown
from quantattack.record.description import describe, stable
from quantattack.record.file import FILE
from quantattack.record.outcome import Outcome, Subject
from quantattack.record.record import Record
from quantattack.record.store import Store

SUBJECT = Subject("net", "digits", stable({"norm": "Linf", "radius": 0.1}))
RUN = {"seed": 0, "attacks": ["pgd"]}
BASE = Outcome(0, 1, 1, 1, 0.5, 0.1, None, 0, 20.0, 20.0, 0.01, True)


def outcomes(rows) -> list[Outcome]:
    """Outcomes from (image, label, clean prediction, prediction, inside)."""
    return [
        replace(BASE, image=image, label=label, clean_prediction=clean, prediction=now, inside=inside)
        for image, label, clean, now, inside in rows
    ]


def filled(store: Store, cells: dict[str, list[Outcome]], images: int, subject: Subject = SUBJECT) -> Record:
    for name, rows in cells.items():
        store.write(store.cell(subject, name, {"name": name}, images), rows)
    return Record(store, subject)


@st.composite
def evaluations(draw: st.DrawFn) -> tuple[int, dict[str, np.ndarray]]:
    count = draw(st.integers(1, 12))
    classes = st.integers(0, 2)
    fixed = [(draw(classes), draw(classes)) for _ in range(count)]
    names = draw(st.lists(st.sampled_from(["pgd", "gap", "square"]), min_size=1, unique=True))
    table = {
        name: np.array([(i, *fixed[i], draw(classes), draw(st.booleans())) for i in range(count)]) for name in names
    }
    return count, table


@given(evaluations())
def test_every_number_is_numpys(evaluation):
    count, table = evaluation
    store = Store.open(None, RUN)
    rows = {name: outcomes((*map(int, row[:4]), bool(row[4])) for row in values) for name, values in table.items()}
    shuffled = {
        name: list(np.random.default_rng(0).permutation(np.array(some, dtype=object))) for name, some in rows.items()
    }
    record = filled(store, shuffled, count)
    broken = {}
    for name, values in table.items():
        _, label, clean, now, inside = values.T
        broken[name] = (clean != label) | ((now != label) & (inside == 1))
        assert record.broken(name).dtype == np.bool_
        assert np.array_equal(record.broken(name), broken[name])
        assert record.robust(name) == pytest.approx(1 - broken[name].mean())
        assert record.outcomes(name) == rows[name]
    everyone = np.stack(list(broken.values())).any(0)
    assert record.clean == pytest.approx((values[:, 1] == values[:, 2]).mean())
    assert record.worst_case == pytest.approx(1 - everyone.mean())
    assert record.worst_case <= min(record.robust(name) for name in table) <= record.clean
    assert np.array_equal(record.survivors, ~everyone)
    assert record.indices.tolist() == list(range(count))
    gap = record.robust("pgd") - record.worst_case if "pgd" in table else None
    assert record.masking_gap == gap
    assert not record.finished
    store.finish()
    assert record.finished
    assert record.images == count
    summary = record.summary()
    assert json.loads(json.dumps(summary)) == summary
    assert set(summary) >= {
        "model",
        "data",
        "images",
        "clean",
        "attacks",
        "worst_case",
        "masking_gap",
        "flags",
        "finished",
    }
    assert summary["attacks"] == {name: record.robust(name) for name in table}
    assert f"worst_case={record.worst_case:.3f}" in repr(record)
    store.close()


def test_wrong_from_the_start_is_broken_and_outside_is_not():
    rows = outcomes(
        [(0, 1, 2, 1, True), (1, 1, 1, 2, False), (2, 1, 1, 2, True), (3, 1, 1, 1, True), (4, 1, 2, 2, False)]
    )
    record = filled(Store.open(None, RUN), {"pgd": rows}, 5)
    assert record.broken("pgd").tolist() == [True, False, True, False, True]


def test_an_unfinished_record_has_no_number_that_a_missing_outcome_could_change():
    rows = outcomes([(i, 1, 1, 2 if i == 0 else 1, True) for i in range(4)])
    record = filled(Store.open(None, RUN), {"pgd": rows, "gap": rows[:2]}, 4)
    assert not record.finished
    assert record.indices.tolist() == [0, 1]
    assert np.isnan(record.worst_case)
    assert np.isnan(record.robust("gap"))
    assert record.masking_gap is None
    assert (record.clean, record.robust("pgd")) == (1.0, 0.75)  # of all four images
    assert record.at_most == 0.75
    assert record.done == {"pgd": 4, "gap": 2}
    assert record.images == 4
    summary = record.summary()
    assert (summary["worst_case"], summary["attacks"]) == (None, {"pgd": 0.75, "gap": None})
    assert summary["done"] == {"pgd": 4, "gap": 2}


def test_an_empty_record_has_no_numbers():
    store = Store.open(None, RUN)
    record = Record(store, SUBJECT)
    assert np.isnan(record.clean)
    assert np.isnan(record.worst_case)
    assert not record.finished
    assert record.images == 0
    store.cell(SUBJECT, "pgd", {}, 3)
    assert np.isnan(record.robust("pgd"))
    assert not record.finished


def test_columns_and_unknown_names():
    record = filled(Store.open(None, RUN), {"pgd": [BASE, replace(BASE, image=1, step=3, margin=None)]}, 2)
    assert np.array_equal(record.column("pgd", "step"), [np.nan, 3], equal_nan=True)
    assert np.array_equal(record.column("pgd", "margin"), [0.5, np.nan], equal_nan=True)
    assert record.settings("pgd") == {"name": "pgd"}
    assert record.threat == {"norm": "Linf", "radius": 0.1}
    with pytest.raises(InputError, match="did you mean 'pgd'"):
        record.robust("pdg")
    with pytest.raises(InputError, match="column"):
        record.column("pgd", "size; DROP TABLE run")


def test_flags_are_replaced_and_kept_in_order():
    store = Store.open(None, RUN)
    record = filled(store, {"pgd": [BASE]}, 1)
    store.flag(SUBJECT, {"ties": "old"})
    store.flag(SUBJECT, {"masked": "PGD says 90 %.", "ties": "3 images."})
    assert record.flags == ["masked: PGD says 90 %.", "ties: 3 images."]
    store.flag(SUBJECT, {})
    assert record.flags == []


def test_several_subjects_share_a_store(tmp_path):
    other = Subject("net", "digits", stable({"norm": "Linf", "radius": 0.2}))
    with_two = Store.open(tmp_path, RUN)
    filled(with_two, {"pgd": [BASE]}, 1)
    filled(with_two, {"pgd": [replace(BASE, prediction=2)]}, 1, other)
    assert with_two.subjects() == [SUBJECT, other]
    assert [record.robust("pgd") for record in with_two.records()] == [1.0, 0.0]
    with_two.close()
    with pytest.raises(InputError, match="2 evaluations"):
        Record.load(tmp_path)


def test_the_same_run_continues(tmp_path):
    store = Store.open(tmp_path / "deep" / "run", RUN)
    cell = store.cell(SUBJECT, "pgd", {}, 3)
    store.write(cell, outcomes([(0, 1, 1, 2, True), (2, 1, 1, 1, True)]))
    store.note(torch="2.13")
    store.close()
    again = Store.open(tmp_path / "deep" / "run", dict(reversed(RUN.items())))
    assert again.identity == RUN
    assert again.cell(SUBJECT, "pgd", {}, 3) == cell
    assert again.done(cell) == {0, 2}
    again.write(cell, outcomes([(1, 1, 1, 1, True), (2, 1, 1, 2, True)]))  # an image that was done is replaced
    again.note(device="cpu")
    assert again.notes == {"torch": "2.13", "device": "cpu"}
    assert not again.finished
    again.finish()
    again.close()
    record = Record.load(tmp_path / "deep" / "run")
    assert record.broken("pgd").tolist() == [True, False, True]
    assert record.store.finished
    assert record.finished


def test_another_run_is_refused_and_changes_nothing(tmp_path):
    Store.open(tmp_path, RUN).close()
    for _ in range(2):  # the refusal gives the folder back
        with pytest.raises(InputError, match=r"another run \(its seed differs") as refusal:
            Store.open(tmp_path, {**RUN, "seed": 1})
        assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match="its attacks, batch differ"):
        Store.open(tmp_path, {"seed": 0, "attacks": [], "batch": 3})
    store = Store.open(tmp_path, RUN)
    assert store.identity == RUN
    store.close()


@pytest.mark.parametrize(
    "content", [b"not a database at all, only some text\n" * 50, b"SQLite format 3\0" + b"\xff" * 200]
)
def test_a_foreign_file_is_refused_and_the_folder_given_back(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    for _ in range(2):
        with pytest.raises(InputError, match="not a record of quantattack") as refusal:
            Store.open(tmp_path, RUN)
        assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match="not a record of quantattack"):
        Record.load(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_foreign_database_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE run (name TEXT)")
    connection.commit()
    connection.close()
    for _ in range(2):
        with pytest.raises(InputError) as refusal:
            Store.open(tmp_path, RUN)
        assert "\n" not in str(refusal.value)
        assert "another process" not in str(refusal.value)


def test_a_folder_without_a_record_is_said_to_have_none(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="no record in"):
            Store.load(folder)


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to") as refusal:
        Store.open(tmp_path / "file", RUN)
    assert "\n" not in str(refusal.value)


HOLD = """
import sys, time
from quantattack.record.store import Store
store = Store.open(sys.argv[1], {"seed": 0, "attacks": ["pgd"]})
print("held", flush=True)
time.sleep(60)
"""


def test_a_living_process_keeps_its_folder_and_a_dead_one_does_not(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another process is writing"):
            Store.open(tmp_path, RUN)
        assert Store.load(tmp_path).identity == RUN  # reading is free
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    store = Store.open(tmp_path, RUN)  # at once: nobody has to clean up
    store.close()


def test_two_stores_of_one_process_do_not_share_a_folder(tmp_path):
    store = Store.open(tmp_path, RUN)
    with pytest.raises(InputError, match="another process is writing"):
        Store.open(tmp_path, RUN)
    store.close()
    Store.open(tmp_path, RUN).close()


CRASH = """
import os, signal, sys
from dataclasses import replace
from quantattack.record.outcome import Outcome, Subject
from quantattack.record.store import Store
store = Store.open(sys.argv[1], {"seed": 0, "attacks": ["pgd"]})
base = Outcome(0, 1, 1, 1, 0.5, 0.1, None, 0, 20.0, 20.0, 0.01, True)
subject = Subject("net", "digits", "{}")
cell = store.cell(subject, "pgd", {}, 100000)
store.write(cell, [replace(base, image=i) for i in range(10)])
store.connection.execute("PRAGMA cache_size = 5")  # so that the transaction spills to the file: a hot journal
def dying():
    for i in range(10, 50000):
        if i == 40000:
            os.kill(os.getpid(), signal.SIGKILL)
        yield (cell, i, 1, 1, 1, 0.5, 0.1, None, 0, 1.0, 1.0, 0.1, 1)
store.connection.execute("BEGIN IMMEDIATE")
store.connection.executemany("INSERT INTO outcome VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", dying())
"""


@pytest.mark.parametrize("first", ["read", "continue"])
def test_a_run_killed_while_it_writes_keeps_what_was_whole(tmp_path, first):
    killed = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path)], check=False)
    assert killed.returncode != 0
    assert any(path.name.endswith("-wal") for path in tmp_path.iterdir())
    store = Store.load(tmp_path) if first == "read" else Store.open(tmp_path, RUN)
    (record,) = store.records()
    assert record.column("pgd", "image").tolist() == list(range(10))
    assert not record.finished
    store.close()


def test_reading_leaves_the_file_alone(tmp_path):
    store = Store.open(tmp_path, RUN)
    filled(store, {"pgd": [BASE]}, 1)
    store.close()
    before = (tmp_path / FILE).read_bytes()
    loaded = Record.load(tmp_path)
    assert loaded.robust("pgd") == 1.0
    with pytest.raises(InputError):
        loaded.store.write(1, [replace(BASE, image=5)])
    loaded.store.close()
    assert (tmp_path / FILE).read_bytes() == before


def test_a_write_is_all_or_nothing(tmp_path):
    store = Store.open(tmp_path, RUN)
    cell = store.cell(SUBJECT, "pgd", {}, 3)
    with pytest.raises(InputError):
        store.write(cell, [BASE, replace(BASE, image=1, size=float("nan"))])
    assert store.done(cell) == set()
    store.write(cell, [BASE])
    assert store.done(cell) == {0}
    store.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot write"):
        Store.open(tmp_path, RUN)


@dataclass(frozen=True)
class Part:
    number: float
    inner: object = None


def test_descriptions_are_json_of_every_field():
    part = Part(0.5, {"a": Part(1, len), "b": (None, True, "x")})
    described = describe(part)
    assert described == {
        "part": "Part",
        "number": 0.5,
        "inner": {"a": {"part": "Part", "number": 1, "inner": "len"}, "b": [None, True, "x"]},
    }
    assert json.loads(stable(described)) == described
    assert stable({"b": 1, "a": 2}) == stable({"a": 2, "b": 1}) == '{"a":2,"b":1}'


def test_an_unknown_name_is_told_its_nearest():
    assert str(unknown("norm", "lif", ["linf", "l2"])) == "unknown norm 'lif'; did you mean 'linf'?"
    assert str(unknown("norm", "zzz", ["linf", "l2"])) == "unknown norm 'zzz'; known: l2, linf"
    assert str(unknown("norm", "zzz", [])) == "unknown norm 'zzz'; known: none"
    assert isinstance(unknown("norm", "x", []), ValueError)
