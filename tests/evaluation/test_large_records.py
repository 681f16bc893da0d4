"""Records at scale: saved images, tables for other programs, parts put together, everything computed once more."""

import csv
import resource
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from commands import command
from quantattack import InputError, Linf, Record, Threat, fgsm, load_data, load_model, pgd
from quantattack.data.sources import TensorSource
from quantattack.evaluation.run import run
from quantattack.evaluation.saved_images import load_shard, packed, save_shard, unpacked
from quantattack.evaluation.task import prepare
from quantattack.evaluation.verify import verify
from quantattack.record.merge import merge
from quantattack.record.outcome import Shard
from quantattack.record.store import Store
from records import by_hand

THREAT = Threat(Linf(), 0.1)
ATTACKS = {"pgd": pgd(THREAT, steps=4), "fgsm": fgsm(THREAT)}
COUNT = 60
pytestmark = pytest.mark.usefixtures("unchecked")


def made(folder: Path | None, **settings: Any) -> Record:
    images, labels = (part[:COUNT] for part in load_data("digits"))
    given = {"names": ("digits-mdtanhs", "digits"), "batch_size": 16, **settings}
    job = prepare(load_model("digits-mdtanhs"), images, labels, ATTACKS, THREAT, **given)
    store = Store.open(folder, {"subjects": [job.identity.to_json()], "seed": 0})
    with store.writing():
        return run([job], store, [lambda name, done, total: None])[0]


def verdicts(record: Record) -> Any:
    return {
        name: [replace(one, forwards=0.0, backwards=0.0, seconds=0.0) for one in record.outcomes(name)]
        for name in record.attacks
    }


@pytest.fixture(scope="module")
def whole() -> Any:
    return verdicts(made(None))


@pytest.fixture
def saved(tmp_path: Path) -> Record:
    return made(tmp_path / "saved", keep_images=True)


def test_bytes_give_every_pixel_back_or_are_not_taken():
    exact = torch.arange(256, dtype=torch.float32).reshape(4, 1, 8, 8) / 255
    assert packed(exact).dtype == torch.uint8
    assert torch.equal(unpacked(packed(exact)), exact)
    off = exact.clone()
    off[2, 0, 3, 3] = torch.nextafter(off[2, 0, 3, 3], torch.tensor(1.0))
    for images in (off, exact - 0.1, exact.double(), load_data("digits")[0][:5]):
        assert packed(images).dtype == images.dtype
        assert torch.equal(unpacked(packed(images)), images)
    assert packed(exact.bfloat16()).dtype == torch.float32


def test_saved_images_are_those_that_were_judged(saved: Record):
    folder, clean = saved.store.folder, load_data("digits")[0]
    assert folder is not None
    model = load_model("digits-mdtanhs")
    for name, cell in saved.cells.items():
        known = {one.image: one for one in saved.outcomes(name)}
        shards, seen = saved.store.shards(cell), set[int]()
        for shard in shards:
            index, images = load_shard(folder / shard.file)
            assert len(index) == shard.images
            prediction, size = model(images).argmax(1), (images - clean[index]).abs().amax((1, 2, 3))
            for at, found, reach in zip(index.tolist(), prediction.tolist(), size.tolist(), strict=True):
                assert found == known[at].prediction
                assert reach == pytest.approx(known[at].size, abs=1e-6)
            seen |= set(index.tolist())
        assert seen == {at for at, one in known.items() if one.clean_prediction == one.label}
    assert not list(folder.rglob("*.part"))


def checked(record: Record, images: Any = None) -> Any:
    clean, labels = load_data("digits")
    source = TensorSource((clean if images is None else images)[:COUNT], labels[:COUNT])
    return verify(record, load_model("digits-mdtanhs"), source, THREAT)


def test_what_is_true_is_verified(saved: Record):
    found = checked(saved)
    assert found.wrong == ()
    right = sum(one.clean_prediction == one.label for one in saved.outcomes("pgd"))
    assert (found.clean, found.attacked, found.unsaved) == (COUNT, 2 * right, 0)
    assert found.files >= 2


