import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from quantattack.data.digits import digits, digits_table
from quantattack.data.sets import SETS, load_data
from quantattack.errors import InputError

ROOT = os.environ.get("QUANTATTACK_DATA")


def test_digits_are_500_real_images_of_all_classes():
    images, labels = load_data("digits")
    assert images.shape == (500, 1, 8, 8)
    assert labels.bincount().tolist() == pytest.approx([50] * 10, abs=2)
    assert set(images.unique().tolist()) == {i / 16 for i in range(17)}
    assert torch.equal(images, load_data("digits")[0])


def test_digits_are_those_of_scikit_learn_split_by_its_own_function():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    parts = train_test_split(found.images, found.target, test_size=500, random_state=0, stratify=found.target)
    for split, images, labels in (("train", parts[0], parts[2]), ("test", parts[1], parts[3])):
        ours = digits(split)
        np.testing.assert_array_equal(ours[0][:, 0], images)
        np.testing.assert_array_equal(ours[1], labels)


def test_digits_that_a_release_keeps_elsewhere_are_read_by_scikit_learn(monkeypatch):
    at_once = digits_table()
    monkeypatch.setattr("quantattack.data.digits.find_spec", lambda name: None)
    np.testing.assert_array_equal(digits_table(), at_once)


def test_no_test_digit_is_a_training_digit():
    test, train = (
        {bytes(image.numpy()) for image in load_data("digits", split=split)[0]} for split in ("test", "train")
    )
    assert len(load_data("digits", split="train")[0]) == 1297
    assert not test & train


def write_mnist(folder, n=3):
    folder.mkdir()
    pixels = np.arange(n * 784, dtype=np.int64).astype(np.uint8)
    head = struct.pack(">HBBIII", 0, 8, 3, n, 28, 28)
    (folder / "t10k-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
    (folder / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, n) + bytes(range(n)))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_sets_are_read_from_their_folder(tmp_path, monkeypatch, name):
    write_mnist(tmp_path / name)
    monkeypatch.setenv("QUANTATTACK_DATA", str(tmp_path))
    images, labels = load_data(name)
    assert (images.shape, labels.tolist()) == ((3, 1, 28, 28), [0, 1, 2])
    assert (images.dtype, float(images.max())) == (torch.float32, 1.0)


@pytest.mark.parametrize(
    ("name", "label_bytes", "file"), [("cifar10", 1, "test_batch.bin"), ("cifar100", 2, "test.bin")]
)
def test_cifar_sets_are_read_from_their_folder(tmp_path, name, label_bytes, file):
    (tmp_path / name).mkdir()
    (tmp_path / name / file).write_bytes(bytes([9] * label_bytes + [255] * 3072) * 2)
    images, labels = load_data(name, tmp_path)
    assert (images.shape, labels.tolist(), float(images.min())) == ((2, 3, 32, 32), [9, 9], 1.0)


def test_what_is_missing_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("QUANTATTACK_DATA", raising=False)
    with pytest.raises(InputError, match="QUANTATTACK_DATA"):
        load_data("mnist")
    with pytest.raises(InputError, match="no folder"):
        load_data("mnist", tmp_path)
    (tmp_path / "mnist").mkdir()
    with pytest.raises(InputError, match="has no t10k-images"):
        load_data("mnist", tmp_path)
    with pytest.raises(InputError, match="did you mean 'mnist'"):
        load_data("minst")
    with pytest.raises(InputError, match="unknown split"):
        load_data("digits", split="all")
    with pytest.raises(InputError, match="did you mean 'linf'"):
        SETS["digits"].radius("lin")


def test_every_set_has_radii_that_leave_the_range_open():
    for data in SETS.values():
        assert 0 < data.radius("linf") < 0.5
        assert data.radius("Linf") < data.radius("l2") < data.radius("l1")
    assert SETS["digits"].radius("linf") <= 0.2


SIZES = {"mnist": 60_000, "fashion-mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000}
TRAINING = {"cifar10": "data_batch_1.bin", "cifar100": "train.bin"}  # not laid out wherever the test images are
needs_data = pytest.mark.skipif(not ROOT, reason="QUANTATTACK_DATA is not set")


def missing(name: str, file: str) -> bool:
    return not list((Path(ROOT) / name).glob(f"{file}*"))


@needs_data
@pytest.mark.parametrize("name", SIZES)
def test_the_real_test_images_are_whole(name):
    if missing(name, ""):
        pytest.skip(f"{name} is not under QUANTATTACK_DATA")
    images, labels = load_data(name, ROOT)
    assert len(images) == len(labels) == 10_000
    assert len(labels.unique()) == SETS[name].classes


@needs_data
@pytest.mark.parametrize("name", SIZES)
def test_the_real_training_images_are_whole(name):
    if missing(name, TRAINING.get(name, "train")):
        pytest.skip(f"the training images of {name} are not under QUANTATTACK_DATA")
    images, _ = load_data(name, ROOT, "train")
    assert len(images) == SIZES[name]
    assert images.mean((0, 2, 3)).tolist() == pytest.approx(
        SETS[name].mean if name != "cifar100" else (0.507, 0.487, 0.441), abs=1e-3
    )
