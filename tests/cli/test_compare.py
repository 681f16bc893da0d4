"""The command `compare`: networks of a record, and what it says of models that were not attacked yet."""

import pytest

from quantattack.cli import _run
from quantattack.cli.commands.record import DEPLOYED_SUFFIXES
from quantattack.deployed.readers import READERS
from quantattack.record.store import Store
from quantattack.report.comparison import comparisons
from report.gated import PLAIN, add, held, made


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["f.onnx", "i.onnx"], "`quantattack evaluate i.onnx --float f.onnx --data DATA --radius RADIUS --out"),
        (["digits-float", "digits-mdtanhs"], "`quantattack evaluate digits-float digits-mdtanhs --out runs/compared`"),
        (["mine:model", "b.safetensors"], "`quantattack evaluate mine:model b.safetensors --out runs/compared`"),
        (["net.tflite"], "`quantattack evaluate net.tflite MODEL --out runs/compared`"),
        (["nothing"], "no record in nothing"),
    ],
)
def test_models_are_answered_with_the_command_that_attacks_them(capsys, tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    assert _run(["compare", *given]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_record_of_two_networks_ends_with_a_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = made(tmp_path / "run")
    for model, count in (("a", 8), ("b", 3)):
        add(store, model, held(count))
    store.finish()
    store.close()
    assert _run(["compare", "run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "From a to b on 10 images: clean accuracy 90.0% to 90.0%, nothing lost" in said
    assert "robust accuracy under the 2 attacks in common 80.0% to 30.0%, 50.0 points lost" in said


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Runs of one network each: a and b under one threat, c under another, d on other images, a once more in again."""
    monkeypatch.chdir(tmp_path)
    about = {"c": {"radius": 0.3}, "d": {"first": 500}, "e": {"label": 4}, "f": {"attacks": {"fgsm": PLAIN}}}
    for folder, count in zip(("a", "b", "c", "d", "e", "f", "again"), (8, 3, 5, 5, 5, 5, 2), strict=True):
        store = made(tmp_path / folder)
        add(store, "a" if folder == "again" else folder, held(count), **about.get(folder, {}))
        store.finish()
        store.close()


def test_two_runs_are_compared_image_by_image(capsys, runs):
    assert _run(["compare", "a", "b"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "digits, Linf 0.1: 10 images, pgd, gap" in said
    assert "From a to b on 10 images: clean accuracy 90.0% to 90.0%, nothing lost" in said
    assert _run(["compare", "a", "b", "c", "again"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "a (a)" in said
    assert "a (again)" in said
    assert _run(["compare", "a", "b", "again", "b", "a"]) == 0


def test_networks_keep_the_order_in_which_they_are_named(capsys, two_each):
    assert _run(["compare", "one", "b", "a"]) == 0
    assert "From b to a on 10 images" in " ".join(capsys.readouterr().out.split())


def test_runs_that_are_comparable_only_within_are_refused(capsys, two_each):
    assert _run(["compare", "one", "far"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "no network of one and far can be compared with one of another run; attack them on the same" in said.err
    assert _run(["compare", "one", "two", "far"]) == 0
    assert "nothing is common to it and another: far;" in " ".join(capsys.readouterr().out.split())


def test_a_network_of_two_runs_is_no_pair(two_each):
    records = [record for folder in ("one", "two") for record in Store.load(folder).records()]
    (found,) = comparisons(records)
    assert len(found.robust) == 4
    assert len(found.pairs) == 5


@pytest.fixture
def two_each(tmp_path, monkeypatch):
    """Runs of two networks each: `one` and `two` share a and their threat, `far` has another threat."""
    monkeypatch.chdir(tmp_path)
    for folder, models, radius in (("one", "ab", 0.1), ("two", "ac", 0.1), ("far", "de", 0.3)):
        store = made(tmp_path / folder)
        for model, count in zip(models, (8, 3), strict=True):
            add(store, model, held(count), radius=radius)
        store.finish()
        store.close()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["a"], "needs two networks, and there is a on digits, Linf 0.1; name a second: quantattack compare RUN1"),
        (["a", "c"], "nothing is common to two networks: a on digits, Linf 0.1; c on digits, Linf 0.3; attack both"),
        (["a", "d"], "nothing is common to two networks"),
        (["a", "e"], "were attacked on different images under one name"),
        (["a", "f"], "nothing is common to two networks"),
        (["a", "b", "nosuch"], "unknown network of this record 'nosuch'"),
        (["a", "b", "--attack", "square"], "unknown attack"),
    ],
)
def test_runs_that_share_nothing_are_refused_in_one_line(capsys, runs, given, says):
    assert _run(["compare", *given]) == 2
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1


def test_the_suffixes_are_those_of_the_readers():
    assert set(DEPLOYED_SUFFIXES) == set(READERS)
