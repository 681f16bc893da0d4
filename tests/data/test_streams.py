"""Images that stay in their files are the same as those that are loaded, to the checksum."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from quantattack import InputError
from quantattack.data.sets import load_data
from quantattack.data.sources import TensorSource
from quantattack.data.streams import FileRows, HeldRows, Stream, stream_data

RANDOM = np.random.default_rng(0)


def write_cifar(folder: Path, name: str, count: int, files: tuple[str, ...], marks: int = 1) -> None:
    (folder / name).mkdir()
    for file in files:
        rows = RANDOM.integers(0, 256, (count, marks + 3072), np.uint8)
        rows[:, :marks] %= 10
        (folder / name / file).write_bytes(rows.tobytes())


def write_idx(folder: Path, name: str, count: int, packed: bool = False) -> None:
    (folder / name).mkdir()
    images, labels = RANDOM.integers(0, 256, (count, 28, 28), np.uint8), RANDOM.integers(0, 10, count, np.uint8)
    for array, file in ((images, "t10k-images-idx3-ubyte"), (labels, "t10k-labels-idx1-ubyte")):
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        data = head + array.tobytes()
        path = folder / name / (file + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(data) if packed else data)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_cifar(tmp_path, "cifar10", 30, ("test_batch.bin", *(f"data_batch_{i}.bin" for i in range(1, 6))))
    write_cifar(tmp_path, "cifar100", 30, ("test.bin",), marks=2)
    write_idx(tmp_path, "mnist", 25)
    write_idx(tmp_path, "fashion-mnist", 25, packed=True)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "split", "rows"),
    [
        ("cifar10", "test", FileRows),
        ("cifar10", "train", FileRows),
        ("cifar100", "test", FileRows),
        ("mnist", "test", FileRows),
        ("fashion-mnist", "test", HeldRows),
        ("digits", "test", HeldRows),
    ],
)
def test_a_stream_is_the_data_set(name: str, split: str, rows: type, root: Path):
    stream, (images, labels) = stream_data(name, root, split), load_data(name, root, split)
    assert isinstance(stream.rows, rows)
    assert len(stream) == len(stream.rows) == len(images)
    for positions in ([0], [3, 1, 2, 1], [len(images) - 1, 0], range(len(images))):
        some, known = stream.take(positions)
        assert torch.equal(some, images[list(positions)])
        assert torch.equal(known, labels[list(positions)])
    assert torch.equal(stream[torch.tensor([2, 4])], images[[2, 4]])
    assert stream.checksum() == TensorSource(images, labels).checksum()
    assert stream.first(7).checksum() == TensorSource(images[:7], labels[:7]).checksum()
    assert len(stream.first(7)) == 7


def test_nothing_is_read_before_it_is_asked_for(root: Path):
    stream = stream_data("cifar10", root)
    (root / "cifar10" / "test_batch.bin").write_bytes(b"short")
    with pytest.raises(InputError, match="it must not change while it is attacked"):
        stream.take([0])


def test_damaged_files_are_refused(root: Path):
    for name, file in (("mnist", "t10k-images-idx3-ubyte"), ("cifar10", "test_batch.bin")):
        path = root / name / file
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(InputError, match="fetch it again"):
            stream_data(name, root)
    with pytest.raises(InputError, match="data set"):
        stream_data("cifar11", root)
    with pytest.raises(InputError, match="split"):
        stream_data("cifar10", root, "both")


def test_a_checksum_over_several_blocks(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("quantattack.data.streams._BLOCK", 7)
    images, labels = load_data("cifar10", root)
    stream: Stream = stream_data("cifar10", root)
    assert stream.checksum() == TensorSource(images, labels).checksum()
