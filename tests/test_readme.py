"""The README's example runs and prints what it shows; its numbers are those of the record in results/."""

import contextlib
import io
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
NUMBER = re.compile(r"\d+\.\d+")


def example() -> str:
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]


def test_the_example_has_at_most_15_lines():
    assert 5 < len(example().strip().splitlines()) <= 15


@pytest.mark.usefixtures("unchecked")
def test_the_example_prints_what_the_readme_shows():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example(), "README.md", "exec"), {})
    shown = re.search(r"<!-- output -->\n```text\n(.*?)\n```", README, re.DOTALL).group(1)
    assert NUMBER.sub("#", printed.getvalue().strip()) == NUMBER.sub("#", shown)
    # another processor's rounding may flip a sign: two of 500 images here or there, in percent or as a share
    for ours, theirs in zip(NUMBER.findall(printed.getvalue()), NUMBER.findall(shown), strict=True):
        assert float(ours) == pytest.approx(float(theirs), abs=1.0 if float(theirs) > 1 or float(ours) > 1 else 0.01)


def test_the_readme_is_not_stale():
    built = runpy.run_path(str(ROOT / "scripts" / "readme.py"))["built"]
    assert built(README) == README, "README.md is stale: run `make results`"


def test_your_own_network_runs():
    exec(compile(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1], "README.md", "exec"), {})
