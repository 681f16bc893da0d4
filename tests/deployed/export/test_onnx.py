"""Exported files compute the network, hold its own levels, and are the same bytes whenever they are written."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from quantattack.data.sets import load_data
from quantattack.deployed.export.graph import initializers
from quantattack.deployed.export.int8 import Int8
from quantattack.deployed.export.onnx import dequantized, export_onnx, outputs_of
from quantattack.errors import InputError
from quantattack.nn.architectures import build
from quantattack.nn.convert import freeze, quantize
from quantattack.nn.packing import levels_of
from quantattack.nn.quantizers import BnnWaq, MdTanhS, Sign, Ternary, Uniform, UniformActivation, Xnor
from quantattack.nn.zoo import load_model

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.usefixtures("unchecked")

FORMS = [
    Int8("qdq"),
    Int8("qdq", "s8"),
    Int8("qdq", per_channel=True),
    Int8("qoperator"),
    Int8("qoperator", "u8", "u8"),
    Int8("qoperator", per_channel=True),
]
STANDARD = {
    *(
        "Conv",
        "Gemm",
        "Relu",
        "Clip",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "Flatten",
        "Add",
        "Sub",
        "Mul",
        "Div",
    ),
    *("Concat", "Round", "Sign", "BatchNormalization"),
}


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return load_data("digits")[0][:64]


def colour(count: int = 24) -> torch.Tensor:
    """Smooth random colour images."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    return nn.functional.interpolate(coarse, size=32, mode="bilinear").round(decimals=2)


def trained_like(model: nn.Module) -> nn.Module:
    """Give BatchNorms statistics of their own, as a training does, with some negative slopes where they have any."""
    generator = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            if module.affine:
                nn.init.normal_(module.weight, generator=generator)
                nn.init.normal_(module.bias, generator=generator)
    return model.eval()


def graph_of(path: Path) -> object:
    return onnx.load(path).graph


def kinds(path: Path) -> set[str]:
    return {node.op_type for node in graph_of(path).node}


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("resnet-8", {"width": 0.25}),
        ("resnet-8", {"width": 0.25, "affine": True}),
        ("vgg", {"depth": 5, "width": 0.1, "affine": True}),
        ("densenet-121", {"width": 0.125}),
        ("mobilenet-v2", {"width": 0.25}),
        ("vgg-binary", {"width": 0.05}),
        ("resnet-binary", {"width": 0.1}),
    ],
)
def test_a_float_file_computes_the_network_in_standard_operators(architecture, settings, tmp_path):
    torch.manual_seed(0)
    model, images = trained_like(build(architecture, settings)), colour()
    path = tmp_path / "net.onnx"
    found = export_onnx(model, path, images)
    with torch.no_grad():
        wanted = model(images)
    assert found.difference <= 1e-4 * float(wanted.abs().max())
    assert (found.same, found.images, found.int8_same) == (1.0, 24, None)
    assert kinds(path) <= STANDARD
    for count in (1, 5, 24):  # any number of images at once
        assert torch.allclose(outputs_of(path.read_bytes(), images[:count]), wanted[:count], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    "name",
    ["digits-mdtanhs", "digits-mdtanhs-bn", "digits-bnn-waq", "digits-ternary", "digits-xnor", "digits-uniform4"],
)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.text)
def test_an_8_bit_file_predicts_what_the_network_does(name, form, images, tmp_path):
    found = export_onnx(load_model(name), tmp_path / "net.onnx", images, int8=form)
    assert found.int8_same >= 0.95
    assert found.exact_weights == 1.0 or name == "digits-xnor"  # whose first and last layer are float


@pytest.mark.parametrize(
    "weights", [MdTanhS(), BnnWaq(), Ternary(), Xnor(), Uniform(2), Uniform(4)], ids=lambda q: q.name
)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.text)
def test_8_bit_weights_hold_only_the_levels_that_the_network_has(weights, form, images, tmp_path):
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 10)
    )
    frozen = freeze(trained_like(quantize(network, weights=weights)))
    path = tmp_path / "net.onnx"
    found = export_onnx(frozen, path, images, int8=form)
    assert found.exact_weights == 1.0
    values = dequantized(initializers(graph_of(path)))
    norm = frozen[1]
    slope = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
    for name, wanted in {"Conv": frozen[0].weight * slope[:, None, None, None], "Gemm": frozen[4].weight}.items():
        (found_values,) = [v for v in values.values() if v.ndim == (4 if name == "Conv" else 2)]
        for mine, own in zip(found_values, wanted.detach().numpy(), strict=True):
            assert len(np.unique(mine)) <= len(
                levels_of(torch.from_numpy(own).flatten()) if own.size > 16 else own.ravel()
            )
            assert np.abs(mine - own).max() <= 1e-6 * np.abs(own).max()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.text)
