"""A run that is stopped at random moments prints no wrong number, and loses no more than the call that it was in.

The whole measurement is `benchmarks/interrupted.py`, whose 50 interruptions are in `results/robustness`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FEW = ["--times", "4", "--images", "60", "--seed", "5"]


def test_no_wrong_number_and_no_more_lost_than_a_call(tmp_path: Path):
    command = [sys.executable, str(ROOT / "benchmarks" / "interrupted.py"), *FEW, "--out", str(tmp_path / "found.json")]
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert sum(found["interruptions"].values()) == 4
    assert (found["numbers wrong"], found["upper bounds wrong"]) == (0, 0)
    assert found["numbers printed"] + found["numbers withheld"] > 0
    assert found["interruptions that lost more than the call that they fell into"] == 0
    assert all(row["images"] <= row["largest_call"] <= 64 for row in found["lost"])
    assert found["the last run, continued to its end, has the same numbers"] is True


def test_what_the_record_of_fifty_says():
    found = json.loads((ROOT / "results" / "robustness" / "interrupted.json").read_text())
    assert sum(found["interruptions"].values()) == 50
    assert min(found["interruptions"].values()) >= 10
    assert found["numbers printed"] > 50
    assert (found["numbers wrong"], found["upper bounds wrong"]) == (0, 0)
    assert all(row["images"] <= row["largest_call"] for row in found["lost"])
