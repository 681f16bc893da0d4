"""Odd files and names, by kind: one line, never a traceback."""

import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from tests.fuzz.test_files import IDX, one_line, picture

from quantattack.cli import _run
from quantattack.cli.evaluate import part_named
from quantattack.cli.names import number, whole_of
from quantattack.cli.run_file import read_run_file
from quantattack.data.npz import read_npz
from quantattack.data.readers import read_cifar, read_folder, read_idx
from quantattack.data.sets import load_data
from quantattack.errors import InputError
from quantattack.nn.zoo import load_model
from quantattack.training.files import read_recipe

YAML = {
    "a key that is no text": "1: 2",
    "a key that YAML reads as true": "on: 3",
    "a key that YAML reads as false, nested": "models: [a]\nthreats: [{off: 1}]",
    "a key that is null": "~: 1",
    "a key that is a list": "? [a, b]\n: 1",
    "a key that is a date": "2024-01-01: 1",
    "deep lists": "models: " + "[" * 5000 + "]" * 5000,
    "deep settings": "models: " + "{a: " * 300 + "1" + "}" * 300,
    "levels over the deepest": "models: " + "[" * 30 + "]" * 30,
    "a number of 5000 digits": "seed: " + "9" * 5000,
    "a number of 25 digits": "seed: " + "9" * 25,
    "an infinite number": "seed: .inf",
    "a number that is none": "seed: .nan",
    "a tag that does not fit": "seed: !!int abc",
    "a float tag that does not fit": "seed: !!float abc",
    "a bool tag that does not fit": "seed: !!bool abc",
    "a date": "models: 2024-01-01",
    "a date that is none": "models: 2024-13-99",
    "a time that is none": "models: 2024-01-01 99:99:99",
    "bytes": "models: !!binary aGVsbG8=",
    "damaged bytes": "models: !!binary a",
    "a set": "models: !!set {a, b}",
    "NUL": "models: [\0]",
    "NUL, escaped": 'models: ["a\\0b"]',
    "a lone surrogate": 'models: ["\\ud800"]',
    "a lone surrogate in a key": '"\\udfff": 1',
    "an alias": "models: &a [x]\ndata: *a",
    "an alias of itself": "models: &a [*a]",
    "a bomb of aliases": "a: &a [x,x]\nb: &b [*a,*a]\nmodels: [*b,*b]",
    "an alias that is nowhere": "models: *a",
    "an object": "models: !!python/object/apply:os.system ['true']",
    "two documents": "models: [a]\n---\nmodels: [b]",
    "a tab": "models:\n\t- a",
    "a number in base 60": "models: 190:20:30",
    "a text alone": "models",
    "nothing": "",
    "a list": "- models",
    "an unclosed text": 'models: "a',
    "a directive": "%YAML 9.9\n---\nmodels: [a]",
}


@pytest.mark.parametrize("text", YAML.values(), ids=YAML)
@pytest.mark.parametrize("read", [read_run_file, read_recipe])
def test_odd_yaml_is_refused_in_one_line(tmp_path, read, text):
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


def test_yaml_in_another_encoding_or_without_end_is_refused(tmp_path):
    path = tmp_path / "file.yaml"
    for data in ("models: [ä]".encode("latin-1"), b"\xff\xfe" + "models: [a]".encode("utf-16le"), b"#" * (2 << 20)):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"is not YAML|bytes"):
            read_run_file(path)


def entry(name, data, method=zipfile.ZIP_STORED):
    return name, data, method


def npy(shape, dtype="|u1", data=b"", version=1):
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes((version, 0)) + size + header + data


def archive(path, *entries):
    with zipfile.ZipFile(path, "w") as file:
        for name, data, method in entries:
            file.writestr(name, data, method)


