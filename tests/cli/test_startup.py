"""What reads records, lists and explains starts without torch."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from quantattack.cli.commands import app
from quantattack.cli.commands.listing import listing
from quantattack.reproduction import KEYS, SIZES
from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.scales import SCALES

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "results" / "demo")
HEAVY = {"torch", "scipy.stats", "sklearn", "ray", "onnx"}
NEEDLESS = {"numpy", "jinja2", "rich.progress", "urllib.request", "tarfile"}  # a tenth of a second and more together

RUN = """
import contextlib, io, json, sys
from quantattack.cli import _run
with contextlib.redirect_stdout(io.StringIO()):
    codes = [_run(arguments) for arguments in json.loads(sys.argv[1])]
print(json.dumps([codes, sorted({*json.loads(sys.argv[2])} & {*sys.modules})]))
"""


def imported_by(commands: list[list[str]], heavy: set[str] = HEAVY) -> tuple[list[int], list[str]]:
    """Run commands in a new process; return their exit statuses, and which of the heavy modules they imported."""
    arguments = [sys.executable, "-c", RUN, json.dumps(commands), json.dumps(sorted(heavy))]
    codes, found = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    return codes, found


def names() -> list[str]:
    groups = [group.name for group in app.registered_groups]
    return [command.name or command.callback.__name__ for command in app.registered_commands] + groups


def test_every_help_comes_without_torch():
    assert {"evaluate", "export-onnx", "list", "data", "leaderboard"} <= set(names())
    codes, found = imported_by([["--help"], *([name, "--help"] for name in names())], HEAVY | NEEDLESS)
    assert set(codes) == {0}
    assert found == []


@pytest.mark.parametrize("kind", ["models", "data", "attacks", "quantizers", "architectures"])
def test_lists_come_without_torch(kind):
    assert imported_by([["list", kind], ["list", kind, "--json"]], HEAVY | NEEDLESS) == ([0, 0], [])


def test_records_are_read_without_torch(tmp_path):
    read = [["show", DEMO], ["show", DEMO, "--json"], ["compare", DEMO], ["leaderboard", DEMO]]
    read.append(["export", DEMO, "--out", str(tmp_path / "table.csv")])
    assert imported_by(read) == ([0] * len(read), [])


def test_a_report_is_written_without_torch(tmp_path):
    folder = copytree(ROOT / "tests" / "record" / "fixtures" / "version-0.1.0" / "command", tmp_path / "run")
    assert imported_by([["report", str(folder)]]) == ([0], [])
    assert "<svg" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_command_that_attacks_does_import_torch():
    assert imported_by([["evaluate", "no-such-network"]], {"torch"}) == ([2], ["torch"])


def test_the_lists_are_not_stale():
    built = runpy.run_path(str(ROOT / "scripts" / "listing.py"))["built"]
    assert json.loads(built()) == listing(), "listing.json is stale: run `make results`"


def test_papers_and_scales_are_named_as_they_are():
    assert tuple(PAPERS) == KEYS
    assert tuple(SCALES) == SIZES


def test_a_report_of_no_record_is_refused_before_anything_is_drawn(tmp_path):
    assert imported_by([["report", str(tmp_path / "none")]], {"torch", "matplotlib.axes"}) == ([2], [])


WAITING = """
import os, sys
from quantattack.cli import main
early = "torch" in sys.modules
try:
    main(["--version"])
except SystemExit:
    print(early, os.environ["OMP_WAIT_POLICY"])
"""


@pytest.mark.parametrize(("given", "kept"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_do_not_spin_before_torch_is_there(given, kept):
    around = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    around |= {"OMP_WAIT_POLICY": given} if given else {}
    ran = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, check=True, env=around)
    assert ran.stdout.splitlines()[-1] == f"False {kept}"
