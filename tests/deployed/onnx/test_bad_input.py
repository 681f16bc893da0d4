"""What is no classifier, or damaged, or not to be run: one line, and nothing is executed."""

import random
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from deployed.onnx import files
from quantattack.deployed.onnx.load import load_onnx
from quantattack.errors import InputError

FLOAT, MUTATIONS = TensorProto.FLOAT, 200


def tensor(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name="w", shape=(10, 4), kind=np.float32):
    return numpy_helper.from_array(np.ones(shape, kind), name)


def model(nodes, inputs=None, outputs=None, weights=(), domains=()):
    inputs, outputs = inputs or [tensor("x", ["n", 10])], outputs or [tensor("y", ["n", 4])]
    graph = helper.make_graph(nodes, "bad", inputs, outputs, list(weights))
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def node(operator, inputs=("x",), outputs=("y",), **settings):
    return helper.make_node(operator, list(inputs), list(outputs), **settings)


def branch():
    return helper.make_graph([node("Identity")], "branch", [], [tensor("y", ["n", 10])])


PRODUCT = node("MatMul", ("x", "w"))

MODELS = {
    "several inputs": (model([node("Add", ("x", "z"))], [tensor("x", ["n", 4]), tensor("z", ["n", 4])]), "2 inputs"),
    "several outputs": (
        model(
            [PRODUCT, node("Relu", ("x",), ("z",))], None, [tensor("y", ["n", 4]), tensor("z", ["n", 10])], [weight()]
        ),
        "2 outputs",
    ),
    "a segmenter": (
        model([node("Relu")], [tensor("x", ["n", 3, 8, 8])], [tensor("y", ["n", 3, 8, 8])]),
        "no detector or segmenter",
    ),
    "one class": (model([PRODUCT], None, [tensor("y", ["n", 1])], [weight(shape=(10, 1))]), "no detector"),
    "an input of rank 3": (model([node("Relu")], [tensor("x", ["n", 3, 4])], [tensor("y", ["n", 4])]), "the input 'x'"),
    "text": (model([node("Identity")], [tensor("x", ["n", 4], TensorProto.STRING)]), "is string"),
    "half precision": (
        model(
            [node("Relu")], [tensor("x", ["n", 4], TensorProto.FLOAT16)], [tensor("y", ["n", 4], TensorProto.FLOAT16)]
        ),
        "half precision",
    ),
    "control flow": (
        model([node("If", ("c",), then_branch=branch(), else_branch=branch())], weights=[weight("c", (), bool)]),
        "control flow",
    ),
    "a custom operator": (
        model([node("Magic", domain="evil.org")], domains=["evil.org"]),
        "evil.org.Magic is a custom",
    ),
    "an unknown operator": (
        model(
            [node("TopK", ("x", "k"), ("y", "i"))],
            weights=[numpy_helper.from_array(np.array([4]), "k")],
            outputs=[tensor("y", ["n", 4])],
        ),
        "TopK",
    ),
    "integers without a scale": (
        model(
            [node("Identity")], [tensor("x", ["n", 4], TensorProto.UINT8)], [tensor("y", ["n", 4], TensorProto.UINT8)]
        ),
        "states no scale",
    ),
    "an unsorted graph": (
        model([node("Relu", ("z",)), node("MatMul", ("x", "w"), ("z",))], weights=[weight()]),
        "not a valid ONNX model",
    ),
    "a tensor beyond all measure": (
        model(
            [node("ConstantOfShape", ("s",), ("z",)), node("MatMul", ("x", "z"))],
            weights=[numpy_helper.from_array(np.array([1 << 20, 1 << 20]), "s")],
        ),
        "over the limit",
    ),
    "open sizes": (
        model(
            [node("GlobalAveragePool", ("x",), ("z",)), node("Flatten", ("z",))],
            [tensor("x", ["n", 3, "h", "w"])],
            [tensor("y", ["n", 3])],
        ),
        "height and width",
    ),
    "a batch of its own scales": (
        model(
            [
                node("DynamicQuantizeLinear", ("x",), ("q", "s", "z")),
                node("MatMulInteger", ("q", "w", "z"), ("i",)),
                node("Cast", ("i",), ("f",), to=FLOAT),
                node("Mul", ("f", "s")),
            ],
            weights=[weight("w", (10, 4), np.uint8)],
        ),
        "quantize the model statically",
    ),
}