LABELS = entry("labels.npy", npy((2,), "<i8", np.array([0, 1]).tobytes()))
NPZ = {
    "a size of 2**60": [entry("images.npy", npy((2**30, 2**30))), LABELS],
    "a size beyond 64 bits": [entry("images.npy", npy((2**40, 2**40))), LABELS],
    "a negative size": [entry("images.npy", npy((-2, 3, 4, 4), data=bytes(96))), LABELS],
    "a shape of no axes": [entry("images.npy", npy((), data=b"a")), LABELS],
    "a shape of one axis": [entry("images.npy", npy((2,), data=b"ab")), LABELS],
    "cut off": [entry("images.npy", npy((2, 3, 4, 4), data=bytes(95))), LABELS],
    "too long": [entry("images.npy", npy((2, 3, 4, 4), data=bytes(97))), LABELS],
    "objects": [entry("images.npy", npy((2, 3, 4, 4), "|O", bytes(96))), LABELS],
    "an unknown type": [entry("images.npy", npy((2, 3, 4, 4), "|z9", bytes(96))), LABELS],
    "a structured type": [entry("images.npy", npy((2,), [("a", "|u1")], bytes(2))), LABELS],
    "a version of the future": [entry("images.npy", b"\x93NUMPY\x09\x00" + bytes(100)), LABELS],
    "a header that is code": [entry("images.npy", npy("__import__('os').system('true')")), LABELS],
    "a header without end": [entry("images.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"{"), LABELS],
    "no array at all": [entry("images.npy", b"hello"), LABELS],
    "an empty member": [entry("images.npy", b""), LABELS],
    "no labels": [entry("images.npy", npy((2, 3, 4, 4), data=bytes(96)))],
    "no members": [],
    "negative labels": [
        entry("images.npy", npy((2, 3, 4, 4), data=bytes(96))),
        entry("labels.npy", npy((2,), "|i1", b"\xff\x00")),
    ],
    "labels beyond 63 bits": [
        entry("images.npy", npy((2, 3, 4, 4), data=bytes(96))),
        entry("labels.npy", npy((2,), "<u8", b"\xff" * 16)),
    ],
    "labels that are floats": [
        entry("images.npy", npy((2, 3, 4, 4), data=bytes(96))),
        entry("labels.npy", npy((2,), "<f8", bytes(16))),
    ],
}


@pytest.mark.parametrize("entries", NPZ.values(), ids=NPZ)
def test_odd_npz_is_refused_in_one_line(tmp_path, entries):
    archive(tmp_path / "set.npz", *entries)
    with pytest.raises(InputError, match=r"set\.npz"):
        read_npz(tmp_path / "set.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_npz_of_other_methods_is_read_or_refused_where_damaged(tmp_path, method):
    path = tmp_path / "set.npz"
    archive(path, entry("images.npy", npy((2, 3, 4, 4), data=bytes(range(96))), method), LABELS)
    assert read_npz(path)[0].shape == (2, 3, 4, 4)
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + bytes(40) + whole[100:])
    with pytest.raises(InputError, match=r"set\.npz"):
        read_npz(path)


def test_an_encrypted_npz_and_a_claim_of_terabytes_are_refused(tmp_path):
    path = tmp_path / "set.npz"
    archive(path, entry("images.npy", npy((2, 3, 4, 4), data=bytes(96))), LABELS)
    whole = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag of encryption, in both headers
        where = whole.find(mark)
        whole[where + at] |= 1
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"set\.npz"):
        read_npz(path)
    archive(path, entry("images.npy", npy((2**21, 3, 32, 32), data=bytes(96)), zipfile.ZIP_DEFLATED), LABELS)
    with pytest.raises(InputError, match=r"set\.npz"):
        read_npz(path)


def test_tables_and_signals_are_images_too(tmp_path):
    for shape in ((5, 7), (5, 2, 7)):
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        np.savez(tmp_path / "set.npz", images=images, labels=np.arange(5))
        tensor, labels = load_data(str(tmp_path / "set.npz"))
        assert tensor.shape == shape
        assert (tensor.numpy() == images.astype(np.float32) / np.float32(255)).all()
        assert labels.tolist() == [0, 1, 2, 3, 4]


IDX_FILES = {
    "no axes": b"\0\0\x08\0",
    "255 axes": b"\0\0\x08\xff" + b"\xff" * 1020,
    "sizes whose product is 0 in 64 bits": b"\0\0\x08\x04" + b"\x80\0\0\0" * 4,
    "a size of 2**32 - 1": b"\0\0\x08\x01\xff\xff\xff\xff",
    "a cut header": IDX[:9],
    "floats": b"\0\0\x0d\x01\0\0\0\1" + bytes(4),
    "empty": b"",
    "gzip that is cut off": b"\x1f\x8b\x08",
    "gzip of another method": b"\x1f\x8b\x09" + bytes(20),
    "gzip with a wrong sum": zlib.compress(IDX, wbits=31)[:-6] + b"\0\0\0\0\0\0",
}


@pytest.mark.parametrize("data", IDX_FILES.values(), ids=IDX_FILES)
@pytest.mark.parametrize("read", [read_idx, read_cifar])
def test_odd_binaries_are_refused_in_one_line(tmp_path, read, data):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(InputError, match="file"):
        read(tmp_path / "file")


def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("quantattack.data.readers._MOST", 1 << 20)
    (tmp_path / "bomb.gz").write_bytes(zlib.compress(bytes(1 << 24), wbits=31))
    for read in (read_idx, read_cifar):
        with pytest.raises(InputError, match="has over"):
            read(tmp_path / "bomb.gz")


@pytest.mark.parametrize("name", ["9" * 20, "9" * 99, "9" * 200, "2147483648"])
def test_class_folders_with_numbers_beyond_all_classes(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "one.png").write_bytes(picture("PNG"))
    found = one_line(read_folder, tmp_path)
    assert found is None or found[1].tolist() == [0]  # a name like any other


def test_pictures_over_89_megapixels_are_refused(tmp_path):
    (tmp_path / "0").mkdir()
    Image.new("1", (10_000, 9_000)).save(tmp_path / "0" / "wide.png")
    with pytest.raises(InputError, match=r"wide\.png"):
        read_folder(tmp_path)


LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", LONG],
        ["evaluate", f"folder/{LONG}.safetensors"],
        ["evaluate", "digits-float", "--data", LONG],
        ["evaluate", "digits-float", "--data", f"{LONG}.npz"],
        ["evaluate", "digits-float", "--data", "a\0b"],
        ["evaluate", "digits-float", "--data", f"{'d/' * 3000}x"],
        ["evaluate", "digits-float", "--data", "mnist", "--data-root", LONG],
        ["evaluate", "--config", f"{LONG}.yaml"],
        ["evaluate", "a\0b"],
        ["evaluate", "a\nb"],
        ["evaluate", f"{LONG}:{LONG}"],
        ["evaluate", f"pkg.{LONG}:f"],
        ["inspect", LONG],
        ["diagnose", LONG],
        ["train", LONG, "--out", "x.safetensors"],
        ["train", f"{LONG}.yaml", "--out", "x.safetensors"],
        ["reproduce", LONG],
        ["report", LONG],
        ["show", LONG],
    ],
    ids=lambda arguments: " ".join(arguments)[:40].replace("\0", "NUL").replace("\n", "newline"),
)
def test_odd_names_are_refused_in_one_line(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert _run(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_parent_that_cannot_be_read_is_one_line(tmp_path, monkeypatch, capsys):
    stat, path = os.stat, tmp_path / "net.safetensors"

    def refuse(asked, *rest, **settings):
        if asked in (path, str(path)):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(asked, *rest, **settings)

    monkeypatch.setattr(os, "stat", refuse)
    assert _run(["evaluate", str(path), "--data", "digits"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["²/5", "1/²", "\uff11/\uff15", "1_0/20", "1/5/7", "-1/5", "1.0/5", "9" * 5000 + "/5", "", "/"]
)
def test_parts_are_whole_numbers_in_ascii(text):
    with pytest.raises(InputError, match="--part"):
        part_named(text)


@pytest.mark.parametrize(
    "text", ["\uff11/255", "8/\uff1255", "1_0", "²", "nan", "inf", "1e999", "0x10", "8/0", "", "/", "8//255"]
)
def test_radii_are_finite_numbers_in_ascii(text):
    with pytest.raises(InputError, match="radius"):
        number(text)


@pytest.mark.parametrize("text", ["\uff11\uff10", "1_000", "²", "9" * 5000, "", "1.0"])
def test_whole_numbers_are_in_ascii(text):
    with pytest.raises(ValueError, match=r"digits|literal|Exceeds"):
        whole_of(text)


@pytest.mark.parametrize(
    "setting", ["steps=\uff11\uff10", "steps=1_0", f"steps={'9' * 5000}", "step_size=\uff11", "steps=4.5"]
)
def test_settings_of_attacks_are_numbers_in_ascii(setting, capsys):
    assert _run(["evaluate", "digits-float", "--attacks", f"pgd[{setting}]", "--images", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", ["x.safetensors", "x.bin"])
def test_a_checkpoint_whose_header_is_deep_or_huge_is_refused(tmp_path, name):
    for header in (b"[" * 100_000, b'{"__metadata__": {"quantattack": "' + b"[" * 5000 + b'"}}', b"{}", b"null"):
        (tmp_path / name).write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(InputError, match="checkpoint"):
            load_model(str(tmp_path / name))
    (tmp_path / name).write_bytes((2**63).to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError, match="checkpoint"):
        load_model(str(tmp_path / name))
