"""A run that was killed continues: nothing is done twice, nothing is lost, and no verdict differs."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor

from quantattack import InputError, Linf, Record, Threat, evaluate, load_data, load_model, margin, pgd, square
from quantattack.cli import main
from quantattack.record.store import Store

THREAT = Threat(Linf(), 0.2)
ATTACKS = "pgd[steps=40],pgd_margin,square[queries=40]"
COMMAND = ["evaluate", "--images", "96", "--batch-size", "16", "--attacks", ATTACKS]


def started(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "quantattack", *COMMAND, "--out", str(folder), *more]
    # A shell starts what runs in its background with Ctrl-C ignored, and a child would inherit that.
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard)


def command(folder: Path, *more: str) -> int:
    with pytest.raises(SystemExit) as end:
        main([*COMMAND, "--out", str(folder), *more])
    return int(end.value.code or 0)


def rows(folder: Path) -> dict[tuple[int, int], tuple[Any, ...]]:
    """Every outcome by cell and image, seconds and all."""
    if not (folder / "record.sqlite").exists():
        return {}
    try:
        connection = sqlite3.connect(folder / "record.sqlite")
        found = connection.execute("SELECT * FROM outcome").fetchall()
        connection.close()
    except sqlite3.OperationalError:  # not there yet
        return {}
    return {row[:2]: row for row in found}


def verdicts(record: Record) -> Mapping[str, Any]:
    return {
        name: [replace(one, forwards=0.0, backwards=0.0, seconds=0.0) for one in record.outcomes(name)]
        for name in record.attacks
    }


def interrupted(folder: Path, outcomes: int, by: int) -> tuple[int, str, str]:
    """Start the command, stop it when the record has so many outcomes, and return its exit code and what it said."""
    with started(folder) as process:
        while len(rows(folder)) < outcomes:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(by)
        out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch):
    """Compared with processes that run without the tests' shape checks."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The verdicts of the same command when nobody stops it."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert command(folder) == 0
    return verdicts(Record.load(folder))


@pytest.mark.parametrize("outcomes", [1, 200])
def test_a_killed_command_continues(outcomes: int, tmp_path: Path, whole: Mapping[str, Any], capsys: Any):
    folder = tmp_path / "run"
    code, out, err = interrupted(folder, outcomes, signal.SIGKILL)
    assert (code, out) == (-signal.SIGKILL, "")
    assert all(" of 96 images, " in line for line in err.splitlines())  # the live line, where the machine is slow
    before = rows(folder)
    assert outcomes <= len(before) < 288
    shown = Record.load(folder)
    assert not shown.finished
    assert not shown.summary()["finished"]
    assert command(folder) == 0
    after = rows(folder)
    assert before.items() <= after.items()  # to the bit, seconds included: nothing was done twice
    record = Record.load(folder)
    assert record.finished
    assert sorted(after) == [(cell, image) for cell in sorted(record.cells.values()) for image in range(96)]
    assert verdicts(record) == whole
    assert record.flags


def test_ctrl_c_is_one_line_and_the_command_continues(tmp_path: Path, whole: Mapping[str, Any]):
    said = "interrupted; the same command continues where it stopped\n"
    folder = tmp_path / "run"
    code, out, err = interrupted(folder, 40, signal.SIGINT)
    assert (code, out) == (130, "")
    assert err.endswith(said)
    before = rows(folder)
    assert 40 <= len(before) < 288
    assert command(folder) == 0
    assert before.items() <= rows(folder).items()
    assert verdicts(Record.load(folder)) == whole


def test_a_second_live_process_is_refused(tmp_path: Path, capsys: Any):
    folder = tmp_path / "run"
    with started(folder) as process:
        try:
            while not rows(folder):
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGSTOP)  # alive, and surely not done before the second one asks
            code = command(folder)
        finally:
            process.kill()
    assert code == 2
    assert capsys.readouterr().err.startswith("error: another process is writing to")
    assert command(folder, "--seed", "1") == 2
    assert "holds another run (its seed differs)" in capsys.readouterr().err


def test_a_finished_command_does_nothing_twice(tmp_path: Path, capsys: Any):
    folder = tmp_path / "run"
    short = ["evaluate", "--images", "16", "--attacks", "fgsm,square[queries=5]", "--out", str(folder)]
    for _ in range(2):
        with pytest.raises(SystemExit) as end:
            main(short)
        assert not end.value.code
    first, second = capsys.readouterr().out.strip().split("Robust accuracy, %")[1:]
    assert first.split() == second.split()


@cache
def few() -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:40], labels[:40]


class Stop(Exception):
    """What ends a run in Python, wherever it comes from."""


class Stopping:
    """An attack that stops the run at its n-th call; it describes itself as the attack that it is."""

    def __init__(self, calls: int) -> None:
        self.calls, self.__qualname__ = calls, "stopping"

    def __call__(self, model: Any, images: Tensor, labels: Tensor, start: Any, rng: Any, radius: Any) -> Tensor:
        self.calls -= 1
        if self.calls == 0:
            raise Stop
        return pgd(THREAT, steps=3)(model, images, labels, start, rng, radius)