@pytest.mark.parametrize("activations", [Sign(), UniformActivation(4, 2.0), UniformActivation(8, 3.0)], ids=repr)
def test_8_bit_activations_keep_the_levels_that_the_network_has(activations, form, images, tmp_path):
    torch.manual_seed(2)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    model = quantize(network, weights=MdTanhS(), activations=activations).eval()
    path = tmp_path / "net.onnx"
    export_onnx(model, path, images, int8=form)
    proto = onnx.load(path)
    step = 1.0 if isinstance(activations, Sign) else activations.high / (2**activations.bits - 1)
    arrays = initializers(proto.graph)
    (flat,) = [node.output[0] for node in proto.graph.node if node.op_type == "Flatten"]
    (quantizer,) = [node for node in proto.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == flat]
    assert float(arrays[quantizer.input[1]]) == pytest.approx(step)
    lowest = 0 if form.activations == "u8" else -128
    assert int(arrays[quantizer.input[2]]) == (lowest + 128 if isinstance(activations, Sign) else lowest)


def test_signs_are_plus_one_at_zero_and_no_comparison(tmp_path):
    """At 0 ONNX's own Sign is 0; a comparison would leave a twin without a derivative."""
    model = quantize(nn.Sequential(nn.Flatten(), nn.Hardtanh()), activations=Sign()).eval()
    images = torch.tensor([0.0, 1e-20, 0.5, 1.0]).view(1, 1, 2, 2)
    found = export_onnx(model, tmp_path / "sign.onnx", images)
    assert kinds(tmp_path / "sign.onnx") == {"Flatten", "Clip", "Add", "Sign"}
    assert found.difference == 0
    assert outputs_of((tmp_path / "sign.onnx").read_bytes(), images).tolist() == [[1.0, 1.0, 1.0, 1.0]]


def test_a_relu_behind_a_pooling_survives_the_quantization(images, tmp_path):
    torch.manual_seed(4)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.MaxPool2d(2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10)
    )
    for form in FORMS:
        found = export_onnx(trained_like(network), tmp_path / "net.onnx", images, int8=form)
        assert found.int8_same >= 0.9, form.text


def test_the_file_says_who_made_it_and_what_pixels_mean(images, tmp_path):
    path = tmp_path / "net.onnx"
    found = export_onnx(load_model("digits-mdtanhs"), path, images, int8="qdq", about={"data": "digits"})
    proto = onnx.load(path)
    assert (proto.producer_name, proto.graph.input[0].name, proto.graph.output[0].name) == (
        "quantattack",
        "images",
        "logits",
    )
    notes = {entry.key: entry.value for entry in proto.metadata_props}
    assert notes == {
        "quantattack.data": "digits",
        "quantattack.layout": "nchw",
        "quantattack.quantization": "qdq u8s8",
        "quantattack.range": "0,1",
    }
    assert (found.bytes, found.sha256) == (len(path.read_bytes()), hashlib.sha256(path.read_bytes()).hexdigest())
    assert not [tensor.name for tensor in proto.graph.initializer if "parametrizations" in tensor.name]


CODE = """
import sys, torch
from quantattack.data.sets import load_data
from quantattack.deployed.export.onnx import export_onnx
from quantattack.nn.zoo import load_model
print(export_onnx(load_model("digits-bnn-waq"), sys.argv[1], load_data("digits")[0][:32], int8="qoperator").sha256)
"""


def test_the_bytes_are_the_same_in_every_process(tmp_path):
    sums = []
    for seed in ("1", "2"):
        run = [sys.executable, "-c", CODE, str(tmp_path / f"{seed}.onnx")]
        done = subprocess.run(
            run, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed}
        )
        sums.append(done.stdout.strip())
    assert sums[0] == sums[1] == hashlib.sha256((tmp_path / "1.onnx").read_bytes()).hexdigest()


def test_the_network_is_left_as_it_was(images, tmp_path):
    model = quantize(nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU()), weights=MdTanhS(), activations=Sign())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    text, state = repr(model), torch.random.get_rng_state()
    export_onnx(model, tmp_path / "net.onnx", images, int8="qdq")
    assert repr(model) == text
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)


class Whims(nn.Module):
    """Takes another path for each batch, which no graph can hold."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(1)[:, :10]
        return flat if float(x[-1].sum()) > 18 else -flat


class Broken(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such thing\nat all")


@pytest.mark.parametrize(
    ("model", "name", "settings", "words"),
    [
        (nn.Flatten(), "net.pb", {}, "must end in .onnx"),
        (Broken(), "net.onnx", {}, "no such thing at all"),
        (nn.Flatten(), "net.onnx", {"int8": "int8"}, "unknown int8 format 'int8'"),
        (nn.Flatten(), "net.onnx", {"int8": "qdq", "calibration": torch.rand(0, 1, 8, 8)}, "at least one image"),
        (nn.Flatten(), "file/net.onnx", {}, "cannot be written"),
        (nn.Flatten(), "net.onnx", {"int8": "qdq", "calibration": torch.rand(4, 3, 8, 8)}, "cannot quantize"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_no_file(model, name, settings, words, images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=words) as error:
        export_onnx(model, tmp_path / name, images, **settings)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_graph_that_is_not_the_network_is_refused(tmp_path):
    images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    images[:2] = 1.0  # traced on bright images, shown dark ones at the end
    images[-1] = 0.1
    with pytest.raises(InputError, match="predicts what the network does on"):
        export_onnx(Whims(), tmp_path / "net.onnx", images)


@pytest.mark.parametrize("wrong", [{"format": "qop"}, {"activations": "i8"}, {"weights": "u4"}])
def test_a_form_that_there_is_not_is_refused(wrong):
    with pytest.raises(InputError, match="unknown"):
        Int8(**wrong)
