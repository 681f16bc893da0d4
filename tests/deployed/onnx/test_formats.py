"""Narrow weights, wide activations, and versions of ONNX that onnxruntime does not read."""

import contextlib
import io
import warnings

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from deployed.onnx import files
from quantattack.deployed.onnx.load import load_onnx
from quantattack.errors import InputError

NARROW_AND_WIDE = {
    "int4 weights": ("QUInt8", "QInt4"),
    "uint4 weights": ("QUInt8", "QUInt4"),
    "16-bit activations": ("QUInt16", "QInt8"),
    "signed 16-bit activations": ("QInt16", "QInt8"),
    "16-bit activations, int4 weights": ("QUInt16", "QInt4"),
}


def quantize(path, target, activations, weights):
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    types = {"activation_type": QuantType[activations], "weight_type": QuantType[weights]}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        quantize_static(
            str(path),
            str(target),
            files.Calibration(32),
            quant_format=QuantFormat.QDQ,
            extra_options={"UseQDQContribOps": True},
            **types,
        )
    return target


@pytest.mark.parametrize("name", ["residual", "vgg"])
@pytest.mark.parametrize("kinds", NARROW_AND_WIDE)
def test_narrow_weights_and_wide_activations_are_near_exact(float_file, tmp_path, name, kinds):
    path = quantize(float_file(name), tmp_path / "model.onnx", *NARROW_AND_WIDE[kinds])
    stored = {tensor.data_type for tensor in onnx.load(str(path)).graph.initializer}
    wanted = {getattr(TensorProto, kind[1:].upper()) for kind in NARROW_AND_WIDE[kinds]}
    assert wanted <= stored  # the file is of the kind that its name says
    loaded = load_onnx(path)
    clean = files.images(200, 7)
    for images in (clean, files.attacked(loaded.twin, clean)):
        with torch.no_grad():
            twin, judge = loaded.twin.outputs(images), loaded.runtime(images)
        levels = torch.unique(judge)
        step = max(float((levels[1:] - levels[:-1]).min()), float(judge.abs().max()) / 2**15)
        assert float((twin - judge).abs().max()) < 2.01 * step
        assert (twin.argmax(1) == judge.argmax(1)).float().mean() >= 0.99
        assert twin.std() > 0


def test_the_gradient_through_narrow_weights_raises_the_loss(float_file, tmp_path):
    loaded = load_onnx(quantize(float_file("vgg"), tmp_path / "model.onnx", *NARROW_AND_WIDE["int4 weights"]))
    x = files.images(60, 3)
    labels = loaded.runtime(x).argmax(1)
    moved = files.attacked(loaded.twin, x)
    before, after = (torch.nn.functional.cross_entropy(loaded.runtime(images), labels) for images in (x, moved))
    assert after > before


def versioned(opset=17, version=8):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "one", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version)


@pytest.mark.parametrize(
    ("versions", "match"), [((99, 8), "(?i)opset"), ((17, 99), "ir_version 99"), ((1, 3), "onnxruntime refuses")]
)
def test_versions_that_the_runtime_does_not_read_are_refused_in_one_line(tmp_path, versions, match):
    path = tmp_path / "model.onnx"
    path.write_bytes(versioned(*versions).SerializeToString())
    with pytest.raises(InputError, match=match) as caught:
        load_onnx(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("opset", [13, 21])
def test_older_and_newer_versions_that_it_reads_load(tmp_path, opset):
    path = tmp_path / "model.onnx"
    path.write_bytes(versioned(opset).SerializeToString())
    loaded, x = load_onnx(path), torch.randn(3, 4)
    assert torch.equal(loaded.twin(x), x.relu())
    assert torch.equal(loaded.runtime(x), x.relu())
