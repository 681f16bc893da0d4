"""The gate on the command line: the exit status, what is written, and what is refused."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from quantattack.cli import _run, main
from quantattack.cli.exits import MEANING
from quantattack.evaluation.verify import Verified
from quantattack.record.store import Store
from report.gated import PLAIN, add, held, made

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch) -> str:
    """A finished record with one model at two radii, 60 % and 40 % of whose images are held."""
    monkeypatch.chdir(tmp_path)
    store = made(tmp_path / "run")
    for radius, count in ((0.1, 6), (0.2, 4)):
        add(store, "net", held(count), radius=radius)
    store.finish()
    store.close()
    return "run"


def test_a_record_is_held_to_the_gate_and_its_files_are_written(run, capsys):
    files = ["--junit", "out/j.xml", "--summary", "s.md", "--badge", "b.json"]
    assert _run(["show", run, "--min-robust", "0.3", *files]) == 0
    assert capsys.readouterr().out.count("gate: passed: net on digits, Linf 0.") == 2
    assert ElementTree.parse("out/j.xml").getroot().get("failures") == "0"
    assert _run(["show", run, "--min-robust", "0.5", *files]) == 1
    said = capsys.readouterr().out
    assert "gate: passed: net on digits, Linf 0.1" in said
    assert "gate: below the gate: net on digits, Linf 0.2: worst case 40.0%" in said
    assert ElementTree.parse("out/j.xml").getroot().get("failures") == "1"
    assert Path("s.md").read_text().count("### Adversarial robustness") == 2
    assert json.loads(Path("b.json").read_text())["message"] == "40.0%"


def test_the_lower_end_of_the_interval_may_be_held_to_the_gate(run, capsys):
    """6 of 10 images are 31.3 to 83.2 %."""
    assert _run(["show", run, "--min-robust", "0.4", "--gate-on", "number"]) == 0
    assert "at or above the gate of 40.0%" in capsys.readouterr().out
    assert _run(["show", run, "--min-robust", "0.4", "--gate-on", "lower"]) == 1
    said = capsys.readouterr().out
    assert "worst case 60.0% (31.3 to 83.2%) of 10 images, its lower end below the gate of 40.0%" in said
    assert _run(["show", run, "--min-robust", "0.15", "--gate-on", "lower"]) == 0
    assert "its lower end at or above the gate of 15.0%" in capsys.readouterr().out


def test_without_a_gate_the_files_are_written_and_the_status_is_0(run, capsys):
    assert _run(["show", run, "--summary", "s.md", "--badge", "b.json"]) == 0
    assert "gate:" not in capsys.readouterr().out
    assert json.loads(Path("b.json").read_text())["color"] == "green"


def test_json_stays_json_beside_a_gate(run, capsys):
    assert _run(["show", run, "--json", "--min-robust", "0.9"]) == 1
    said = capsys.readouterr()
    assert [row["worst_case"] for row in json.loads(said.out)] == [0.6, 0.4]
    assert said.err.count("gate: below the gate") == 2


def test_pgd_alone_on_a_masked_network_is_not_trusted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["evaluate", "digits-mdtanhs", "--images", "40", "--attacks", "pgd[steps=5]", "--out", "run", "--quiet"]
    assert _run([*given, "--min-robust", "0.3", "--junit", "j.xml"]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "gate: not to be trusted: digits-mdtanhs on digits, Linf 0.2" in said
    assert "every attack climbs plain cross entropy" in said
    assert "the cross-entropy gradient is exactly zero" in said
    (case,) = ElementTree.parse("j.xml").getroot()[0]
    assert case[0].tag == "error"
    assert _run(["show", "run", "--min-robust", "0.9"]) == 1


def test_an_unfinished_record_is_not_trusted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    store = made(tmp_path / "run")
    add(store, "net", held(9), {"pgd": PLAIN}, images=20)
    store.close()
    assert _run(["show", "run", "--min-robust", "0.1"]) == 3
    assert "no number yet: the run is unfinished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--min-robust", "30"], "--min-robust is a share from 0 to 1, such as 0.3 or 30%, not 30"),
        (["--min-robust", "nan"], "a share from 0 to 1"),
        (["--min-robust", "-0.1"], "a share from 0 to 1"),
        (["--min-robust", "many"], "such as 0.3 or 30%, not 'many'"),
        (["--min-robust", "0.3", "--gate-on", "middle"], "unknown --gate-on 'middle'"),
        (["--gate-on", "lower"], "give that too, --min-robust 0.3"),
        (["--junit", "j.xml"], "give the least worst case, --min-robust 0.3"),
        (["--min-robust", "0.3", "--junit", "."], "is a folder; name a file"),
        (["--summary", "/dev/null/s.md"], "cannot write /dev/null/s.md"),
    ],
)
def test_wrong_input_is_one_line_and_2(run, capsys, wrong, said):
    assert _run(["show", run, *wrong]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_a_part_of_the_images_is_held_to_no_gate(capsys):
    assert _run(["evaluate", "digits-float", "--part", "1/2", "--min-robust", "0.3"]) == 2
    assert "part 1/2 says nothing of all images" in capsys.readouterr().err


def test_a_verification_that_differs_is_4(run, monkeypatch):
    found = Verified(clean=1, attacked=0, unsaved=1, files=0, wrong=("image 0 has another label in the data set",))
    monkeypatch.setattr("quantattack.cli.verify.verified", lambda *_, **__: found)
    assert _run(["verify", run]) == 4


def test_a_fault_of_our_own_is_no_missed_gate(run, monkeypatch, capsys):
    def fail(_: Store) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Store, "records", fail)
    with pytest.raises(SystemExit) as end:
        main(["show", run])
    assert end.value.code == 70
    err = capsys.readouterr().err
    assert "RuntimeError: broken" in err
    assert err.splitlines()[-1].startswith("error: this is a fault of quantattack itself")


def test_an_interrupt_is_130(run, monkeypatch, capsys):
    def interrupt(_: Store) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "records", interrupt)
    assert _run(["show", run]) == 130
    assert "continues where it stopped" in capsys.readouterr().err


def test_help_and_the_page_have_the_same_table_of_statuses(capsys):
    assert _run(["--help"]) == 0
    told = capsys.readouterr().out
    page = (ROOT / "docs" / "gate-a-release.md").read_text(encoding="utf-8")
    for code, words in MEANING.items():
        assert f"    {code:<4} {words}\n" in told
        assert f"| {code} | {words} |" in page
