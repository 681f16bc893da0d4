"""The commands of docs/gate-a-release.md and of its workflow do what the page says."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from quantattack.cli import _run

PAGE = (Path(__file__).parents[2] / "docs" / "gate-a-release.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(block, comments=True)[1:] for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)]
WORKFLOW = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
STEPS = [step["run"] for step in WORKFLOW["jobs"]["gate"]["steps"] if "run" in step]
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("release")


@pytest.fixture
def place(folder, monkeypatch) -> Path:
    """One folder for all tests: what one has run, the other only continues."""
    monkeypatch.chdir(folder)
    return folder


def test_the_commands_pass_at_the_floor_fail_above_it_and_refuse_what_nothing_checks(place):
    release, again, alone = COMMANDS
    assert _run([*release, "--quiet"]) == 0
    assert _run(again) == 1
    assert _run([*alone, "--quiet"]) == 3


def test_the_workflows_steps_pass_and_write_its_files(place):
    install, evaluate, report = STEPS
    assert install.startswith("pip install ")
    words = shlex.split(evaluate.replace('"$GITHUB_STEP_SUMMARY"', str(place / "summary.md")))
    assert words[:2] == ["quantattack", "evaluate"]
    assert _run([*words[1:], "--quiet"]) == 0
    assert _run(shlex.split(report)[1:]) == 0
    written = {path.name for path in (place / "runs" / "release").iterdir()}
    assert {"record.sqlite", "junit.xml", "badge.json", "report.html"} <= written
    assert "| passed | digits-mdtanhs | digits | Linf 0.05 |" in (place / "summary.md").read_text(encoding="utf-8")
