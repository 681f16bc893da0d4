"""`quantattack fetch`: the path on the output, the license and the progress beside it, one line where it fails."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.file_server import Handler, serving
from quantattack.cli import main
from quantattack.data import model_files
from quantattack.data.fetch import Published
from quantattack.data.model_files import MODEL_FILES

CONTENT = b"a model" * 100
SUM = hashlib.sha256(CONTENT).hexdigest()
NAME = "mlperf-tiny/kws-int8"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTATTACK_DATA", str(tmp_path / "data"))
    with serving() as address:
        Handler.files["/m.tflite"] = CONTENT
        here = replace(MODEL_FILES[NAME], published=Published(f"{address}m.tflite", SUM, size=len(CONTENT)))
        monkeypatch.setitem(model_files.MODEL_FILES, NAME, here)
        yield address


def run(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out.strip(), said.err


def listed(capsys: Any) -> dict[str, str]:
    code, out, _ = run(capsys, "list", "models", "--json")
    assert code == 0
    return {row["name"]: row["where"] for row in json.loads(out)}


def test_a_name_is_fetched_into_the_data_root_and_its_license_shown(capsys: Any, server: str, tmp_path: Path):
    assert listed(capsys)[NAME] == "to fetch"
    code, out, said = run(capsys, "fetch", NAME)
    assert (code, out) == (0, str(tmp_path / "data" / "mlperf-tiny" / "dscnn_kws_int8.tflite"))
    assert Path(out).read_bytes() == CONTENT
    assert "license: Apache-2.0, https://www.apache.org/licenses/LICENSE-2.0" in said
    assert listed(capsys)[NAME] == "fetched"


def test_a_file_of_ones_own_comes_by_address_and_checksum(capsys: Any, server: str, tmp_path: Path):
    code, out, said = run(capsys, "fetch", f"{server}m.tflite", "--sha256", SUM, "--out", "mine.tflite")
    assert (code, out) == (0, "mine.tflite")
    assert (tmp_path / "mine.tflite").read_bytes() == CONTENT
    assert "license" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("http://127.0.0.1:9/m.tflite",), "give its --sha256"),
        (("http://127.0.0.1:9/m.tflite", "--sha256", "0" * 64), "cannot be read"),
        ((NAME, "--sha256", "0" * 64), "--sha256 goes with a URL"),
        (("cifar10",), "run `quantattack data fetch cifar10`"),
        (("mlperf-tiny/kws",), "did you mean 'mlperf-tiny/kws-int8'"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(capsys: Any, server: str, arguments: tuple[str, ...], words: str):
    code, out, said = run(capsys, "fetch", *arguments)
    assert (code, out) == (2, "")
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert words in said
