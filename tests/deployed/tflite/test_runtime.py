"""The runtime: what it is fed, in how many pieces, copies and pickles, and what it says of itself."""

import copy
import os
import pickle

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from deployed.tflite.files import judged, residual
from deployed.tflite.writer import Writer
from quantattack.deployed.base import Runtime
from quantattack.deployed.tflite.greeting import without_greeting
from quantattack.deployed.tflite.load import load_tflite
from quantattack.errors import InputError


def write(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("count", [0, 1, 7, 8, 21])
def test_any_number_of_images(count, small):
    file = load_tflite(small)
    x = torch.rand(count, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    outputs = file.runtime(x)
    assert outputs.shape == (count, 5)
    alone = [file.runtime(row[None]) for row in x]
    assert torch.equal(outputs, torch.cat(alone) if alone else outputs)


def test_several_images_at_once_are_used_where_they_may_be(small):
    assert load_tflite(small).runtime.several is not None
    assert load_tflite(small, kernels="reference").runtime.several is None


def test_several_images_at_once_are_not_used_where_they_give_other_numbers(small, monkeypatch):
    from quantattack.deployed.tflite import runtime as module

    ordinary = module._Session.__call__
    monkeypatch.setattr(
        module._Session, "__call__", lambda session, rows: ordinary(session, rows) + np.int8(len(rows) > 1)
    )
    assert load_tflite(small).runtime.several is None


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_inputs_are_rounded_half_to_even_onto_the_files_grid(kind, tmp_path):
    low = -128 if kind == "int8" else 0
    writer = Writer()
    inputs = writer.tensor((1, 8), kind, 0.5, low + 4)
    output = writer.tensor((1, 8), kind, 0.5, low + 4)
    writer.operator("RELU", [inputs], [output], None, 2)
    file = load_tflite(write(tmp_path / "relu.tflite", writer.bytes([inputs], [output])))
    x = torch.tensor([[0.25, 0.75, 1.25, -9.0, 1000.0, 0.26, 0.0, -0.25]])
    expected = torch.tensor([[0.0, 1.0, 1.0, 0.0, 125.5, 0.5, 0.0, 0.0]])
    assert torch.equal(file.runtime(x), expected)
    assert torch.equal(file.twin.outputs(x), expected)


def test_outputs_are_those_of_the_interpreter(small):
    x = torch.rand(5, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    rows = (torch.round(x / torch.tensor(1 / 255)) - 128).numpy().astype(np.int8)
    stored = judged(residual(), rows)
    assert torch.equal(load_tflite(small).runtime(x), (torch.from_numpy(stored).float() + 128) / 256)


def test_inputs_of_another_shape_are_refused(small):
    with pytest.raises(InputError, match=r"takes inputs of shape \(8, 8, 3\), not \(3, 8, 8\)"):
        load_tflite(small).runtime(torch.rand(2, 3, 8, 8))


def test_copies_share_and_pickles_open_the_file_again(small):
    runtime = load_tflite(small, threads=2).runtime
    assert isinstance(runtime, Runtime)
    assert copy.deepcopy(runtime) is runtime
    again = pickle.loads(pickle.dumps(runtime))
    x = torch.rand(9, 8, 8, 3)
    assert torch.equal(again(x), runtime(x))
    assert again.artifact == runtime.artifact


def test_a_file_that_changed_or_went_is_not_opened_again(small):
    sent = pickle.dumps(load_tflite(small).runtime)
    small.write_bytes(residual(seed=1))
    with pytest.raises(InputError, match="has changed since it was loaded"):
        pickle.loads(sent)
    small.unlink()
    with pytest.raises(InputError, match="cannot be opened again"):
        pickle.loads(sent)


def test_what_the_artifact_says(small):
    artifact = load_tflite(small).runtime.artifact
    assert (artifact.name, artifact.format, artifact.bytes) == ("small.tflite", "tflite", small.stat().st_size)
    assert artifact.runtime.startswith("ai-edge-litert ")
    assert artifact.settings["kernels"] == "xnnpack"
    assert artifact.settings["delegate"] == "5 of 6 operators"  # the softmax is TFLite's own
    assert set(artifact.settings) == {"kernels", "delegate", "threads", "processor"}
    reference = load_tflite(small, kernels="reference", threads=2).runtime.artifact
    assert (reference.settings["delegate"], reference.settings["threads"]) == ("none", "2")
    assert reference.sha256 == artifact.sha256


@pytest.mark.parametrize(
    ("shape", "layout"), [((8, 8, 3), "nhwc"), ((3, 8, 8), "nchw"), ((8, 8, 1), "nhwc"), ((1, 8, 8), "nchw")]
)
def test_the_layout_is_read_from_the_shape(shape, layout, tmp_path):
    writer = Writer()
    inputs = writer.tensor((1, *shape), "uint8", 2 / 255, 128)
    pooled = writer.tensor((1, shape[0]), "uint8", 0.1, 128)
    axes = writer.tensor((2,), "int32", data=[2, 3])
    writer.operator("MEAN", [inputs, axes], [pooled], schema.ReducerOptionsT(keepDims=False), 2)
    weight = writer.tensor((2, shape[0]), "uint8", 0.1, 3, data=np.arange(2 * shape[0]).reshape(2, -1))
    output = writer.tensor((1, 2), "uint8", 0.1, 100)
    writer.operator("FULLY_CONNECTED", [pooled, weight, -1], [output], schema.FullyConnectedOptionsT(), 1)
    file = load_tflite(write(tmp_path / "file.tflite", writer.bytes([inputs], [output])))
    assert (file.layout, file.input_type, file.pixel_range) == (layout, "uint8", (-1.0, 1.0))
    assert torch.equal(file.runtime(torch.ones(3, *shape)), file.twin.outputs(torch.ones(3, *shape)))


def test_opening_a_file_writes_nothing(small, capfd):
    load_tflite(small)
    assert capfd.readouterr() == ("", "")


def test_what_is_no_greeting_is_passed_on(capfd):
    with without_greeting():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nERROR: out of memory\n")
    assert capfd.readouterr().err == "ERROR: out of memory\n"
