"""The tables of docs/pixels.md are those of results/pixels, and bear out what the page says of them."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pixels.md").read_text(encoding="utf-8")
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "pixels.py"))


def test_the_page_is_not_stale():
    assert SCRIPT["built"](PAGE) == PAGE, "docs/pixels.md is stale: run `make results`"
    assert PAGE.count("/255 |") > 20


def test_the_whole_suite_was_run_on_enough_networks():
    found = SCRIPT["files"](SCRIPT["FOLDER"], 50)
    whole = {case for case, entry in found.items() if SCRIPT["measured"](entry) == SCRIPT["SUITE"]}
    assert len({name for name, _ in whole}) >= 4
    assert len(whole) >= 8
    assert all(entry["images"] == 50 for entry in found.values())


@pytest.mark.parametrize("images", [50, 100])
def test_a_search_on_the_grid_never_leaves_more_than_rounding_afterwards(images: int):
    found = SCRIPT["files"](SCRIPT["FOLDER"], images)
    assert len(found) >= 6
    for case, entry in found.items():
        attacks = SCRIPT["measured"](entry)
        assert set(attacks) >= set(SCRIPT["ALONE"])
        for together in (*((attack,) for attack in attacks), attacks):
            assert SCRIPT["left"](entry, "grid", together) <= SCRIPT["left"](entry, "afterwards", together), case


def test_every_record_counts_what_it_lists():
    for path in sorted(SCRIPT["FOLDER"].glob("*.json")):
        for attack, runs in json.loads(path.read_text()).items():
            for run in runs.values() if attack != "images" else ():
                assert run["clean"] - len(run["broken"]) == run["left"], (path.name, attack)


def test_what_all_attacks_leave_is_what_none_breaks():
    entry = {
        "pgd": {"grid": {"clean": 9, "broken": [0, 2]}},
        "gap": {"grid": {"clean": 9, "broken": [2, 5]}},
    }
    assert SCRIPT["left"](entry, "grid", ("pgd",)) == 7
    assert SCRIPT["left"](entry, "grid", ("pgd", "gap")) == 6
