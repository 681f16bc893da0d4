"""The commands `signal` and `reproduce`: what they print, record and refuse."""

from pathlib import Path

import pytest
from torch import nn

from quantattack.cli import main
from quantattack.record.signals import read_signals
from quantattack.record.store import Store


@pytest.fixture
def say(capsys, tmp_path, monkeypatch):
    """Run a command in an empty folder; return its exit code, what it printed and what it refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--quiet"])
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return run


def test_signal_measures_records_and_continues(say):
    command = ("signal", "digits-mdtanhs", "--images", "12", "--clever", "1", "--out", "run")
    code, out, err = say(*command)
    assert (code or 0, err) == (0, "")
    assert "Signal propagation in digits-mdtanhs" in out
    assert "Means over 12 correctly classified images; pixels from 0 to 1." in out
    assert "CLEVER" in out
    store = Store.load("run")
    first = read_signals(store.connection)
    assert store.finished
    assert {one.quantity for one in first} == {"propagation", "singular_values", "curves", "clever"}
    assert {one.unit for one in first} == {"pixel"}
    store.close()
    assert say(*command)[1] == out
    assert say("signal", "digits-mdtanhs", "--images", "13", "--out", "run")[0] == 2


def test_signal_in_normalized_pixels_is_named(say):
    _, out, _ = say("signal", "digits-bnn-waq", "--images", "8", "--unit", "normalized", "--out", "run")
    assert "normalized pixels" in out


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("signal", "digits-mdtanh"), "did you mean 'digits-mdtanhs'"),
        (("signal", "digits-float", "--unit", "gray"), "--unit must be pixel or normalized, not 'gray'"),
        (("signal", "digits-float", "--images", "0"), "--images must be a whole number from 1 on"),
        (("signal", "digits-float", "--data", "digit"), "unknown data set 'digit'"),
        (("signal", "digits-float", "mnist-lenet-float"), "these models were trained on digits, mnist; name"),
        (("evaluate", "cifar10-vgg5-float"), "cifar10 needs its files"),
        (("reproduce", "gupta2021", "table12", "digits-float"), "unknown paper 'gupta2021'; did you mean 'gupta2022'"),
        (("reproduce", "gupta2022", "table14", "digits-float"), "unknown table or figure 'table14'"),
        (("reproduce", "gupta2022", "table12", "digits-floot"), "did you mean 'digits-float'"),
        (("reproduce", "gupta2022", "figure4", "networks:digits_network"), "has no card that names its data set"),
        (
            ("reproduce", "gupta2022", "figure4", "digits-float", "--radius", "x"),
            "the radius must be a positive number",
        ),
        (("reproduce", "gupta2022", "figure1c", "digits-mdtanhs"), "needs a float network on digits"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_input_is_one_line(say, wrong, said, monkeypatch):
    monkeypatch.setattr("quantattack.models.load.python_model", lambda name: nn.Identity())
    monkeypatch.delenv("QUANTATTACK_DATA", raising=False)
    code, out, err = say(*wrong)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err
    assert out == ""


def test_reproduce_prints_the_published_beside_the_measured(say):
    code, out, err = say("reproduce", "gupta2022", "table13", "digits-mdtanhs", "--images", "16", "--out", "run")
    assert (code or 0, err) == (0, "")
    out = " ".join(out.split())
    assert "BNN-WQ, digits-mdtanhs, digits" in out
    assert "published: BNN-WQ, ResNet-18, CIFAR-10" in out
    assert "9.61" in out
    store = Store.load("run/gupta2022/digits-mdtanhs-16")
    assert store.notes["paper"] == "gupta2022"
    assert store.notes["network"]["kind"] == "BNN-WQ"
    assert len(store.records()[0].attacks) == 6
    store.close()
    assert "page: run/gupta2022-table13.html" in out


def test_the_page_of_a_reproduction_shows_its_figure(say):
    command = ("reproduce", "gupta2022", "figure3", "digits-mdtanhs", "digits-float", "--images", "8", "--out", "run")
    say(*command)
    text = Path("run/gupta2022-figure3.html").read_text(encoding="utf-8")
    assert "The Hessian&#39;s norm against beta" in text
    assert text.count('<svg role="img"') == 1
    Path("run/gupta2022-figure3.html").unlink()
    code, out, _ = say(*command, "--pages")  # from the records alone
    assert (code or 0, out) == (0, "page: run/gupta2022-figure3.html\n")
    assert Path("run/gupta2022-figure3.html").read_text(encoding="utf-8") == text
