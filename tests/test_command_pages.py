"""Every command of the pages on own models and on recipes runs, in the order of the page."""

import re
import runpy
from dataclasses import fields
from pathlib import Path

import pytest

from pages import ROOT, commands, files, run
from quantattack.cli.names import architecture_rows, quantizer_rows
from quantattack.record.record import Record
from quantattack.training.settings import Settings

FEW = "6"
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("your-own-model", "recipes")}
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def place(own_code: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    for name, text in [pair for page in PAGES.values() for pair in files(page)]:
        (own_code / name).write_text(text)
    return own_code


def test_the_page_on_your_own_model(place: Path):
    found = commands(PAGES["your-own-model"])
    assert found[0] == ["python", "my.py"]
    runpy.run_path("my.py", run_name="__main__")
    said = [run(command, FEW) for command in found[1:]]
    assert len(said) == 8
    assert "layers.1" in said[0]
    records = {re.sub(r"/.*", "", record.subject.model): record for record in map(Record.load, Path("runs").iterdir())}
    assert set(records) == {"my.py:model", "my.py:normalized", "weights.safetensors"}
    predictions = {tuple(record.column("pgd", "clean_prediction").tolist()[: int(FEW)]) for record in records.values()}
    assert len(predictions) == 1
    assert min(record.clean for record in records.values()) >= 4 / 6
    assert (place / "runs" / "mine" / "report.html").is_file()


def test_the_page_on_recipes(place: Path):
    said = [run(command, FEW) for command in commands(PAGES["recipes"])]
    assert all(row["name"] in said[0] for row in quantizer_rows())
    assert all(row["name"] in said[1] for row in architecture_rows())
    levels = {line.split()[0]: line for line in said[3].splitlines() if line.strip()}
    assert " float " in levels["features.0"]
    assert any(" 2" in line for name, line in levels.items() if name.startswith("features.") and name != "features.0")
    named = set(re.findall(r"`(\w+)`", PAGES["recipes"].partition("`training` has")[2].partition("`adversarial:")[0]))
    assert named >= {setting.name for setting in fields(Settings)}
