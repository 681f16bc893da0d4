"""A published model is given by its name once it was fetched; until then one line says how."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantattack.cli import main
from quantattack.data import model_files
from quantattack.data.fetch import Published
from quantattack.data.model_files import MODEL_FILES
from quantattack.data.sets import load_data
from quantattack.deployed.export.onnx import export_onnx
from quantattack.nn.zoo import load_model

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.usefixtures("unchecked")
NAME = "mlperf-tiny/resnet8-int8"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root without the file; what is published under the name is an ONNX file of digits here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUANTATTACK_DATA", raising=False)
    here = replace(
        MODEL_FILES[NAME], file="net.onnx", data="digits", published=Published("http://127.0.0.1/", "0" * 64)
    )
    monkeypatch.setitem(model_files.MODEL_FILES, NAME, here)
    return tmp_path / "data"


def run(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_it_is_attacked_by_its_name(root: Path, capsys: Any):
    evaluate = ("evaluate", NAME, "--images", "4", "--attacks", "fgsm", "--data-root", str(root), "--out", "run")
    code, _, said = run(capsys, *evaluate)
    assert code == 2
    assert said.strip().endswith(f"is not there; run `quantattack fetch {NAME} --data-root {root}`")
    export_onnx(
        load_model("digits-mdtanhs"), root / "mlperf-tiny" / "net.onnx", load_data("digits")[0][:16], int8="qdq"
    )
    assert run(capsys, *evaluate)[0] == 0
    assert json.loads(run(capsys, "show", "run", "--json")[1])["model"] == NAME
    assert run(capsys, "verify", "run", "--data-root", str(root))[0] == 0
    code, out, _ = run(capsys, "inspect", NAME, "--data-root", str(root))
    assert (code, "net.onnx" in out) == (0, True)


def test_what_its_publisher_says_of_pixels_holds_where_the_file_does_not(root: Path, capsys: Any):
    (root / "mlperf-tiny").mkdir(parents=True)
    proto = onnx.load(_float_file(root))
    del proto.metadata_props[:]
    onnx.save(proto, root / "mlperf-tiny" / "net.onnx")
    found = {}
    for name, given in (("theirs", ()), ("said", ("--range", "0,1"))):
        evaluate = ("evaluate", NAME, "--images", "40", "--attacks", "fgsm", "--data-root", str(root), "--out", name)
        assert run(capsys, *evaluate, *given)[0] == 0
        found[name] = json.loads(run(capsys, "show", name, "--json")[1])["clean"]
    assert found["said"] > 0.9  # what this one really takes
    assert found["theirs"] < found["said"]  # shown pixels from 0 to 255
    code, _, said = run(capsys, "evaluate", str(root / "mlperf-tiny" / "net.onnx"), "--data", "digits")
    assert (code, "does not say what pixels mean to it" in said) == (2, True)


def _float_file(root: Path) -> Path:
    path = root / "float.onnx"
    export_onnx(load_model("digits-float"), path, load_data("digits")[0][:16])
    return path


def test_it_is_the_float_network_of_another(root: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch):
    images = load_data("digits")[0][:16]
    export_onnx(load_model("digits-float"), root / "mlperf-tiny" / "net.onnx", images)
    export_onnx(load_model("digits-float"), "int8.onnx", images, int8="qdq")
    monkeypatch.setenv("QUANTATTACK_DATA", str(root))
    given = ("--data", "digits", "--float", NAME, "--images", "4", "--attacks", "fgsm", "--out", "run")
    assert run(capsys, "evaluate", "int8.onnx", *given)[0] == 0
    assert [row["model"] for row in json.loads(run(capsys, "show", "run", "--json")[1])] == ["int8.onnx", NAME]


def test_without_a_data_root_one_line_says_so(root: Path, capsys: Any):
    code, _, said = run(capsys, "evaluate", NAME, "--data", "digits")
    assert (code, said.count("\n")) == (2, 1)
    assert f"run `quantattack fetch {NAME} --data-root FOLDER`" in said
