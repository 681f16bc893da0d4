"""Networks are ranked by their worst case, and only among those on the same images under the same threat."""

import json
import runpy
from pathlib import Path

import pytest

from quantattack import InputError
from quantattack.record.description import stable
from quantattack.report.leaderboard import leaderboard, stores_in
from quantattack.report.leaderboard_views import as_json, cells, leaderboard_page
from report.gated import PLAIN, add, held, made

ROOT = Path(__file__).parents[2]


def finished(fill, folder=None):
    store = made(folder)
    fill(store)
    store.finish()
    return store


def ranks(group):
    return {standing.model: standing.rank for standing in group.standings}


def test_networks_are_ranked_by_worst_case_and_ties_share_a_rank():
    def fill(store):
        for model, count in (("low", 2), ("high", 8), ("tie", 8), ("middle", 5)):
            add(store, model, held(count))

    (group,) = leaderboard([finished(fill)], {"high": 1234})
    assert ranks(group) == {"high": 1, "tie": 1, "middle": 3, "low": 4}
    first = group.standings[0]
    assert (first.worst.count, first.clean.count, first.attacks, first.bytes) == (8, 9, 2, 1234)
    assert first.passes == pytest.approx(2 * 30)
    assert cells(first)[0::4] == ("1", "90.0%", "trusted")


def test_what_is_not_to_be_trusted_stands_behind_all_others_without_a_rank():
    def fill(store):
        add(store, "fair", held(3))
        add(store, "masked", held(9), {"pgd": PLAIN})

    (group,) = leaderboard([finished(fill)], {})
    assert ranks(group) == {"fair": 1, "masked": None}
    assert list(ranks(group)) == ["fair", "masked"]
    assert cells(group.standings[1])[-1] == "unchecked"


def test_unlike_things_are_in_groups_of_their_own():
    def fill(store):
        add(store, "a", held(5))
        add(store, "a", held(4), radius=0.2)
        add(store, "a", held(5), data="mnist")
        add(store, "b", held(5, 8))
        add(store, "c", held(5), first=10)
        add(store, "d", held(5), label=4)
        add(store, "e", held(6))

    groups = leaderboard([finished(fill)], {})
    assert [list(ranks(group)) for group in groups if len(group.standings) > 1] == [["e", "a"]]
    assert len(groups) == 6
    assert len({(group.data, group.threat, group.images, group.digest) for group in groups}) == 6


def test_runs_are_put_together_and_the_strongest_attacks_count():
    weak = finished(lambda store: add(store, "net", held(7)))
    strong = finished(lambda store: add(store, "net", held(2)))
    other = finished(lambda store: add(store, "other", held(4)))
    (group,) = leaderboard([weak, strong, other], {})
    assert ranks(group) == {"other": 1, "net": 2}
    assert group.standings[1].worst.count == 2


def test_two_files_of_one_name_are_two_networks():
    def of(checksum, count):
        store = made()
        subject = add(store, "model.onnx", held(count))
        about = {"model": [subject.model, checksum], "data": [subject.data, 10, "d", "i"], "attacks": {}}
        store._set("identity", stable({"seed": 0, "subjects": [about | {"threat": json.loads(subject.threat)}]}))
        store.finish()
        return store

    (group,) = leaderboard([of("a" * 20, 7), of("b" * 20, 3), of("b" * 20, 5)], {})
    assert [standing.worst.count for standing in group.standings] == [7, 3]


def test_an_unfinished_evaluation_is_in_no_ranking():
    store = made()
    add(store, "net", held(5))
    assert leaderboard([store], {}) == []


def test_records_are_found_in_a_folder_and_below_it(tmp_path):
    for name in ("one", "two/deep"):
        finished(lambda store, name=name: add(store, name, held(5)), tmp_path / name).close()
    assert len(stores_in(tmp_path / "one")) == 1
    assert len(stores_in(tmp_path)) == 2
    with pytest.raises(InputError, match="no record in"):
        stores_in(tmp_path / "three")


def test_the_page_shows_each_ranking_and_escapes_names():
    def fill(store):
        add(store, "<b>net</b>", held(5))
        add(store, "masked", held(9), {"pgd": PLAIN})

    groups = leaderboard([finished(fill)], {})
    page = leaderboard_page(groups)
    assert "&lt;b&gt;net&lt;/b&gt;" in page
    assert "<b>net" not in page
    assert page.count("<section") == 1
    assert "http" not in page.replace("http-equiv", "")
    assert "No evaluation is finished yet" in leaderboard_page([])
    plain = json.loads(json.dumps(as_json(groups)))
    assert [standing["worst"] for standing in plain[0]["standings"]] == [0.5, 0.9]


def test_the_page_of_the_results_is_not_stale():
    script = runpy.run_path(str(ROOT / "scripts" / "leaderboard.py"))
    page = script["PAGE"].read_text(encoding="utf-8")
    assert script["built"]() == page, "run `make results`"
    assert page.count("<section") > 3
