"""A `.pt2` file is read as data: with the logits of torch's own loader, and what is damaged or hostile is one line."""

import io
import json
import pickle
import random
import zipfile
from pathlib import Path

import pytest
import torch

import quantattack as qa
from deployed.torch_programs.programs import Attention, Residual, exported, images, made, pt2e, quiet
from quantattack.deployed.torch_programs.load import load_pt2

MUTATIONS = 150


def saved(program, path):
    with quiet():
        torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Programs quantized and float, with a free and a fixed batch, as files."""
    folder = tmp_path_factory.mktemp("programs")
    with quiet():
        quantized = {name: pt2e(made(name)) for name in ("residual", "attention")}
        free = ({0: torch.export.Dim("n", min=1, max=4096)},)
        programs = {
            name: torch.export.export(program, (images(4).clone(),), dynamic_shapes=free)
            for name, program in quantized.items()
        }
    programs |= {"float": exported(made("depthwise")), "fixed": exported(made("concatenated"), batch=3)}
    return {name: saved(program, folder / f"{name}.pt2") for name, program in programs.items()}


@pytest.mark.parametrize("name", ["residual", "attention", "float", "fixed"])
def test_a_file_gives_the_logits_that_torch_s_own_loader_gives(files, name):
    loaded, rows = load_pt2(files[name]), 3 if name == "fixed" else 48
    with quiet(), torch.no_grad():
        own = torch.export.load(files[name]).module()(images(rows))
    assert torch.equal(loaded.runtime(images(rows)), own)
    assert torch.equal(loaded.deployed()(images(rows).requires_grad_()), own)
    assert loaded.classes == 10
    assert loaded.input_shape == (3 if name == "fixed" else None, 1, 8, 8)
    assert loaded.runtime.artifact.name == f"{name}.pt2"


def test_a_pickled_model_opens_its_file_again_and_only_that_file(files, tmp_path):
    path = tmp_path / "moved.pt2"
    path.write_bytes(files["residual"].read_bytes())
    model = load_pt2(path).deployed()
    sent = pickle.dumps(model)
    assert torch.equal(pickle.loads(sent)(images(9)), model(images(9)))
    path.write_bytes(files["attention"].read_bytes())
    with pytest.raises(qa.InputError, match="another file"):
        pickle.loads(sent)


def rewritten(source, target, change):
    """Copy an archive, its members changed by a function of name and bytes; None leaves a member out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            content = change(info.filename.partition("/")[2], old.read(info))
            if content is not None:
                new.writestr(info.filename, content)
    return target


def in_json(member, edit):
    """A change of one JSON member by a function of its text."""
    return lambda name, content: edit(content.decode()).encode() if name == member else content


GRAPH, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


def without(member):
    return lambda name, content: None if name == member else content


def with_target(old, new):
    return in_json(GRAPH, lambda text: text.replace(old, new))


