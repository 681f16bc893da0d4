"""The command `certify`: what it refuses, what it prints without its extra, and `exact` among other attacks."""

from pathlib import Path

import pytest

from deployed.fake import Write
from quantattack.certification.exact import MISSING
from quantattack.cli import main
from quantattack.record.record import Record

FEW = ["digits-mlp-bnn-waq", "--radius", "0.02", "--images", "3", "--attacks", "fgsm", "--quiet"]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return stopped.value.code


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seconds-per-image", "0"], "the seconds for each image must be a positive number"),
        (["--seconds-per-image", "ten"], "--seconds-per-image must be a positive number"),
        (["--norm", "l3"], "l3"),
    ],
)
def test_bad_input_is_one_line(arguments, words, capsys):
    assert run("certify", *FEW, *arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_network_without_bounds_is_refused_by_name(capsys, tmp_path):
    (tmp_path / "own_net.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.GELU(), nn.Linear(10, 10)).eval()\n"
    )
    assert run("certify", "own_net:make", "--data", "digits", *FEW[1:]) == 2
    assert "no bound is known of 2 (GELU)" in capsys.readouterr().err


def test_a_deployed_file_is_refused_with_what_to_certify(fake: Write, capsys):
    assert run("certify", str(fake()), "--data", "digits", *FEW[1:]) == 2
    assert "no bound is known of a deployed file; certify the network that it was made of" in capsys.readouterr().err


def test_pixels_are_searched_as_levels():
    assert run("certify", *FEW, "--pixels") == 2  # the digits have 17 levels
    assert run("certify", *FEW, "--no-pixels", "--out", "run") == 0
    assert "levels" not in Record.load("run").threat


def test_without_its_extra_it_says_what_that_adds(monkeypatch, capsys, tmp_path):
    for module in ("cli.certify", "evaluation.certify", "certification.exact"):
        monkeypatch.setattr(f"quantattack.{module}.has_solvers", lambda: False)
    assert run("certify", *FEW, "--out", "run") == 0
    assert MISSING in " ".join(capsys.readouterr().out.split())
    assert Record.load("run").bracket is not None


def test_exact_is_an_attack_of_evaluate_too():
    attacks = "fgsm,exact[seconds=5]"
    assert run("evaluate", FEW[0], *FEW[1:5], "--attacks", attacks, "--quiet", "--out", "run") == 0
    record = Record.load("run")
    assert record.attacks == ["fgsm", "exact[seconds=5]"]
    assert record.bracket == (record.worst_case, record.worst_case)
