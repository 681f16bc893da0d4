import json

import pytest

from quantattack.cli import _run
from quantattack.record.findings import read_findings
from quantattack.record.store import Store


def test_an_honest_network_exits_with_0_and_its_cost(capsys):
    assert _run(["diagnose", "digits-float", "--images", "40"]) == 0
    out = capsys.readouterr().out
    assert "no check speaks against PGD's number" in out
    assert "backward passes" in out


def test_a_saturated_network_exits_with_3_and_its_reason(capsys, tmp_path):
    given = ["diagnose", "digits-mdtanhs", "--images", "40", "--float", "digits-float", "--out", str(tmp_path / "run")]
    assert _run(given) == 3
    out = " ".join(capsys.readouterr().out.split())
    assert "PGD's number cannot be trusted, the network misleads it: saturation" in out
    assert "climb the log-odds" in out
    store = Store.load(tmp_path / "run")
    (record,) = store.records()
    assert any(finding.code == "saturation" for finding in read_findings(store.connection, record.subject))
    assert record.subject.model == "digits-mdtanhs"
    store.close()


def test_json_has_the_numbers_the_verdict_and_every_check(capsys, tmp_path):
    given = ["diagnose", "digits-mdtanhs", "--images", "30", "--budget", "60", "--json", "--out", str(tmp_path / "run")]
    assert _run(given) == 3
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["trusted"], found["masked"], found["images"]) == (False, True, 30)
    assert "saturation" in found["reasons"]
    assert found["clean"] > found["pgd"] >= found["worst"] >= 0
    assert found["threat"]["radius"] == 0.2
    assert {finding["verdict"] for finding in found["findings"]} == {"pass", "fail", "cannot tell"}
    assert "record:" in said.err


def test_what_does_not_fit_is_said(capsys):
    assert _run(["diagnose", "digits-float", "--images", "30", "--budget", "30"]) == 0
    assert "checks cannot tell" in capsys.readouterr().out


@pytest.mark.parametrize(
    "given",
    [
        ["--budget", "0"],
        ["--images", "0"],
        ["--radius", "0.1,0.2"],
        ["--norm", "l7"],
        ["--float", "nothing"],
        ["--data", "nothing"],
    ],
)
def test_wrong_input_is_one_line_and_2(capsys, given):
    assert _run(["diagnose", "digits-float", *given]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
