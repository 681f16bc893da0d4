"""Published models by name and files of one's own by address, against a server on this machine."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data.file_server import Handler, serving
from quantattack.data import model_files
from quantattack.data.fetch import Published
from quantattack.data.model_files import MODEL_FILES, fetch_address, fetch_model, path_of_file
from quantattack.errors import InputError

CONTENT = bytes(range(256)) * 1000
SUM = hashlib.sha256(CONTENT).hexdigest()
NAME = "mlperf-tiny/resnet8-int8"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that has a file of one's own, and the published model in its official place's stead."""
    monkeypatch.delenv("QUANTATTACK_DATA", raising=False)
    with serving() as address:
        Handler.files["/model.onnx"] = Handler.files["/official.tflite"] = CONTENT
        published = Published(f"{address}official.tflite", SUM, size=len(CONTENT))
        here = {NAME: replace(MODEL_FILES[NAME], published=published)}
        monkeypatch.setattr(model_files, "MODEL_FILES", {**MODEL_FILES, **here})
        yield address


def test_a_published_model_lies_where_its_name_is_looked_up(server: str, tmp_path: Path):
    with pytest.raises(InputError, match=f"run `quantattack fetch {NAME} --data-root {re.escape(str(tmp_path))}`"):
        path_of_file(NAME, tmp_path)
    seen = []
    path = fetch_model(NAME, root=tmp_path, advance=lambda *at: seen.append(at))
    assert path == tmp_path / "mlperf-tiny" / "resnet8_cifar10_int8.tflite" == path_of_file(NAME, tmp_path)
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("official.tflite", len(CONTENT), len(CONTENT))
    fetch_model(NAME, root=tmp_path)
    assert Handler.asked == ["all"]


def test_the_data_root_may_come_from_the_variable(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match="does not come with the package; run `quantattack fetch"):
        path_of_file(NAME)
    with pytest.raises(InputError, match="say where to put it: --out"):
        fetch_model(NAME)
    monkeypatch.setenv("QUANTATTACK_DATA", str(tmp_path))
    with pytest.raises(InputError, match=f"run `quantattack fetch {NAME}`$"):
        path_of_file(NAME)
    assert fetch_model(NAME) == path_of_file(NAME)


@pytest.mark.parametrize("ranges", [True, False], ids=["continued", "sent anew"])
def test_a_download_that_broke_off_is_taken_up(server: str, tmp_path: Path, ranges: bool):
    Handler.limit = 1000
    with pytest.raises(InputError, match="the same command continues the download"):
        fetch_model(NAME, root=tmp_path)
    assert [path.stat().st_size for path in (tmp_path / "mlperf-tiny").iterdir()] == [1000]
    Handler.limit, Handler.ranges = None, ranges
    assert fetch_model(NAME, root=tmp_path).read_bytes() == CONTENT
    assert Handler.asked == ["all", "bytes=1000-"]
    assert len(list((tmp_path / "mlperf-tiny").iterdir())) == 1


def test_a_download_that_was_whole_but_not_named_yet_is_not_sent_again(server: str, tmp_path: Path):
    (tmp_path / "model.onnx.part").write_bytes(CONTENT)
    assert fetch_address(f"{server}model.onnx", SUM, tmp_path).read_bytes() == CONTENT
    assert Handler.asked == [f"bytes={len(CONTENT)}-"]


def test_redirects_are_followed_and_the_rest_is_asked_of_the_last(server: str, tmp_path: Path):
    Handler.moved["/old.onnx"] = f"{server}model.onnx"
    (tmp_path / "old.onnx.part").write_bytes(CONTENT[:500])
    path = fetch_address(f"{server}old.onnx", SUM, tmp_path)
    assert (path.name, path.read_bytes()) == ("old.onnx", CONTENT)
    assert Handler.asked == ["bytes=500-"]