def lie(record: Record, change: str) -> None:
    folder = record.store.folder
    assert folder is not None
    shard = folder / record.store.shards(1)[0].file
    if change == "file":
        tensors = load_file(shard)
        save_file({**tensors, "images": tensors["images"].flip(0)}, shard)
    elif change == "missing":
        shard.unlink()
    else:
        query = "SELECT image FROM outcome WHERE clean_prediction = label AND cell = 1 AND label != 3"
        image = record.store.connection.execute(query).fetchone()[0]
        by_hand(record.store.connection, f"UPDATE outcome SET {change} WHERE cell = 1 AND image = ?", (image,))


@pytest.mark.parametrize(
    ("change", "words", "most"),
    [
        ("file", "another checksum than when it was written", 2),
        ("missing", "is missing", 2),
        ("prediction = 77", "the record says 77", 2),
        ("inside = 0", "is inside the threat, the record says otherwise", 2),
        ("clean_prediction = 3", "has another prediction", 4),  # the record contradicts itself in three ways more
    ],
)
def test_what_is_not_true_is_found(change: str, words: str, most: int, saved: Record):
    lie(saved, change)
    found = checked(saved)
    assert any(words in line for line in found.wrong)
    assert len(found.wrong) <= most


def test_another_model_or_data_set_is_found(saved: Record):
    images, labels = (part[:COUNT] for part in load_data("digits"))
    other = verify(saved, load_model("digits-float"), TensorSource(images, labels), THREAT)
    assert any("the model digits-mdtanhs has another checksum" in line for line in other.wrong)
    moved = verify(saved, load_model("digits-mdtanhs"), TensorSource(images.flip(0), labels.flip(0)), THREAT)
    assert any("the data set digits has another checksum" in line for line in moved.wrong)
    with pytest.raises(InputError, match="the data set has 5"):
        verify(saved, load_model("digits-mdtanhs"), TensorSource(images[:5], labels[:5]), THREAT)


def test_parts_are_put_together(tmp_path: Path, whole: Any):
    folders = [tmp_path / str(number) for number in (1, 2, 3)]
    for number, folder in enumerate(folders, 1):
        part = made(folder, part=(number, 3), keep_images=True)
        assert part.finished
        assert part.images == 20
    some = merge(folders[:2], tmp_path / "out")
    assert not some.records()[0].finished
    assert some.records()[0].images == COUNT
    some.close()
    (record,) = merge(folders, tmp_path / "out").records()
    assert record.finished
    assert verdicts(record) == whole
    assert checked(record).wrong == ()
    assert checked(record).unsaved == 0
    record.store.close()
    again = made(tmp_path / "out", keep_images=True)  # the run without parts is the same run, with nothing left to do
    assert verdicts(again) == whole


def test_what_is_no_part_is_refused(tmp_path: Path):
    made(tmp_path / "1", part=(1, 2))
    made(tmp_path / "2", part=(2, 2), seed=1)
    by_hand(tmp_path / "2", "UPDATE run SET value = replace(value, '\"seed\":0', '\"seed\":1')")
    with pytest.raises(InputError, match="is a part of another run"):
        merge([tmp_path / "1", tmp_path / "2"], tmp_path / "out")
    shutil.copytree(tmp_path / "1", tmp_path / "other")
    by_hand(tmp_path / "other", "UPDATE outcome SET prediction = prediction + 1")
    with pytest.raises(InputError, match="other verdicts on images that are there already"):
        merge([tmp_path / "1", tmp_path / "other"], tmp_path / "out")
    for part in ((0, 2), (3, 2), (1, COUNT + 1)):
        with pytest.raises(InputError, match="of 60 images: there are 1 to 60 parts"):
            made(None, part=part)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_outcome_is_exported(suffix: str, tmp_path: Path):
    record = made(tmp_path / "run")
    file = tmp_path / f"table{suffix}"
    if suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow")
    assert command("export", str(tmp_path / "run"), "--out", str(file)) == 0
    if suffix == ".csv":
        with file.open(newline="") as text:
            rows = list(csv.DictReader(text))
    else:
        rows = parquet.read_table(file).to_pylist()
    assert len(rows) == 2 * COUNT
    expected = [one for name in record.attacks for one in record.outcomes(name)]
    assert {0, 1, None} <= {one.step for one in expected}  # no step, the start point and "none" are told apart
    for row, one in zip(rows, expected, strict=True):
        assert (row["model"], row["data"]) == ("digits-mdtanhs", "digits")
        assert (int(row["image"]), int(row["prediction"]), float(row["size"])) == (one.image, one.prediction, one.size)
        assert (None if row["step"] in ("", None) else int(row["step"])) == one.step


