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
import torch

import quantattack as qa
from quantattack import Record

REQUIRED = os.environ.get("QUANTATTACK_RAY") == "required"
if not REQUIRED:
    pytest.importorskip("ray", reason="the extra quantattack[ray] is not installed")

NETWORK = "digits-mdtanhs"
SETTINGS = ["--data", "digits", "--images", "96", "--quiet", "--attacks", "pgd[steps=30],pgd_plus_njs[steps=5]"]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The network as a deployed file in 8 bits."""
    if not REQUIRED:
        pytest.importorskip("onnxruntime", reason="the extra quantattack[onnx] is not installed")
    path = str(tmp_path / "model.onnx")
    command = [sys.executable, "-m", "quantattack", "export-onnx", NETWORK, path, "--int8", "qdq"]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture(params=["network", "file"])
def model(request: pytest.FixtureRequest) -> str:
    return NETWORK if request.param == "network" else request.getfixturevalue("file")


def started(model: str, folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "quantattack", "evaluate", model, *SETTINGS, "--out", str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(model: str, folder: Path, *more: str) -> None:
    with started(model, folder, *more) as process:
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


def test_workers_and_a_driver_that_are_killed_cost_nothing_that_was_done(model: str, tmp_path: Path):
    finished(model, tmp_path / "alone")
    with started(model, tmp_path / "many", "--workers", "2") as driver:
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
    finished(model, tmp_path / "many", "--workers", "2")
    after = rows(tmp_path / "many")
    assert before.items() <= after.items()
    assert after == rows(tmp_path / "alone")
    assert Record.load(tmp_path / "many").finished


def test_a_deployed_model_in_memory_is_opened_again_by_the_workers(file: str, tmp_path: Path):
    """Its twin is searched and its runtime judges in each worker, with the verdicts of one process."""
    images, labels = qa.load_data("digits")
    images, labels, threat = (255 * images[:96]).round() / 255, labels[:96], qa.Threat("linf", 20 / 255)
    attacked, attacks = {}, {"pgd": qa.pgd(threat, steps=10), "square": qa.square(threat, 50)}
    for name, workers in (("alone", None), ("many", 2)):
        record, attacked[name] = qa.evaluate(
            qa.load_model(file),
            images,
            labels,
            attacks,
            threat,
            out=tmp_path / name,
            workers=workers,
            return_images=True,
        )
        assert 0 < record.worst_case < record.clean
        assert record.finished
    assert rows(tmp_path / "many") == rows(tmp_path / "alone")
    assert all(torch.equal(images, attacked["alone"][name]) for name, images in attacked["many"].items())


def test_workers_prove_what_one_process_proves(tmp_path: Path):
    """The bounds of `certify` come back from the workers with the outcomes."""
    images, labels = qa.load_data("digits")
    threat, found = qa.Threat("linf", 0.02), {}
    for name, workers in (("alone", None), ("many", 2)):
        attacks = {"pgd": qa.pgd(threat, steps=5)}
        settings = {"out": tmp_path / name, "workers": workers, "attacks": attacks, "complete": False}
        record = qa.certify(qa.load_model("digits-w4-float"), images[:40], labels[:40], threat, **settings)
        assert record.finished
        found[name] = {image: (bound.verdict, bound.method) for image, bound in record.bounds.items()}
    assert {verdict for verdict, _ in found["alone"].values()} == {"proved", "open"}
    assert found["many"] == found["alone"]
