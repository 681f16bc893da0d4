"""Arrays of one's own become images and labels, or one line says why not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from quantattack.data.npz import NAMES, read_npz
from quantattack.data.sets import load_data
from quantattack.data.streams import stream_data
from quantattack.errors import InputError

BYTES = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 5), dtype=np.uint8)
LABELS = np.array([0, 2, 1, 0])


def written(folder: Path, images: np.ndarray, labels: np.ndarray = LABELS, names: tuple[str, str] = NAMES[0]) -> str:
    path = folder / "mine.npz"
    np.savez(path, **dict(zip(names, (images, labels), strict=True)))
    return str(path)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_in_0_to_1_are_pixels_as_they_are(tmp_path: Path, kind: type):
    floats = (BYTES / 255).astype(kind)
    path = written(tmp_path, floats)
    images, labels = load_data(path)
    assert images.dtype == torch.float32
    assert np.array_equal(images.numpy(), floats.astype(np.float32))
    assert labels.tolist() == LABELS.tolist()
    stream = stream_data(path)
    assert torch.equal(stream.take([2, 0])[0], images[[2, 0]])
    assert stream.checksum() == stream_data(path).checksum()


def test_bytes_and_the_same_floats_are_the_same_images(tmp_path: Path):
    images = load_data(written(tmp_path, BYTES))[0]
    assert torch.equal(images, load_data(written(tmp_path, BYTES.astype(np.float32) / np.float32(255)))[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_that_are_last_are_moved_to_the_front(tmp_path: Path, channels: int):
    images = BYTES[:, :channels]
    read, _ = read_npz(written(tmp_path, images.transpose(0, 2, 3, 1)))
    assert np.array_equal(read, images)
    assert np.array_equal(read_npz(written(tmp_path, images))[0], images)


def test_a_shape_that_allows_two_layouts_is_asked_about_and_taken_as_said(tmp_path: Path):
    images = BYTES[:, :, :, :3]
    path = written(tmp_path, images)
    with pytest.raises(InputError, match=r"may be first or last; say which: --data '.*mine\.npz\[layout=nhwc\]'"):
        load_data(path)
    assert load_data(f"{path}[layout=nchw]")[0].shape == (4, 3, 6, 3)
    assert load_data(f"{path}[layout=nhwc]")[0].shape == (4, 3, 3, 6)


@pytest.mark.parametrize("names", NAMES)
def test_usual_names_of_arrays_are_known(tmp_path: Path, names: tuple[str, str]):
    assert np.array_equal(read_npz(written(tmp_path, BYTES, LABELS[:, None], names))[0], BYTES)


def test_a_table_and_signals_are_taken_as_they_are(tmp_path: Path):
    for shape in ((4, 7), (4, 28, 28)):
        assert read_npz(written(tmp_path, np.zeros(shape, np.uint8)))[0].shape == shape


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (BYTES * 1.0, LABELS, r"from 0 to 255, which must lie in \[0, 1\]; divide them by 255"),
        ((BYTES / 127.5 - 1), LABELS, "undo their normalization, and state it for the model: --mean, --std"),
        (np.full((4, 3, 6, 5), np.nan), LABELS, "NaN"),
        (BYTES.astype(np.int32), LABELS, r"bytes or of floats in \[0, 1\].*not int32"),
        (BYTES, np.eye(4, 3), r"labels.argmax\(1\)"),
        (BYTES, LABELS * 1.0, "integer labels, not float64"),
        (BYTES, -np.ones(4, int), "without labels has -1"),
        (BYTES, LABELS[:3], "4 images and labels of shape"),
    ],
)
def test_what_is_no_image_or_no_class_is_one_line(tmp_path: Path, images: np.ndarray, labels: np.ndarray, says: str):
    with pytest.raises(InputError, match=says) as refusal:
        read_npz(written(tmp_path, images, labels))
    assert "\n" not in str(refusal.value)


def test_other_names_are_said(tmp_path: Path):
    with pytest.raises(InputError, match="must hold the arrays 'images' and 'labels', not a, b"):
        read_npz(written(tmp_path, BYTES, LABELS, ("a", "b")))


@pytest.mark.parametrize(
    ("inside", "says"),
    [("layout=nhcw", "did you mean 'nhwc'"), ("split=test", "unknown setting of .* 'split'"), ("layout", "write it")],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, inside: str, says: str):
    with pytest.raises(InputError, match=says):
        load_data(f"{written(tmp_path, BYTES)}[{inside}]")


def test_a_file_whose_name_has_brackets_is_that_file(tmp_path: Path):
    Path(written(tmp_path, BYTES)).rename(tmp_path / "mine.npz[layout=nhwc]")
    with pytest.raises(InputError, match="is not a folder"):
        load_data(str(tmp_path / "mine.npz[layout=nhwc]"))