def test_the_commands_say_what_they_did(tmp_path: Path, capsys: Any):
    short = ["evaluate", "--images", "24", "--attacks", "fgsm,pgd[steps=2]", "--save-images"]
    for part in ("1/2", "2/2"):
        assert command(*short, "--part", part, "--out", str(tmp_path / part[0])) == 0
    assert command("merge", str(tmp_path / "1"), str(tmp_path / "2"), "--out", str(tmp_path / "both")) == 0
    assert command("verify", str(tmp_path / "both")) == 0
    assert "0 disagree; 0 attacked images were not saved" in " ".join(capsys.readouterr().out.split())
    assert command(*short, "--out", str(tmp_path / "both")) == 0
    by_hand(tmp_path / "both", "UPDATE outcome SET prediction = 5")
    assert command("verify", str(tmp_path / "both")) == 4
    assert "the record says 5" in capsys.readouterr().out
    assert command("export", str(tmp_path / "both"), "--out", str(tmp_path / "x.xlsx")) == 2
    assert command("evaluate", "--part", "2") == 2
    assert command("evaluate", "--part", "1/2", "--attacks", "daa_blob") == 2
    said = capsys.readouterr().err
    assert "unknown kind of table" in said
    assert "--part must be like 2/5" in said
    assert "cannot be run in parts" in said


FILL = """
import resource, signal, sys
from quantattack.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
attacks = ["--attacks", "fgsm,pgd[steps=2]", "--batch-size", "16"]
main(["evaluate", "--images", "200", *attacks, "--quiet", "--out", sys.argv[2]])
"""


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path):
    """No file may grow beyond a size, as on a full disk: what was committed is there, and the run goes on with room."""
    assert resource.RLIMIT_FSIZE
    folder = tmp_path / "run"
    full = subprocess.run(
        [sys.executable, "-c", FILL, "150000", str(folder)], capture_output=True, text=True, check=False
    )
    assert full.returncode == 2, full.stderr
    assert full.stderr.count("\n") == 1
    assert full.stderr.startswith("error: cannot write")
    assert "Traceback" not in full.stderr
    with sqlite3.connect(folder / "record.sqlite") as connection:
        before = set(connection.execute("SELECT * FROM outcome"))
    connection.close()
    assert 0 < len(before) < 400
    again = subprocess.run(
        [sys.executable, "-c", FILL, "100000000", str(folder)], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    with sqlite3.connect(folder / "record.sqlite") as connection:
        after = set(connection.execute("SELECT * FROM outcome"))
    connection.close()
    assert before <= after
    assert len(after) == 400


def test_images_that_cannot_be_written_are_one_line(tmp_path: Path):
    (tmp_path / "images").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        save_shard(tmp_path, [0], torch.zeros(1, 1, 2, 2))
    (tmp_path / "images").unlink()
    assert isinstance(save_shard(tmp_path, [0], torch.zeros(1, 1, 2, 2)), Shard)
    (tmp_path / "x").write_bytes(b"1234")
    with pytest.raises(InputError, match="damaged or no file of attacked images"):
        load_shard(tmp_path / "x")


def test_a_finished_record_is_one_file_again(tmp_path: Path):
    made(tmp_path).store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gallery-1.safetensors", "lock", "record.sqlite"]


def test_a_record_can_be_read_while_it_is_written(tmp_path: Path):
    store = Store.open(tmp_path, {"subjects": [], "seed": 0})
    store.connection.execute("BEGIN IMMEDIATE")
    store.connection.execute("INSERT INTO run VALUES ('a', 'b')")
    assert Store.load(tmp_path).subjects() == []
    store.connection.execute("ROLLBACK")
    store.close()
