"""Runs that are stopped at random moments: what they print and keep; `benchmarks/interrupted.py` stops them."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_run_stopped_at_random_moments_says_nothing_wrong_and_loses_at_most_a_batch(tmp_path: Path):
    """Six interruptions of small runs, at moments that a seed draws; the numbers of fifty are below."""
    script, out = ROOT / "benchmarks" / "interrupted.py", tmp_path / "interrupted.json"
    command = [sys.executable, str(script), "--times", "6", "--images", "40", "--seed", "1", "--out", str(out)]
    place = os.environ | {"TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, env=place, capture_output=True, text=True, timeout=1200, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert set(found["interruptions"]) == {"SIGINT", "SIGKILL"}
    assert sum(found["interruptions"].values()) == 6
    assert found["numbers printed"] + found["numbers withheld"] > 0
    assert (found["numbers wrong"], found["upper bounds wrong"]) == (0, 0)
    assert all(row["images"] <= row["largest_call"] for row in found["lost"])
    assert found["batches of work lost, at most"] <= 1
    assert found["the last run, continued to its end, has the same numbers"]


def test_what_the_record_of_fifty_says():
    found = json.loads((ROOT / "results" / "robustness" / "interrupted.json").read_text())
    assert sum(found["interruptions"].values()) == 50
    assert min(found["interruptions"].values()) >= 10
    assert found["numbers printed"] > 50
    assert (found["numbers wrong"], found["upper bounds wrong"]) == (0, 0)
    assert all(row["images"] <= row["largest_call"] for row in found["lost"])
    assert found["batches of work lost, at most"] <= 1
