"""Real workers: the record of one process, also when workers and the driver are killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from quantattack import Record

if os.environ.get("QUANTATTACK_RAY") != "required":
    pytest.importorskip("ray", reason="the extra quantattack[ray] is not installed")

COMMAND = [
    "evaluate",
    "digits-mdtanhs",
    "--images",
    "96",
    "--quiet",
    "--attacks",
    "pgd[steps=30],pgd_plus_njs[steps=5]",
]


def started(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "quantattack", *COMMAND, "--out", str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(folder: Path, *more: str) -> None:
    with started(folder, *more) as process:
        _, error = process.communicate(timeout=500)
    assert process.returncode == 0, error


def rows(folder: Path) -> dict[tuple[int, int], Any]:
    """Every outcome but what it cost, by cell and image."""
    try:
        connection = sqlite3.connect(f"file:{folder / 'record.sqlite'}?mode=ro", uri=True)
        query = "SELECT cell, image, label, clean_prediction, prediction, margin, size, step, restart FROM outcome"
        found = connection.execute(query).fetchall()
        connection.close()
    except sqlite3.OperationalError:  # not there yet
        return {}
    return {row[:2]: row for row in found}


def workers_of(driver: int) -> list[int]:
    """Ray's workers that descend from a driver."""
    parents, words = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words[int(entry.name)] = (entry / "cmdline").read_text()
            except OSError:
                continue

    def descends(process: int) -> bool:
        while process in parents and process > 1:
            if parents[process] == driver:
                return True
            process = parents[process]
        return False

    return [process for process in parents if "ray::" in words[process] and descends(process)]


def test_workers_and_a_driver_that_are_killed_cost_nothing_that_was_done(tmp_path: Path):
    finished(tmp_path / "alone")
    with started(tmp_path / "many", "--workers", "2") as driver:
        until = time.monotonic() + 300
        while not rows(tmp_path / "many") and time.monotonic() < until:
            time.sleep(0.05)
        victims = workers_of(driver.pid)
        for victim in victims[:1]:
            os.kill(victim, signal.SIGKILL)
        assert victims
        time.sleep(0.5)
        driver.kill()
        driver.communicate()
    before = rows(tmp_path / "many")
    assert before
    finished(tmp_path / "many", "--workers", "2")
    after = rows(tmp_path / "many")
    assert before.items() <= after.items()
    assert after == rows(tmp_path / "alone")
    assert Record.load(tmp_path / "many").finished
