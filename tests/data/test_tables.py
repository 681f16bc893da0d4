"""Tables of Hugging Face's datasets are read with pyarrow, which is optional."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from quantattack.data.sets import load_data
from quantattack.data.streams import stream_data
from quantattack.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = [0, 2, 1, 0, 1, 2]


def arrow() -> Any:
    if os.environ.get("QUANTATTACK_MODELS") == "required":
        return __import__("pyarrow")
    return pytest.importorskip("pyarrow", reason="pyarrow is not installed; make test-extras brings it")


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def rows(first: int, last: int, **more: list[Any]) -> dict[str, list[Any]]:
    cells = [{"bytes": png(PIXELS[row]), "path": None} for row in range(first, last)]
    return {"img": cells, "label": LABELS[first:last], **more}


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    pyarrow = arrow()
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(columns)
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_file_is_read(tmp_path: Path, suffix: str):
    path = str(write(tmp_path / f"mine{suffix}", rows(0, 6, name=["a"] * 6)))
    images, labels = load_data(path)
    assert np.array_equal((images * 255).round().byte().numpy(), PIXELS.transpose(0, 3, 1, 2))
    assert labels.tolist() == LABELS
    assert torch.equal(stream_data(path).take([4])[0], images[[4]])


def test_a_folder_s_test_split_is_taken_or_the_one_that_is_named(tmp_path: Path):
    write(tmp_path / "data" / "train-00000-of-00001.parquet", rows(0, 3))
    write(tmp_path / "data" / "test-00000-of-00002.parquet", rows(3, 5))
    write(tmp_path / "data" / "test-00001-of-00002.parquet", rows(5, 6))
    assert load_data(str(tmp_path))[1].tolist() == LABELS[3:]
    assert load_data(f"{tmp_path}[split=train]")[1].tolist() == LABELS[:3]
    with pytest.raises(InputError, match=r"unknown split of .* 'tests'; did you mean 'test'"):
        load_data(f"{tmp_path}[split=tests]")


def test_folders_of_splits_as_save_to_disk_writes_them_are_known(tmp_path: Path):
    write(tmp_path / "train" / "data-00000-of-00001.arrow", rows(0, 4))
    write(tmp_path / "validation" / "data-00000-of-00001.arrow", rows(4, 6))
    write(tmp_path / "validation" / "cache-1f.arrow", {"indices": [0]})
    assert load_data(str(tmp_path))[1].tolist() == LABELS[4:]


def test_columns_are_told_by_their_kind_or_named(tmp_path: Path):
    columns = rows(0, 6)
    fine = {"image": [cell["bytes"] for cell in columns["img"]], "fine_label": LABELS, "coarse_label": [0] * 6}
    path = str(write(tmp_path / "mine.parquet", fine))
    with pytest.raises(InputError, match=r"label columns fine_label, coarse_label; name one: .*\[label=fine_label\]"):
        load_data(path)
    assert load_data(f"{path}[label=fine_label]")[1].tolist() == LABELS
    with pytest.raises(InputError, match=r"unknown column of .* 'fine'"):
        load_data(f"{path}[label=fine]")


def test_a_path_inside_the_folder_is_opened_and_one_outside_is_not(tmp_path: Path):
    folder = tmp_path / "set"
    inside = write(folder / "mine.parquet", {"image": [{"bytes": None, "path": "one.png"}], "label": [1]})
    (folder / "one.png").write_bytes(png(PIXELS[0]))
    (tmp_path / "two.png").write_bytes(png(PIXELS[0]))
    assert load_data(str(inside))[0].shape == (1, 3, 5, 4)
    for path in ("../two.png", str(tmp_path / "two.png")):
        outside = write(folder / "other.parquet", {"image": [{"bytes": None, "path": path}], "label": [1]})
        with pytest.raises(InputError, match=r"row 0 of .* names no file in"):
            load_data(str(outside))


def test_what_is_no_such_table_is_one_line(tmp_path: Path):
    (tmp_path / "junk.parquet").write_bytes(b"PAR1junk")
    arrow()
    other = write(tmp_path / "other.parquet", {"text": ["a"], "label": [1]})
    unlabeled = write(tmp_path / "unlabeled.parquet", {**rows(0, 1), "label": [-1]})
    for path, says in (
        (tmp_path / "junk.parquet", "is not a table of images"),
        (tmp_path / "none.parquet", "there is no file"),
        (other, "has no image column among text, label"),
        (unlabeled, "without labels has -1"),
    ):
        with pytest.raises(InputError, match=says) as refusal:
            load_data(str(path))
        assert "\n" not in str(refusal.value)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "mine.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"pip install 'quantattack\[parquet\]'"):
        load_data(str(tmp_path / "mine.parquet"))
