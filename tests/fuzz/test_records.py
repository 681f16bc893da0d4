"""Records damaged at random: each reader answers with one line or with the right numbers, never with a traceback."""

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantattack import InputError, Linf, Threat, evaluate, fgsm, load_data, load_model, pgd
from quantattack.data.sources import TensorSource
from quantattack.evaluation.verify import verify
from quantattack.record.export import export
from quantattack.record.findings import Finding, write_findings
from quantattack.record.merge import merge
from quantattack.record.signals import Signal, write_signals
from quantattack.record.store import Store
from quantattack.report.comparison import comparisons
from quantattack.report.page import write_page
from records import by_hand

pytestmark = pytest.mark.usefixtures("unchecked")  # as a user runs it, and four times as fast

COUNT, THREAT = 24, Threat(Linf(), 0.2)
POSITIONS, MUTATIONS = 500, 200  # damaged bytes; changes to a record without checksums, and to the JSON in it
RARE = 50  # every so many, the readers that take seconds are asked too


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished record of two networks with kept images, a diagnosis and a signal."""
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    images, labels = load_data("digits")
    attacks = {"fgsm": fgsm(THREAT), "pgd": pgd(THREAT, steps=2)}
    for name in ("digits-mdtanhs", "digits-float"):
        settings: dict[str, Any] = {"name": name, "data": "digits", "keep_images": True, "grow": True, "out": folder}
        record = evaluate(load_model(name), images[:COUNT], labels[:COUNT], attacks, THREAT, **settings)
        record.store.close()
    store = Store.open(folder, Store.load(folder).identity)
    write_findings(store.connection, store.subjects()[0], [Finding("health", "pass", "", "all is well", data={"n": 3})])
    write_signals(store.connection, [Signal("net", "digits", "error", "", "pixel", {"layers": [1.0, 2.0]})])
    store.finish()
    store.close()
    return folder


def numbers(folder: Path) -> Any:
    """What `show --json`, `compare` and `export` give."""
    store = Store.load(folder)
    shown = [record.summary() for record in store.records()]
    compared = [repr(comparison) for comparison in comparisons(store.records())]
    store.close()
    export(folder, folder / "table.csv")
    return json.loads(json.dumps([shown, compared])), (folder / "table.csv").read_text(encoding="utf-8")


def slow(folder: Path) -> None:
    """The readers that take longer: report, merge, verify and evaluate."""
    write_page(folder)
    merge([folder], folder / "merged").close()
    images, labels = load_data("digits")
    store = Store.load(folder)
    for record in store.records():
        verify(record, load_model("digits-mdtanhs"), TensorSource(images, labels), THREAT)
    store.close()
    Store.open(folder, json.loads(json.dumps(Store.load(folder).identity))).close()


def answer(read: Callable[[Path], Any], folder: Path) -> Any:
    """What a reader returns; its one line where it refuses."""
    try:
        found = read(folder)
    except InputError as refused:
        found = refused
    assert not isinstance(found, InputError) or ("\n" not in str(found) and len(str(found)) < 600)
    return found


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Callable[[], Path]:
    def copy() -> Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return Path(shutil.copytree(whole, tmp_path / "run"))

    return copy


def test_a_byte_changed_anywhere_is_one_line_or_the_right_numbers(whole: Path, copied: Callable[[], Path]):
    rng, right = random.Random(0), numbers(copied())
    refused = 0
    for turn in range(POSITIONS):
        folder = copied()
        data = bytearray((folder / "record.sqlite").read_bytes())
        place = rng.randrange(len(data))
        data[place] ^= rng.randrange(1, 256)
        (folder / "record.sqlite").write_bytes(data)
        found = answer(numbers, folder)
        assert isinstance(found, InputError) or found == right, f"byte {place}"
        refused += isinstance(found, InputError)
        if turn % RARE == 0:
            answer(slow, folder)
    assert 0 < refused < POSITIONS


def test_a_byte_changed_without_checksums_is_no_traceback(copied: Callable[[], Path]):
    rng = random.Random(1)
    for turn in range(MUTATIONS):
        folder = copied()
        by_hand(folder, "DELETE FROM flag WHERE code = 'none of these'")
        data = bytearray((folder / "record.sqlite").read_bytes())
        for _ in range(rng.choice([1, 1, 8])):
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        (folder / "record.sqlite").write_bytes(data[: rng.choice([len(data), len(data), rng.randrange(len(data))])])
        answer(numbers, folder)
        if turn % RARE == 0:
            answer(slow, folder)


PLACES = [
    ("run", "value", "key = 'identity'"),
    ("run", "value", "key = 'notes'"),
    ("cell", "threat", "1"),
    ("cell", "settings", "1"),
    ("diagnosis", "data_json", "1"),
    ("diagnosis", "verdict", "1"),
    ("signal", "numbers", "1"),
    ("flag", "sentence", "1"),
    ("shard", "file", "1"),
    *(("outcome", name, "image = 3") for name in ("label", "margin", "size", "step", "inside", "image")),
]
WHOLE: list[Any] = [None, 7, 1e999, b"\xff\xfe", "", "null", "[]", "3", "NaN", '{"a": NaN}', "[" * 5000, '{"a":' * 5000]
WHOLE += ["9" * 5000, '{"radius": "a"}', '{"norm": [1], "radius": {}}', "../../etc/hostname", "/etc/hostname", "\x00"]


def mutated(value: Any, rng: random.Random) -> Any:
    """Return something else in place of a value: another kind, or the text with a few characters changed."""
    if not isinstance(value, str) or not value or rng.random() < 0.5:
        return rng.choice(WHOLE)
    at, more = rng.randrange(len(value)), rng.choice(["", '"', "{", "]", ",", "1e999", "NaN", "[[[[", "null", "é"])
    return value[:at] + more + value[at + rng.choice([0, 1, 5]) :]


def test_json_and_values_changed_by_hand_are_no_traceback(copied: Callable[[], Path]):
    rng, refused = random.Random(2), 0
    for turn in range(MUTATIONS):
        folder, (table, column, where) = copied(), PLACES[turn % len(PLACES)]
        connection = sqlite3.connect(folder / "record.sqlite")
        (value,) = connection.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()
        try:
            by_hand(connection, f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {where}", (mutated(value, rng),))
        except sqlite3.IntegrityError:  # SQLite itself refuses it
            continue
        finally:
            connection.close()
        refused += isinstance(answer(numbers, folder), InputError)
        if turn % 10 == 0:
            answer(slow, folder)
    assert refused > MUTATIONS // 8
