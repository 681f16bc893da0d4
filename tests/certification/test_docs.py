"""docs/certify.md: its commands run, its example prints what it shows, its tables are those of results/truth."""

import json
import re
import runpy
import shlex
from pathlib import Path

import pytest

from quantattack.cli import main
from quantattack.record.record import Record

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "certify.md").read_text(encoding="utf-8")
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "certify.py"))
RECORDS = SCRIPT["records"](SCRIPT["FOLDER"])


def named(record: Record) -> str:
    return f"{record.subject.model}-{record.threat['radius']:.3g}-{record.indices[0]}"


def test_its_commands_run_and_show_both_sides(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    commands = block.strip().splitlines()
    for command in commands:
        with pytest.raises(SystemExit) as stopped:
            main([*shlex.split(command)[1:], *(["--quiet"] if " certify " in command else [])])
        assert stopped.value.code == 0, command
    shown = capsys.readouterr().out
    proved, worst = Record.load(tmp_path / "runs" / "signs").bracket
    assert f"[{100 * proved:.1f}, {100 * worst:.1f}]" in shown
    assert '"bracket": [' in shown
    assert "0 disagree" in shown
    assert len(commands) == 3


def test_its_example_prints_what_it_shows(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "certify", "exec"), {"__name__": "certify"})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", code, re.M) == ["True"]


def test_the_page_is_not_stale():
    assert SCRIPT["built"](PAGE) == PAGE, "docs/certify.md is stale: run `make results`"


@pytest.mark.parametrize("record", RECORDS, ids=named)
def test_every_record_brackets_the_truth(record: Record):
    proved, worst = record.bracket
    assert {"pgd", "standard", "exact"} <= set(record.attacks)
    assert 0 <= proved <= worst <= min(record.robust(name) for name in record.attacks)
    for bound in record.bounds.values():
        broken = record.broken("exact")[record.indices == bound.image][0]
        assert broken == (bound.verdict == "broken")
        assert (bound.slack == 0) or (bound.method == "milp")


def overstated(record: Record) -> float:
    """Points by which the suite alone says more than what complete search leaves."""
    return 100 * (record.robust("standard") - record.worst_case)


@pytest.mark.parametrize("record", RECORDS, ids=named)
def test_the_suite_says_little_more_than_is_true(record: Record):
    stepped = any(kind in record.subject.model for kind in ("bnn", "uniform"))  # activations of few values
    assert overstated(record) <= (5.01 if stepped else 1.01)


def test_every_network_of_the_benchmark_has_a_record():
    benchmark = runpy.run_path(str(ROOT / "benchmarks" / "truth.py"))
    folders = [benchmark["case"](pair)[0] for pair in benchmark["PAIRS"]]
    assert len(folders) >= 10
    assert all((folder / "record.sqlite").is_file() for folder in folders)
    assert len(RECORDS) == len(folders)


def test_nothing_that_is_proved_was_broken():
    found = json.loads((SCRIPT["FOLDER"] / "hammered.json").read_text())
    assert len({entry["pair"] for entry in found}) >= 2
    assert all(entry["broken"] == 0 < entry["images"] for entry in found)