def refused(path, match=None):
    """The one line that a file is refused with."""
    with pytest.raises(InputError, match=match) as caught:
        load_onnx(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.mark.parametrize("name", MODELS)
def test_what_is_no_classifier_is_refused_in_one_line(tmp_path, name):
    proto, match = MODELS[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    refused(path, match)


def test_open_sizes_can_be_stated(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(MODELS["open sizes"][0].SerializeToString())
    loaded = load_onnx(path, size=(6, 5))
    x = torch.rand(3, 3, 6, 5)
    assert loaded.input_shape == (None, 3, 6, 5)
    assert torch.allclose(loaded.twin(x), loaded.runtime(x), atol=1e-6)


@pytest.mark.parametrize("data", [b"", b"\0" * 50, bytes(range(256)), b"not a model", b"\x08\x07"])
def test_what_is_no_protobuf_is_refused(tmp_path, data):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    refused(path, "not an ONNX model")


def test_a_file_that_is_cut_off_is_refused(quantized_file, tmp_path):
    data, path = quantized_file("vgg").read_bytes(), tmp_path / "model.onnx"
    for share in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(data[: int(len(data) * share)])
        refused(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    refused(tmp_path / "none.onnx", "No such file")
    refused(tmp_path, "directory")


def test_a_file_over_the_limit_is_refused_before_it_is_read(quantized_file, monkeypatch):
    path = quantized_file("vgg")
    with pytest.raises(InputError, match="over the limit of 1000"):
        load_onnx(path, most=1000)


def test_a_wrong_level_names_the_nearest(quantized_file):
    with pytest.raises(InputError, match="extended"):
        load_onnx(quantized_file("vgg"), level="extendet")


def test_missing_packages_are_named_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'quantattack\[onnx\]'"):
        load_onnx("model.onnx")


def test_images_of_another_size_are_not_resized(quantized_file):
    loaded = load_onnx(quantized_file("vgg"))
    with pytest.raises(InputError, match="nothing is resized"):
        loaded.runtime(torch.rand(2, 3, files.SIZE + 1, files.SIZE))


def with_external_data(folder, location="weights.bin", data=True):
    """A model whose weights lie in another file, wherever its path says."""
    proto = model([PRODUCT], weights=[weight()])
    stored = proto.graph.initializer[0]
    if data:
        (folder / "weights.bin").write_bytes(stored.raw_data)
    stored.ClearField("raw_data")
    stored.data_location = TensorProto.EXTERNAL
    stored.external_data.add(key="location", value=location)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_external_data_in_the_folder_is_read_and_recorded(tmp_path):
    loaded = load_onnx(with_external_data(tmp_path))
    x = torch.rand(3, 10)
    assert torch.allclose(loaded.twin(x), x.sum(1, keepdim=True).expand(3, 4), atol=1e-5)
    assert torch.allclose(loaded.runtime(x), loaded.twin(x), atol=1e-5)
    assert "external data weights.bin" in loaded.runtime.artifact.settings


@pytest.mark.parametrize(
    "location", ["../weights.bin", "/etc/passwd", "a/../../weights.bin", "..\\weights.bin", "C:\\x", ""]
)
def test_external_data_that_leaves_the_folder_is_not_read(tmp_path, location):
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"secret")
    refused(with_external_data(folder, location), "outside the model's folder")


def test_external_data_behind_a_link_that_leaves_the_folder_is_not_read(tmp_path):
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(np.ones((10, 4), np.float32).tobytes())
    (folder / "linked.bin").symlink_to(tmp_path / "weights.bin")
    refused(with_external_data(folder, "linked.bin"), "outside the model's folder")


def test_external_data_that_is_missing_or_too_large_is_refused(tmp_path):
    refused(with_external_data(tmp_path, data=False), "is missing")
    path = with_external_data(tmp_path)
    with pytest.raises(InputError, match="over the limit"):
        load_onnx(path, most=path.stat().st_size + 10)


def test_nothing_is_executed_before_the_checks_are_passed(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr("quantattack.deployed.onnx.load.optimized_model", lambda *arguments: ran.append(arguments))
    for name, (proto, _) in MODELS.items():
        if name in ("an unknown operator", "integers without a scale", "open sizes", "a batch of its own scales"):
            continue  # these are seen in the graph that the runtime would run
        path = tmp_path / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        refused(path)
    assert ran == []


def mutated(data, seed):
    """A file with a few bytes changed, removed or added, or its end cut off."""
    chance, found = random.Random(seed), bytearray(data)
    kind = chance.randrange(5)
    for _ in range(chance.choice((1, 3, 20))):
        place = chance.randrange(len(found))
        if kind == 0:
            found[place] = chance.randrange(256)
        elif kind == 1:
            found[place] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del found[place : place + chance.randrange(1, 9)]
        elif kind == 3:
            found[place:place] = chance.randbytes(chance.randrange(1, 9))
    return bytes(found[: chance.randrange(len(found))] if kind == 4 else found)


def test_damaged_files_are_refused_in_one_line_or_load(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 4))
    torch.manual_seed(0)
    source = files.quantize(files.export(network.requires_grad_(False), tmp_path / "small.onnx"), "qoperator-u8s8")
    data, path = source.read_bytes(), tmp_path / "mutated.onnx"
    loads, lines = 0, set()
    for seed in range(MUTATIONS):
        path.write_bytes(mutated(data, seed))
        try:
            loaded = load_onnx(path)
        except InputError as error:
            lines.add(str(error))
        else:
            assert loaded.runtime(files.images(2)).shape == (2, loaded.classes), seed
            loads += 1
    assert 0 < loads < MUTATIONS
    assert not {line for line in lines if "\n" in line or len(line) > 400}


def structurally_mutated(proto, seed):
    """A well-formed file with one field that is wrong."""
    chance, changed = random.Random(seed), onnx.ModelProto()
    changed.CopyFrom(proto)
    graph, kind = changed.graph, seed % 6
    one, stored = chance.choice(graph.node), chance.choice(graph.initializer)
    wrong = chance.choice((0, -1, 3, 100, 2**31 - 1, 2**40))
    if kind == 0 and one.attribute:
        attribute = chance.choice(one.attribute)
        attribute.i = wrong
        attribute.ints[:] = [wrong for _ in attribute.ints]
    elif kind == 1:
        one.input[chance.randrange(len(one.input))] = chance.choice(("", "none", stored.name))
    elif kind == 2 and stored.dims:
        stored.dims[0] = wrong
    elif kind == 3:
        stored.data_type = chance.randrange(25)
    elif kind == 4:
        one.op_type = chance.choice(("Relu", "Softmax", "Reshape", "Loop", "ArgMax", "NonZero", "Foo", "Transpose"))
    else:
        del graph.node[chance.randrange(len(graph.node))]
    return changed


def test_wrong_fields_are_refused_in_one_line_or_load(quantized_file, tmp_path):
    proto, path = onnx.load(str(quantized_file("vgg", "qoperator-u8s8"))), tmp_path / "mutated.onnx"
    lines = []
    for seed in range(60):
        path.write_bytes(structurally_mutated(proto, seed).SerializeToString())
        try:
            assert load_onnx(path).classes > 1
        except InputError as error:
            lines.append(str(error))
    assert len(lines) > 20
    assert not [line for line in lines if "\n" in line or len(line) > 400]
