"""A run file: every model meets every data set, threat and attack; what the record lacks is run."""

import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from commands import command
from quantattack import InputError
from quantattack.cli.run_file import read_run_file
from quantattack.evaluation.judge import attack
from quantattack.record.store import Store

FILE = """
models: [digits-float, digits-mdtanhs]
threats:
  - {norm: linf, radius: [0.05, 0.1]}
  - {norm: l2, radius: 0.5}
attacks: ["fgsm", "pgd[steps=2]"]
images: 20
"""
pytestmark = pytest.mark.usefixtures("unchecked")


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def rows(folder: Path) -> set[Any]:
    connection = sqlite3.connect(folder / "record.sqlite")
    try:
        return set(connection.execute("SELECT * FROM outcome"))
    finally:
        connection.close()


def test_every_model_meets_every_threat(tmp_path: Path, capsys: Any):
    assert command("evaluate", "--config", str(written(tmp_path, FILE)), "--out", str(tmp_path / "run")) == 0
    records = Store.load(tmp_path / "run").records()
    assert len(records) == 2 * 3
    assert all(record.finished and record.images == 20 for record in records)
    assert all(record.attacks == ["fgsm", "pgd[steps=2]"] for record in records)


def test_only_what_the_record_lacks_is_run(tmp_path: Path, capsys: Any):
    given, out = written(tmp_path, FILE), tmp_path / "run"
    assert command("evaluate", "--config", str(given), "--out", str(out)) == 0
    before = rows(out)
    more = FILE.replace("0.1]", "0.1, 0.2]").replace("digits-mdtanhs]", "digits-mdtanhs, digits-bnn-waq]")
    more = more.replace('"fgsm"', '"fgsm", "pgd_margin[steps=2]"')
    assert command("evaluate", "--config", str(written(tmp_path, more)), "--out", str(out)) == 0
    after = rows(out)
    assert before < after
    assert len(after) == 3 * 4 * 3 * 20
    assert command("evaluate", "--config", str(written(tmp_path, FILE)), "--out", str(out)) == 0
    assert rows(out) == after
    for other in (FILE + "seed: 1\n", FILE.replace("images: 20", "images: 21")):
        assert command("evaluate", "--config", str(written(tmp_path, other)), "--out", str(out)) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "holds another run" in first
    assert "seed" in first
    assert "seed" not in second
    assert "data" in second


def test_the_command_adds_to_a_record_as_a_run_file_does(tmp_path: Path, capsys: Any):
    out = str(tmp_path / "run")
    few = ("--images", "12", "--radius", "0.1", "--out", out, "--quiet")
    assert command("evaluate", "digits-float", "--attacks", "pgd[steps=2]", *few) == 0
    before = rows(Path(out))
    assert command("evaluate", "digits-float", "--attacks", "pgd[steps=2],fgsm", *few) == 0
    assert command("evaluate", "digits-mdtanhs", "--attacks", "fgsm", *few) == 0
    assert before < rows(Path(out))
    assert len(rows(Path(out))) == 3 * 12
    assert all(record.finished for record in Store.load(Path(out)).records())
    capsys.readouterr()
    assert command("evaluate", "digits-float", "--attacks", "square[queries=5]", *few[2:], "--images", "13") == 2
    said = capsys.readouterr().err
    assert "(its data differ: it has 12 images of digits, not 13); choose another --out" in said


BAD = {
    "models: 3.5: x": "is not YAML",
    "[]": "must hold settings",
    "data: [digits]": "models: Field required",
    "models: []": "models: Value should have at least 1 item",
    "models: [digits-float]\nradius: 0.1": "there is no setting radius; there are models, data",
    "models: [digits-float]\nimages: many": "images: Input should be a valid integer",
    "models: [digits-float]\nthreats: [{norm: linf, radii: 0.1}]": "there is no setting threats.0.radii",
    "models: [digits-flaot]": "did you mean 'digits-float'",
    "models: [digits-float]\nspeed: quick": "unknown speed option",
    "models: [digits-float]\nattacks: [pgdd]": "did you mean 'pgd'",
}


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_used_is_one_line(text: str, tmp_path: Path, capsys: Any):
    assert command("evaluate", "--config", str(written(tmp_path, text)), "--out", str(tmp_path / "run")) == 2
    said = capsys.readouterr().err
    assert BAD[text] in said
    assert said.count("\n") == 1


def test_a_file_that_cannot_be_read_and_models_beside_it(tmp_path: Path, capsys: Any):
    with pytest.raises(InputError, match="cannot read"):
        read_run_file(tmp_path / "none.yaml")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="it is no text"):
        read_run_file(tmp_path / "bytes")
    assert command("evaluate", "digits-float", "--config", str(written(tmp_path, FILE))) == 2
    assert "leave them out of the command" in capsys.readouterr().err


SWEEP = """
models: [digits-float, digits-mdtanhs, digits-bnn-waq]
threats: [{norm: linf, radius: [0.05, 0.1]}]
attacks: ["fgsm", "pgd[steps=2]", "pgd_margin[steps=2]", "pgd_plus_njs[steps=2]"]
images: 24
"""


def test_a_sweep_that_was_interrupted_ends_as_one_record_and_one_report(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
):
    given, calls = written(tmp_path, SWEEP), [0]
    assert command("evaluate", "--config", str(given), "--out", str(tmp_path / "unbroken")) == 0

    def stopping(*given: Any) -> Any:
        calls[0] += 1
        if calls[0] == 14:
            raise KeyboardInterrupt
        return attack(*given)

    monkeypatch.setattr(sys.modules["quantattack.evaluation.run"], "attack", stopping)
    assert command("evaluate", "--config", str(given), "--out", str(tmp_path / "run")) == 130
    before = rows(tmp_path / "run")
    assert 0 < len(before) < 3 * 4 * 2 * 24
    assert command("evaluate", "--config", str(given), "--out", str(tmp_path / "run")) == 0
    assert before <= rows(tmp_path / "run")
    assert len(rows(tmp_path / "run")) == 3 * 4 * 2 * 24
    pairs = zip(*(Store.load(tmp_path / name).records() for name in ("run", "unbroken")), strict=True)
    for record, expected in pairs:
        assert record.finished
        assert record.subject == expected.subject
        for name in expected.attacks:
            assert record.column(name, "margin").tolist() == expected.column(name, "margin").tolist()
    capsys.readouterr()
    assert command("compare", str(tmp_path / "run")) == 0
    assert command("compare", str(tmp_path / "run"), "digits-float", "digits-flaot") == 2
    assert "24 images, fgsm, pgd[steps=2]" in " ".join(capsys.readouterr().out.split())
    assert command("report", str(tmp_path / "run")) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Networks side by side, image by image" in page
    assert page.count(">First alone</th>") == 2
