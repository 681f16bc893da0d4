"""Fetching, against a server on this machine."""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.file_server import Handler, serving
from quantattack.data.fetch import SOURCES, Published, fetch
from quantattack.errors import InputError

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def server() -> Iterator[str]:
    with serving() as address:
        yield address


def published(server: str, content: bytes = CONTENT, name: str = "file.gz", members: tuple[str, ...] = ()):
    Handler.files[f"/{name}"] = content
    return {"set": (Published(server + name, hashlib.md5(content).hexdigest(), members),)}


def test_a_file_is_fetched_and_left_alone_afterwards(server: str, tmp_path: Path):
    seen = []
    sources = published(server)
    (path,) = fetch("set", tmp_path, lambda *at: seen.append(at), sources)
    assert path == tmp_path / "set" / "file.gz"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("file.gz", len(CONTENT), len(CONTENT))
    fetch("set", tmp_path, None, sources)
    assert Handler.asked == ["all"]


@pytest.mark.parametrize("ranges", [True, False], ids=["continued", "sent anew"])
def test_a_download_that_broke_off_is_taken_up(server: str, tmp_path: Path, ranges: bool):
    sources = published(server)
    Handler.limit = 1000
    with pytest.raises(InputError, match="continues the download"):
        fetch("set", tmp_path, None, sources)
    Handler.limit, Handler.ranges = None, ranges
    (path,) = fetch("set", tmp_path, None, sources)
    assert path.read_bytes() == CONTENT
    assert Handler.asked == ["all", "bytes=1000-"]
    assert not list(path.parent.glob("*.part"))


def test_a_wrong_checksum_is_refused_and_thrown_away(server: str, tmp_path: Path):
    sources = published(server)
    Handler.files["/file.gz"] = CONTENT[:-1] + b"x"
    with pytest.raises(InputError, match="checksum"):
        fetch("set", tmp_path, None, sources)
    assert not list((tmp_path / "set").iterdir())


def test_an_archive_gives_its_files_and_no_path_is_followed(server: str, tmp_path: Path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("set/one.bin", "../../evil.bin", "set/two.bin"):
            entry = tarfile.TarInfo(name)
            entry.size = 3
            archive.addfile(entry, io.BytesIO(b"abc"))
    sources = published(server, packed.getvalue(), "set.tar.gz", ("one.bin", "two.bin"))
    paths = fetch("set", tmp_path, None, sources)
    assert [path.name for path in paths] == ["one.bin", "two.bin"]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["one.bin", "two.bin"]


def test_what_is_not_there_is_one_line(server: str, tmp_path: Path):
    sources = {"set": (Published(server + "none.gz", "0" * 32),)}
    with pytest.raises(InputError, match="404"):
        fetch("set", tmp_path, None, sources)
    with pytest.raises(InputError, match="did you mean 'mnist'"):
        fetch("mnits", tmp_path)


def test_every_set_is_published_in_a_binary_format():
    names = [file.name for files in SOURCES.values() for file in files]
    assert len(names) == 10
    assert not [name for name in names if "python" in name]
    assert all(re.fullmatch(r"[0-9a-f]{32}", file.checksum) for files in SOURCES.values() for file in files)
