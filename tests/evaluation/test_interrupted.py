"""What the record of fifty interrupted runs says; `benchmarks/interrupted.py` measured it."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_the_record_of_fifty_says():
    found = json.loads((ROOT / "results" / "robustness" / "interrupted.json").read_text())
    assert sum(found["interruptions"].values()) == 50
    assert min(found["interruptions"].values()) >= 10
    assert found["numbers printed"] > 50
    assert (found["numbers wrong"], found["upper bounds wrong"]) == (0, 0)
    assert all(row["images"] <= row["largest_call"] for row in found["lost"])