def margin_pgd(model: Any, images: Tensor, labels: Tensor, start: Any, rng: Any, radius: Any) -> Tensor:
    """An attack that carries no threat."""
    return pgd(THREAT, steps=3, loss=margin)(model, images, labels, start, rng, radius)


def small(out: Path | None, calls: int = 0, **changed: Any) -> Record:
    images, labels = few()
    attacks = {"stopping": Stopping(calls), "margin": margin_pgd}
    settings = {"threat": THREAT, "attacks": attacks, "batch_size": 8, "out": out, **changed}
    return evaluate(load_model("digits-mdtanhs"), images, labels, **settings)


@pytest.mark.parametrize("calls", [1, 3, 5])
def test_a_call_that_ended_early_continues(calls: int, tmp_path: Path):
    with pytest.raises(InputError, match="Stop"):
        small(tmp_path, calls)
    before = rows(tmp_path)
    assert len(before) == 8 * (calls - 1) + 1  # and the one that is wrong from the start
    record = small(tmp_path)
    assert before.items() <= rows(tmp_path).items()
    assert verdicts(record) == verdicts(small(None))
    assert record.finished


def test_a_call_may_be_repeated_while_its_record_is_held(tmp_path: Path):
    first = small(tmp_path)
    again = small(tmp_path)
    assert [first.outcomes(name) for name in first.attacks] == [again.outcomes(name) for name in again.attacks]


OTHERS: dict[str, Any] = {
    "seed": {"seed": 1},
    "threat": {"threat": Threat(Linf(), 0.1)},
    "attacks": {"attacks": {"margin": pgd(THREAT, steps=4, loss=margin)}},
    "data": {"indices": torch.arange(40) + 1},
}


@pytest.mark.parametrize("part", OTHERS)
def test_another_run_is_refused_and_told_by_what_differs(part: str, tmp_path: Path):
    small(tmp_path)
    before = rows(tmp_path)
    with pytest.raises(InputError, match=f"holds another run .its {part} differs?.; choose another --out"):
        small(tmp_path, **OTHERS[part])
    assert rows(tmp_path) == before


def test_another_model_of_the_same_kind_is_refused(tmp_path: Path):
    images, labels = few()
    attacks = {"square": square(THREAT, 3)}
    for name, refused in (("digits-mdtanhs", False), ("digits-bnn-waq", True), ("digits-float", True)):
        model = load_model(name)
        if refused:
            with pytest.raises(InputError, match="its model differs"):
                evaluate(model, images, labels, attacks, THREAT, out=tmp_path)
        else:
            evaluate(model, images, labels, attacks, THREAT, out=tmp_path)


def test_another_batch_size_is_the_same_run(tmp_path: Path):
    with pytest.raises(InputError, match="Stop"):
        small(tmp_path, 3)
    assert verdicts(small(tmp_path, batch_size=5)) == verdicts(small(None))


def test_what_a_kill_left_half_written_is_undone(tmp_path: Path):
    """The process dies within a transaction, with a journal beside the file: the record can be shown and continued."""
    small(tmp_path)
    before = rows(tmp_path)
    code = f"""
import os, signal
from quantattack.record.store import Store
connection = Store.load({str(tmp_path)!r}).connection
connection.execute("PRAGMA query_only = OFF")
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM outcome")
connection.executemany("INSERT INTO flag VALUES ('m', 'd', 't', ?, 'x')", [(str(n),) for n in range(5000)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (tmp_path / "record.sqlite-journal").exists()
    assert Record.load(tmp_path).finished
    assert rows(tmp_path) == before
    assert small(tmp_path).finished


def test_reading_writes_nothing(tmp_path: Path):
    small(tmp_path)
    store = Store.load(tmp_path)
    with pytest.raises(sqlite3.OperationalError):
        store.connection.execute("DELETE FROM outcome")


def said(capsys: Any, *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
    return str(capsys.readouterr().out)


def test_an_unfinished_record_says_so(tmp_path: Path, capsys: Any):
    with pytest.raises(InputError, match="Stop"):
        small(tmp_path, 3)
    assert said(capsys, "show", str(tmp_path)).count("unfinished: 0 of 40 images") == 1
    shown = json.loads(said(capsys, "show", str(tmp_path), "--json"))
    assert shown["finished"] is False
    assert shown["attacks"]["margin"] is None
    assert shown["attacks"]["stopping"] is shown["clean"] is shown["worst_case"] is None
    assert 0 < shown["done"]["stopping"] < 40


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path):
    code = (
        f"from quantattack.record.store import Store; import os; Store.open({str(tmp_path)!r}, {{'a': 1}}); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (tmp_path / "lock").exists()
    Store.open(tmp_path, {"a": 1}).close()
    assert rows(tmp_path) == {}
