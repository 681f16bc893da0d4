"""The command `leaderboard`: the terminal, JSON, a page, and what it refuses."""

import json

import pytest

from quantattack.cli import _run
from report.gated import add, held, made


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs of one network each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "150")
    for model, count in (("digits-float", 3), ("digits-mdtanhs", 6)):
        store = made(tmp_path / "runs" / model)
        add(store, model, held(count))
        store.finish()
        store.close()
    return ["runs/digits-float", "runs/digits-mdtanhs"]


def test_runs_are_ranked_together(runs, capsys):
    assert _run(["leaderboard", *runs]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "digits-" in line]
    assert [line[:3] for line in lines] == [["1", "digits-mdtanhs", "60.0%"], ["2", "digits-float", "30.0%"]]
    assert all(line[3] == "trusted" and int(line[-3].replace(",", "")) > 1000 for line in lines)


def test_a_folder_of_runs_is_enough_and_json_stays_json_beside_a_page(runs, capsys):
    assert _run(["leaderboard", "runs", "--json", "--html", "new/page.html"]) == 0
    said = capsys.readouterr()
    (group,) = json.loads(said.out)
    assert [(each["rank"], each["model"], each["worst"]) for each in group["standings"]] == [
        (1, "digits-mdtanhs", 0.6),
        (2, "digits-float", 0.3),
    ]
    assert said.err.strip() == "page: new/page.html"


def test_wrong_input_is_one_line_and_2(runs, capsys, tmp_path):
    made(tmp_path / "empty").close()
    for given, said in (
        (["nothing"], "no record in nothing"),
        (["empty"], "no evaluation is finished"),
        ([*runs, "--html", "runs"], "runs is a folder; name a file"),
        ([], "Missing argument"),
    ):
        assert _run(["leaderboard", *given]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
