"""Damaged files of each format: one line or a right answer, never a traceback."""

import gzip
import io
import math

import numpy as np
import pytest
from PIL import Image
from tests.fuzz.mutations import mutations

from quantattack.cli.run_file import RunFile, read_run_file
from quantattack.data.npz import read_npz
from quantattack.data.readers import read_cifar, read_folder, read_idx
from quantattack.data.streams import stream_data
from quantattack.errors import InputError
from quantattack.nn.zoo import FOLDER, load_model
from quantattack.training.files import read_recipe

COUNT = 200  # of each format
RUN = b"""models: [digits-float, "digits-mdtanhs"]
data: digits
threats: [{norm: linf, radius: [8/255, 0.1]}, {norm: l2}]
attacks: ["pgd[steps=40]", standard]
images: 20
seed: 0
save_images: true
speed: [fold]
out: runs/one
"""
RECIPE = b"""name: tiny
data: digits
architecture: lenet
options: {channels: 1}
weights: {quantizer: Dorefa, bits: 4}
skip: [head]
training: {epochs: 3, rate: {peak: 0.01}}
adversarial: {radius: 8/255, steps: 7}
"""


def saved(arrays, compressed=True):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


ARRAYS = {
    "images": np.arange(96, dtype=np.uint8).reshape(2, 3, 4, 4),
    "labels": np.array([0, 1]),
}
IDX = b"\0\0\x08\x03" + b"\0\0\0\2\0\0\0\4\0\0\0\4" + bytes(range(32))
LABELS = b"\0\0\x08\x01\0\0\0\2\0\1"
CIFAR = bytes(i % 10 for i in range(2 * 3073))


def picture(kind, mode="RGB"):
    file = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).convert(mode).save(file, kind)
    return file.getvalue()


def one_line(read, path):
    """What a reader returns, or None where it refused the file in one line."""
    said = ""
    try:
        return read(path)
    except InputError as error:
        said = str(error)
    assert 0 < len(said) < 600
    assert "\n" not in said
    return None


def is_array_set(found):
    images, labels = found[:2]
    return images.dtype == np.uint8 and labels.dtype == np.int64 and len(images) == len(labels) and labels.min() >= 0


def is_array(found):
    return found.dtype == np.uint8 and found.size == math.prod(found.shape)


FORMATS = {
    "run.yaml": (read_run_file, RUN, lambda found: isinstance(found, RunFile)),
    "recipe.yaml": (read_recipe, RECIPE, lambda found: found.architecture is not None),
    "set.npz": (read_npz, saved(ARRAYS), is_array_set),
    "plain.npz": (read_npz, saved(ARRAYS, compressed=False), is_array_set),
    "images-idx3-ubyte": (read_idx, IDX, is_array),
    "images-idx3-ubyte.gz": (read_idx, gzip.compress(IDX, mtime=0), is_array),
    "cifar.bin": (read_cifar, CIFAR, is_array_set),
    "cifar.bin.gz": (read_cifar, gzip.compress(CIFAR, mtime=0), is_array_set),
}


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_refused_in_one_line_or_read_right(tmp_path, name):
    read, whole, is_right = FORMATS[name]
    path = tmp_path / name
    path.write_bytes(whole)
    refused = 0
    assert name == "recipe.yaml" or is_right(read(path))
    for damaged in mutations(whole, COUNT):
        path.write_bytes(damaged)
        found = one_line(read, path)
        refused += found is None
        assert found is None or is_right(found)
    assert refused > COUNT / 10


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_damaged_pictures_are_refused_in_one_line_or_read_right(tmp_path, kind):
    whole, folder = picture(kind), tmp_path / "3"
    folder.mkdir()
    refused = 0
    for damaged in mutations(whole, COUNT):
        (folder / f"one.{kind.lower()}").write_bytes(damaged)
        found = one_line(read_folder, tmp_path)
        refused += found is None
        assert found is None or is_array_set(found)
    assert refused > COUNT / 10


def test_damaged_checkpoints_are_refused_in_one_line(tmp_path):
    whole = (FOLDER / "digits-float.safetensors").read_bytes()
    path = tmp_path / "net.safetensors"
    for damaged in mutations(whole, COUNT):
        path.write_bytes(damaged)
        found = one_line(load_model, str(path))
        assert found is None or damaged == whole  # the checksum covers every byte


@pytest.mark.parametrize("split", ["images", "labels"])
def test_damaged_files_of_a_data_set_are_refused_in_one_line_or_streamed_right(tmp_path, split):
    folder = tmp_path / "mnist"
    folder.mkdir()
    files = {"images": folder / "t10k-images-idx3-ubyte", "labels": folder / "t10k-labels-idx1-ubyte"}
    whole = {"images": IDX, "labels": LABELS}
    for name, path in files.items():
        path.write_bytes(whole[name])
    for damaged in mutations(whole[split], COUNT):
        files[split].write_bytes(damaged)
        found = one_line(lambda root: stream_data("mnist", root), tmp_path)
        if found is not None:
            images, labels = found.take(range(len(found)))
            assert len(images) == len(labels)
            assert images.shape[1] == 1
            assert float(images.max()) <= 1
