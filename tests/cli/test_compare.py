"""The command `compare`: networks of a record, and what it says of models that were not attacked yet."""

import pytest

from quantattack.cli import _run
from quantattack.cli.commands.record import DEPLOYED_SUFFIXES
from quantattack.deployed.readers import READERS
from report.gated import add, held, made


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


def test_the_suffixes_are_those_of_the_readers():
    assert set(DEPLOYED_SUFFIXES) == set(READERS)
