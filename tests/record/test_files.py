"""Files beside a record: whole or not there, named by what they hold, and never outside the folder."""

import hashlib
import shutil
from pathlib import Path

import pytest

from quantattack.errors import InputError
from quantattack.record.merge import merge
from quantattack.record.outcome import Outcome, Shard, Subject
from quantattack.record.store import Store
from quantattack.record.writing import written_whole
from quantattack.report.page import write_page
from quantattack.report.record_page import write_record_page
from records import by_hand

SUBJECT = Subject("net", "digits", '{"norm":"Linf","radius":0.1}')


def part(folder: Path, image: int, *, file: str = "images/1-00000000.safetensors", text: str = "") -> Path:
    """A part of a run with one image and one file of attacked images, under the name that its first batch has."""
    store = Store.open(folder, {"seed": 0})
    (folder / "images").mkdir()
    content = (text or f"images of {image}").encode()
    if file == "images/1-00000000.safetensors":
        (folder / file).write_bytes(content)
    outcome = Outcome(image, 1, 1, 1, 0.5, 0.1, None, 0, 1.0, 1.0, 0.1, True)
    store.write(store.cell(SUBJECT, "pgd", {}, 1), [outcome])
    row = (1, file, 1, hashlib.sha256(content).hexdigest())
    store.close()
    by_hand(folder, "INSERT INTO shard VALUES (?, ?, ?, ?)", row)
    return folder


def test_merged_files_of_one_name_are_all_kept(tmp_path: Path):
    parts = [part(tmp_path / str(number), number) for number in range(3)]
    merged = merge(parts, tmp_path / "out")
    held = {(tmp_path / "out" / shard.file).read_text() for shard in merged.shards(1)}
    assert held == {"images of 0", "images of 1", "images of 2"}
    merged.close()


@pytest.mark.parametrize(
    "file", ["/etc/hostname", "../secret", "images/../../secret", "images/a/b", "record.sqlite", "images/..", "images"]
)
def test_no_name_leads_out_of_the_folder(file: str, tmp_path: Path):
    (tmp_path / "secret").write_text("secret")
    folder = part(tmp_path / "part", 0, file=file, text="secret")
    with pytest.raises(InputError, match="which is not in images/"):
        merge([folder], tmp_path / "out")
    assert not list(tmp_path.glob("out/**/*.safetensors"))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path):
    folder = part(tmp_path / "part", 0, text="secret")
    (tmp_path / "secret").write_text("secret")
    (folder / "images" / "1-00000000.safetensors").unlink()
    (folder / "images" / "1-00000000.safetensors").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="is a link"):
        merge([folder], tmp_path / "out")


def test_a_file_that_changed_is_not_merged(tmp_path: Path):
    folder = part(tmp_path / "part", 0)
    (folder / "images" / "1-00000000.safetensors").write_text("something else")
    with pytest.raises(InputError, match="another checksum"):
        merge([folder], tmp_path / "out")
    assert not list((tmp_path / "out" / "images").iterdir())


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("before")

    def stop() -> None:
        with written_whole(path) as half:
            half.write_text("aft")
            raise KeyError

    with pytest.raises(KeyError):
        stop()
    assert path.read_text() == "before"
    with written_whole(path) as half:
        half.write_text("after")
    assert path.read_text() == "after"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("write", [write_page, write_record_page])
def test_a_page_that_cannot_be_written_is_one_line_and_leaves_nothing(write, tmp_path: Path):
    Store.open(tmp_path, {}).close()
    (tmp_path / ("report.html" if write is write_page else "record.html")).mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="cannot write") as caught:
        write(tmp_path)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_shard_is_listed_as_it_was_written(tmp_path: Path):
    folder = part(tmp_path / "part", 3)
    merged = merge([folder], tmp_path / "out")
    (shard,) = merged.shards(1)
    sha = hashlib.sha256(b"images of 3").hexdigest()
    assert shard == Shard(f"images/{sha[:32]}.safetensors", 1, sha)
    merged.close()
    shutil.rmtree(folder)
    assert (tmp_path / "out" / shard.file).read_bytes() == b"images of 3"
