"""Every command and program of docs/deployed-models.md runs, in the order of the page; its numbers are the records'."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pages
from data.file_server import Handler, serving
from pages import ROOT, blocks, commands
from quantattack.data import model_files
from quantattack.data.fetch import Published
from quantattack.data.model_files import MODEL_FILES
from quantattack.deployed.readers import READERS

PAGE = (ROOT / "docs" / "deployed-models.md").read_text(encoding="utf-8")
SECTIONS = dict(zip(*[iter(re.split(r"^## (.*)\n", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))
FEW = "3"  # images, in place of the page's
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "deployed.py"))
pytestmark = pytest.mark.usefixtures("unchecked")


def run(command: list[str]) -> None:
    """Run one command of the page, which must succeed."""
    if command[0] == "python":
        subprocess.run([sys.executable, *command[1:]], check=True, capture_output=True)
    else:
        pages.run(command, FEW)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for path in (ROOT / "examples").glob("*.py"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_from_a_training_script_to_a_verdict(place: Path, capsys: Any):
    pytest.importorskip("onnxruntime")
    text = SECTIONS["From a training script to a verdict"]
    names: dict[str, Any] = {"__name__": "page"}
    shown: list[str] = []
    for kind, block in blocks(text):
        if kind == "python":
            exec(compile(block, "docs/deployed-models.md", "exec"), names)
            shown += re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)
            continue
        for command in commands(f"```{kind}\n{block}```"):
            if command[0] != "pip":
                run(command)
    assert capsys.readouterr().out.splitlines() == shown
    assert len(shown) == 2
    assert (place / "runs" / "model" / "report.html").is_file()


def test_a_network_of_ours_as_a_file(place: Path):
    pytest.importorskip("onnxruntime")
    for command in commands(SECTIONS["A network of ours as a file"]):
        run(command)
    assert len(list(place.glob("*.onnx"))) == 3


@pytest.fixture
def published(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data root without the published models, which a server on this machine has."""
    root = Path(os.environ.get("QUANTATTACK_DATA", "nowhere"))
    files = {name: root / "mlperf-tiny" / model.file for name, model in MODEL_FILES.items()}
    if not (root / "cifar10").is_dir() or not all(path.is_file() for path in files.values()):
        pytest.skip("CIFAR-10 or MLPerf Tiny's files are not in QUANTATTACK_DATA")
    (place / "data").mkdir()
    (place / "data" / "cifar10").symlink_to(root / "cifar10")
    monkeypatch.setenv("QUANTATTACK_DATA", str(place / "data"))
    with serving() as address:
        for name, path in files.items():
            Handler.files[f"/{path.name}"] = path.read_bytes()
            own = MODEL_FILES[name].published
            here = Published(f"{address}{path.name}", own.checksum, size=own.size)
            monkeypatch.setitem(model_files.MODEL_FILES, name, replace(MODEL_FILES[name], published=here))
        yield place


def test_a_file_that_others_made(published: Path):
    pytest.importorskip("ai_edge_litert")
    for command in commands(SECTIONS["A file that others made"]):
        run(command)
    assert (published / "runs" / "resnet8" / "record.sqlite").is_file()


def test_every_command_of_the_page_is_in_a_section_that_is_run():
    sections = ("From a training script to a verdict", "A network of ours as a file", "A file that others made")
    run_here = [command for name in sections for command in commands(SECTIONS[name])]
    assert run_here == commands(PAGE)
    assert len(run_here) >= 14


def test_the_extras_that_the_page_names_exist():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = set(re.findall(r"\| `(\w+)`(?:, `(\w+)`)? \|", PAGE))
    for extra in {extra for pair in named for extra in pair if extra}:
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra


def test_every_format_that_is_read_is_in_the_table():
    rows = re.findall(r"^\| (`\..*?) \|", PAGE, re.MULTILINE)
    listed = {suffix for row in rows for suffix in re.findall(r"`(\.\w+)`", row)}
    assert listed >= set(READERS) >= {".onnx", ".tflite"}


def test_the_numbers_of_the_page_are_those_of_the_records():
    assert SCRIPT["built"](PAGE) == PAGE, "docs/deployed-models.md is stale: run `make results`"


def test_what_is_not_measured_is_said_and_what_is_becomes_a_table(tmp_path: Path):
    assert SCRIPT["tables"](tmp_path) == SCRIPT["formats"](tmp_path / "no.json") == SCRIPT["ABSENT"]
    (tmp_path / "formats.json").write_text(
        '{"net": {"onnx, qdq": {"runtime": "r",'
        ' "clean": {"images": 9, "differing": 0.005, "step": 2, "largest": 0.2, "argmax": 1.0},'
        ' "noise": {"images": 9, "differing": 0.0, "step": null, "largest": 1e-06, "argmax": 0.5}}}}'
    )
    (row,) = SCRIPT["formats"](tmp_path / "formats.json").splitlines()[2:3]
    assert row == "| `net` | onnx, qdq | 9 | 0.5 / 0 | 2 / 1e-06 (float) | 100.0 / 50.0 |"