def test_a_redirect_in_a_circle_or_out_of_the_web_is_one_line(server: str, tmp_path: Path):
    Handler.moved["/round"] = f"{server}round"
    Handler.moved["/out"] = "file:///etc/hostname"
    for name in ("round", "out"):
        with pytest.raises(InputError, match="answers 302"):
            fetch_address(f"{server}{name}", SUM, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_states_no_length_is_read_to_its_end(server: str, tmp_path: Path):
    Handler.sized = False
    seen = []
    fetch_address(f"{server}model.onnx", SUM, tmp_path, lambda *at: seen.append(at))
    assert seen[-1] == ("model.onnx", len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("sized", [True, False])
def test_more_bytes_than_the_published_file_has_are_not_kept(server: str, tmp_path: Path, sized: bool):
    Handler.files["/official.tflite"], Handler.sized = CONTENT + b"more", sized
    with pytest.raises(InputError, match=r"more than its 256,000 bytes; it was thrown away"):
        fetch_model(NAME, root=tmp_path)
    assert list((tmp_path / "mlperf-tiny").iterdir()) == []


def test_a_wrong_checksum_is_refused_and_thrown_away(server: str, tmp_path: Path):
    Handler.files["/official.tflite"] = CONTENT[:-1] + b"x"
    with pytest.raises(InputError, match=f"not {SUM}; it was thrown away"):
        fetch_model(NAME, root=tmp_path)
    assert list((tmp_path / "mlperf-tiny").iterdir()) == []
    with pytest.raises(InputError, match="checksum"):
        fetch_address(f"{server}model.onnx", "0" * 64, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mlperf-tiny"]


def test_what_is_not_there_is_one_line(server: str, tmp_path: Path):
    with pytest.raises(InputError, match="answers 404 Not Found; check the address"):
        fetch_address(f"{server}none.onnx", SUM, tmp_path)
    with pytest.raises(InputError, match="did you mean 'mlperf-tiny/resnet8-int8'"):
        fetch_model("mlperf-tiny/resnet-int8", root=tmp_path)
    with pytest.raises(InputError, match="did you mean 'mlperf-tiny/kws-int8'"):
        path_of_file("mlperf-tiny/kws", tmp_path)


def test_a_file_goes_where_it_is_wanted(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    address = f"{server}model.onnx"
    assert fetch_address(address, SUM.upper()) == Path("model.onnx")
    assert fetch_address(address, SUM, "folder/") == Path("folder/model.onnx")
    assert fetch_address(address, SUM, "folder") == Path("folder/model.onnx")
    assert fetch_address(address, SUM, "new/mine.onnx") == Path("new/mine.onnx")
    assert fetch_model(NAME, "folder") == Path("folder/resnet8_cifar10_int8.tflite")
    assert all(path.read_bytes() == CONTENT for path in tmp_path.rglob("*.onnx"))
    assert len(list(tmp_path.rglob("*.onnx"))) == 3


def test_another_file_is_never_written_over(server: str, tmp_path: Path):
    mine = tmp_path / "model.onnx"
    mine.write_bytes(b"mine")
    with pytest.raises(InputError, match="is another file; move it away"):
        fetch_address(f"{server}model.onnx", SUM, tmp_path)
    assert mine.read_bytes() == b"mine"
    with pytest.raises(InputError, match="cannot be used"):
        fetch_address(f"{server}model.onnx", SUM, mine / "below.onnx")
    assert Handler.asked == []


@pytest.mark.parametrize(
    "address", ["file:///etc/hostname", "ftp://host/a.onnx", "https:///a.onnx", "http://[::1/a", "http://a b/c", "x://"]
)
def test_what_is_no_address_of_the_web_is_refused(address: str, tmp_path: Path):
    with pytest.raises(InputError, match="is no address of a file"):
        fetch_address(address, SUM, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", "folder/", "folder/..", "folder/%2e%2e", "a%2Fb%5Cc"])
def test_a_name_is_asked_for_where_the_address_has_none(server: str, path: str, tmp_path: Path):
    with pytest.raises(InputError, match=r"--out FILE|answers 404"):
        fetch_address(f"{server}{path}", SUM, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("total", ["", "abc", "0" * 32, "g" * 64])
def test_what_is_no_sha256_is_refused(total: str, server: str, tmp_path: Path):
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        fetch_address(f"{server}model.onnx", total, tmp_path)


def test_every_published_model_has_a_fixed_place_and_checksum():
    names = ("resnet8-int8", "resnet8-float", "vww96-int8", "kws-int8")
    assert set(MODEL_FILES) == {f"mlperf-tiny/{name}" for name in names}
    for name, model in MODEL_FILES.items():
        assert model.name == name
        assert re.match(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/", model.published.address)
        assert re.fullmatch(r"[0-9a-f]{64}", model.published.checksum)
        assert model.published.size > 0
        assert "https://" in model.license
    assert len({model.published.checksum for model in MODEL_FILES.values()}) == len(MODEL_FILES)
