import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from quantattack.data.npz import read_npz
from quantattack.data.readers import read_cifar, read_folder, read_idx, read_image
from quantattack.errors import InputError

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
IDX = struct.pack(">HBBIII", 0, 8, 3, 2, 3, 4) + PIXELS.tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx(tmp_path, pack):
    (tmp_path / "idx").write_bytes(pack(IDX))
    assert np.array_equal(read_idx(tmp_path / "idx"), PIXELS)


BAD_IDX = [b"", b"\0\0\x08", IDX[:-1], IDX + b"\0", b"\0\0\x0d" + IDX[3:], IDX[:6], gzip.compress(IDX, mtime=0)[:-9]]


@pytest.mark.parametrize("data", BAD_IDX)
def test_bad_idx_is_refused_with_one_line(tmp_path, data):
    (tmp_path / "idx").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_idx(tmp_path / "idx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("label_bytes", [1, 2])
def test_cifar(tmp_path, label_bytes):
    rows = np.random.default_rng(0).integers(0, 100, (3, label_bytes + 3072), dtype=np.uint8)
    (tmp_path / "batch.bin").write_bytes(rows.tobytes())
    images, labels = read_cifar(tmp_path / "batch.bin", label_bytes)
    assert labels.tolist() == rows[:, label_bytes - 1].tolist()
    assert np.array_equal(images[1, 2, 31], rows[1, -32:])


@pytest.mark.parametrize("data", [b"", b"\0" * 3074])
def test_bad_cifar_is_refused(tmp_path, data):
    (tmp_path / "batch.bin").write_bytes(data)
    with pytest.raises(InputError, match="not a CIFAR binary file"):
        read_cifar(tmp_path / "batch.bin")


def test_npz(tmp_path):
    images = np.zeros((2, 1, 4, 4), np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.array([1, 0], np.int32))
    read, labels = read_npz(tmp_path / "set.npz")
    assert read.shape == images.shape
    assert labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": np.zeros((2, 1, 4, 4), np.uint8)},
        {"images": np.full((2, 1, 4, 4), 2.0), "labels": np.zeros(2, int)},
        {"images": np.zeros(2, np.uint8), "labels": np.zeros(2, int)},
        {"images": np.zeros((2, 1, 4, 4), np.uint8), "labels": np.array([0, -1])},
        {"images": np.zeros((2, 1, 4, 4), np.uint8), "labels": np.array([0, 2**63], np.uint64)},
        {"images": np.zeros((2, 1, 4, 4), np.uint8), "labels": np.zeros(3, int)},
        {"images": np.array([{"a": 1}], object), "labels": np.zeros(1, int)},
    ],
)
def test_bad_npz_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(InputError):
        read_npz(tmp_path / "set.npz")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04junk", b"junk"])
def test_junk_npz_is_refused(tmp_path, data):
    (tmp_path / "set.npz").write_bytes(data)
    with pytest.raises(InputError, match=r"\.npz"):
        read_npz(tmp_path / "set.npz")


def test_folder(tmp_path):
    for name, value in (("cat", 10), ("dog", 200)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 5, 3), value, np.uint8)).save(tmp_path / name / "one.png")
    images, labels, classes = read_folder(tmp_path)
    assert images.shape == (2, 3, 4, 5)
    assert images[:, 0, 0, 0].tolist() == [10, 200]
    assert (labels.tolist(), classes) == ([0, 1], ("cat", "dog"))


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="no images"):
        read_folder(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "one.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match="not an image"):
        read_folder(tmp_path)
    Image.new("L", (4, 4)).save(tmp_path / "cat" / "one.png")
    Image.new("L", (5, 4)).save(tmp_path / "cat" / "two.png")
    with pytest.raises(InputError, match="different sizes"):
        read_folder(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        read_folder(tmp_path / "nothing")


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 1), ("1", 1), ("RGB", 3), ("RGBA", 3), ("P", 3)])
def test_an_image_has_the_channels_of_its_kind(tmp_path, mode, channels):
    Image.new(mode, (5, 4)).save(tmp_path / "image.png")
    assert read_image(tmp_path / "image.png").shape == (channels, 4, 5)


def test_gray_images_among_color_ones_get_their_channels(tmp_path):
    (tmp_path / "cat").mkdir()
    Image.new("L", (5, 4), 7).save(tmp_path / "cat" / "one.png")
    Image.new("RGB", (5, 4)).save(tmp_path / "cat" / "two.jpeg")
    images = read_folder(tmp_path)[0]
    assert images.shape == (2, 3, 4, 5)
    assert (images[0] == 7).all()


def test_a_folder_of_splits_names_the_one_to_give(tmp_path):
    for split in ("test", "train"):
        (tmp_path / split / "cat").mkdir(parents=True)
        Image.new("L", (5, 4)).save(tmp_path / split / "cat" / "one.png")
    with pytest.raises(InputError, match=r"give a folder in it, such as .*/test$"):
        read_folder(tmp_path)
    assert read_folder(tmp_path / "test")[0].shape == (1, 1, 4, 5)


def test_an_image_of_16_bits_is_refused(tmp_path):
    Image.fromarray(np.arange(20, dtype=np.uint16).reshape(4, 5) * 1000).save(tmp_path / "image.png")
    with pytest.raises(InputError, match="more than 8 bits"):
        read_image(tmp_path / "image.png")


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    Image.new("L", (50, 40)).save(tmp_path / "image.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="not an image that can be read"):
        read_image(tmp_path / "image.png")