def major(text):
    parsed = json.loads(text)
    parsed["schema_version"]["major"] = 7
    return json.dumps(parsed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without(GRAPH), "holds 0 programs"),
        (without(WEIGHTS), "no data/weights"),
        (without("data/weights/weight_0"), "no data/weights/weight_0"),
        (in_json(GRAPH, lambda text: text[:-100]), "is damaged"),
        (in_json(GRAPH, lambda text: "[" * 100_000), "is damaged"),
        (in_json(GRAPH, lambda _: "{}"), "is damaged"),
        (in_json(GRAPH, major), "version 7 of the format"),
        (in_json("byteorder", lambda _: "big"), "big-endian"),
        (in_json(WEIGHTS, lambda text: text.replace('"use_pickle": false', '"use_pickle": true')), "pickle"),
        (in_json(WEIGHTS, lambda text: text.replace('"as_int": 8', '"as_int": 80000000000')), "is damaged"),
        (in_json(WEIGHTS, lambda text: text.replace('"as_int": 8', '"as_int": -8')), "is damaged"),
        (with_target("torch.ops.aten.conv2d.default", "torch.hub.load"), "operator torch.hub.load"),
        (with_target("torch.ops.aten.conv2d.default", "torch.ops.aten.from_file.default"), "aten.from_file"),
        (with_target("torch.ops.aten.conv2d.default", "torch.ops.aten.save.default"), "aten.save"),
        (with_target("torch.ops.aten.conv2d.default", "torch.ops.aten.set_.source_Tensor"), "aten.set_"),
        (with_target("torch.ops.aten.conv2d.default", "torch.ops.aten._linalg_check_errors.default"), "aten._linalg"),
        (with_target("torch.ops.aten.conv2d.default", "torch.ops.mine.conv2d.default"), "mine.conv2d"),
        (with_target("torch.ops.aten.conv2d.default", "torch.ops.aten.conv2d.nothing"), "no operator"),
        (with_target("torch.ops.aten.conv2d.default", "_operator.setitem"), "operator.setitem"),
        (with_target("torch.ops.aten.conv2d.default", "torch.ops.aten.conv3d.default"), "does not run"),
        (with_target('"user_input": {"arg": {"as_tensor": {"name"', '"token": {"arg": {"name": {"name"'), "kind token"),
    ],
)
def test_a_file_that_is_damaged_or_hostile_is_one_line(files, tmp_path, change, words):
    path = rewritten(files["residual"], tmp_path / "bad.pt2", change)
    with pytest.raises(qa.InputError, match=words) as refusal:
        load_pt2(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


class Opened:
    """An object whose unpickling writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("member", ["data/sample_inputs/model.pt", "data/weights/model.pt"])
def test_nothing_in_a_file_is_unpickled(files, tmp_path, member):
    mark, held = tmp_path / "mark", io.BytesIO()
    torch.save(Opened(mark), held)
    path = rewritten(
        files["residual"], tmp_path / "bad.pt2", lambda name, old: held.getvalue() if name == member else old
    )
    if member == "data/weights/model.pt":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("residual/data/weights/model.pt", held.getvalue())
        with pytest.raises(qa.InputError, match="pickled tensors"):
            load_pt2(path)
    else:
        load_pt2(path)  # example inputs are not read
    assert not mark.exists()
    with quiet(), pytest.raises(Exception):  # noqa: B017, PT011, torch.export.load fails on the object that it unpickled
        torch.export.load(rewritten(path, tmp_path / "again.pt2", lambda _, old: old))
    assert mark.exists()  # so the object was one that runs code


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is damaged"), (b"PK\x03\x04", "is damaged"), (b"\x80\x04.", "is damaged"), (None, "cannot be read")],
)
def test_what_is_no_archive_is_one_line(tmp_path, content, words):
    path = tmp_path / "none.pt2"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(qa.InputError, match=words):
        load_pt2(path)


def test_compressed_members_are_refused(files, tmp_path):
    path = tmp_path / "small.pt2"
    with zipfile.ZipFile(files["float"]) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    with pytest.raises(qa.InputError, match="compressed"):
        load_pt2(path)


def outcome(path):
    """What a file is refused with; None where it loads and runs."""
    try:
        loaded = load_pt2(path)
    except qa.InputError as error:
        return str(error)
    assert loaded.runtime(images(2)).shape == (2, loaded.classes)
    return None


def test_random_damage_is_one_line_or_a_program(files, tmp_path):
    draw, whole = random.Random(0), files["residual"].read_bytes()
    with zipfile.ZipFile(files["residual"]) as archive:
        graph = archive.read("residual/models/model.json")
    refused = 0
    for index in range(MUTATIONS):
        path = tmp_path / "damaged.pt2"
        if index % 2:
            damaged = bytearray(whole)
            for _ in range(draw.randint(1, 8)):
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
            path.write_bytes(damaged[: draw.choice([len(damaged), draw.randrange(len(damaged))])])
        else:  # the checksum of the member is right, and what it says is not
            damaged = bytearray(graph)
            for _ in range(draw.randint(1, 4)):
                damaged[draw.randrange(len(damaged))] = draw.choice(b'0123456789-",:[]{}aeinst_')
            rewritten(files["residual"], path, lambda name, old, new=bytes(damaged): new if name == GRAPH else old)
        said = outcome(path)
        refused += said is not None
        assert "\n" not in (said or "")
    assert refused > MUTATIONS // 3


@pytest.mark.parametrize("network", [Residual, Attention])
def test_a_program_exported_in_training_is_refused_with_what_to_do(tmp_path, network):
    class Dropped(network):
        def forward(self, shown):
            return torch.nn.functional.dropout(super().forward(shown), 0.5, self.training)

    path = saved(exported(Dropped().train()), tmp_path / "training.pt2")
    with pytest.raises(qa.InputError, match=r"model\.eval\(\)"):
        load_pt2(path)


def test_load_reads_what_pixels_mean_from_the_program_s_own_quantization(files):
    model = qa.deployed.load(files["residual"])
    assert (model.pixels.low, model.pixels.high) == (0.0, 1.0)
    assert model.quantized.type == "uint8"
    assert torch.equal(model(images(9)), load_pt2(files["residual"]).runtime(images(9)))
    with pytest.raises(qa.InputError, match="--range"):
        qa.deployed.load(files["float"])
    assert qa.load_model(files["float"], range=(0, 1))(images(2)).shape == (2, 10)
