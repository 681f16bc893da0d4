"""What the README and the CI say of installing is what pyproject.toml, the Makefile and .ci/run say."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_readme_names_every_extra_once():
    table = re.search(r"<!-- extras -->\n(.*?)<!-- end extras -->", README, re.DOTALL).group(1)
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(named) == sorted(PROJECT["optional-dependencies"])


def test_the_first_commands_are_at_most_four():
    block = re.search(r"<!-- install -->\n```sh\n(.*?)```", README, re.DOTALL).group(1).splitlines()
    assert block[0].startswith("pip install .")
    assert len(block) <= 4


def test_the_workflow_makes_what_ci_makes():
    lines = re.findall(r"^make (?:--\S+ )*(.+)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    told = [target for line in lines for target in line.split()]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    targets = workflow["jobs"]["make"]["strategy"]["matrix"]["target"]
    assert sorted(targets) == sorted(set(told) - {".venv/ready"})
    made = re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE)
    assert set(targets) <= set(made)


def test_the_hooks_run_what_make_check_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    entries = {hook["id"]: hook["entry"] for hook in hooks}
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE).group(1)
    assert set(entries) == {"ruff-check", "ruff-format", "mypy"}
    for entry in entries.values():
        program, *words = entry.removeprefix(".venv/bin/").split()
        command = " ".join([program, *(words[:1] if program == "ruff" else [])])
        assert f"$(BIN)/{command}" in check
