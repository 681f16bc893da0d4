"""Real files through `load`: what pixels mean to them is read, their twins are exact, their other kernels open."""

import os
from pathlib import Path

import pytest
import torch

import quantattack as qa
from quantattack.deployed.agreement import agreement
from quantattack.deployed.export.int8 import Int8
from quantattack.deployed.load import load
from quantattack.deployed.pixels import Pixels
from quantattack.errors import InputError

TINY = Path(os.environ.get("QUANTATTACK_DATA", "")) / "mlperf-tiny"
fetched = pytest.mark.skipif(
    not (TINY / "resnet8_cifar10_int8.tflite").is_file(), reason="needs `quantattack fetch mlperf-tiny/resnet8-int8`"
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits' float network as an int8 ONNX file."""
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("onnx") / "digits.onnx"
    images = qa.load_data("digits")[0]
    qa.deployed.export_onnx(qa.load_model("digits-float"), path, images[:64], int8=Int8(), calibration=images[:64])
    return path


def test_an_exported_onnx_file_says_what_pixels_mean_to_it(exported: Path):
    model = qa.load_model(exported)
    images = qa.load_data("digits")[0][:40]
    assert model.pixels == Pixels("nchw", 0.0, 1.0)
    assert not model.is_float
    assert agreement(model, images).exact
    other = model.file.under(model.variants[0])()
    assert other.artifact.settings["level"] == "off"
    assert model(images).argmax(1).eq(other(images).argmax(1)).double().mean() > 0.9
    with pytest.raises(InputError, match="takes inputs of 1 x 8 x 8"):
        model(torch.rand(2, 1, 9, 9))


def test_a_deployed_onnx_file_is_evaluated_as_any_model(exported: Path):
    images, labels = (tensor[:24] for tensor in qa.load_data("digits"))
    threat = qa.Threat(qa.Linf(), 0.1)
    model = qa.load_model(exported)
    record = qa.evaluate(model, images, labels, {"pgd": qa.pgd(threat, steps=5)}, threat)
    assert isinstance(record, qa.Record)
    assert record.clean == pytest.approx(float((model(images).argmax(1) == labels).double().mean()))
    assert record.worst_case < record.clean


@fetched
def test_a_tflite_file_says_what_pixels_mean_to_it_and_its_float_relative_takes_the_same():
    model = load(TINY / "resnet8_cifar10_int8.tflite", float_model=TINY / "resnet8_cifar10_float.tflite")
    assert model.pixels == Pixels("nhwc", 0.0, 255.0)
    assert model.softmax
    relative = model.float_model
    assert relative is not None
    assert relative.pixels == model.pixels
    assert relative.is_float
    images = (256 * torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))).floor().clamp(0, 255) / 255
    assert agreement(model, images).argmax == 1
    with pytest.raises(InputError, match="does not say what pixels mean"):
        load(TINY / "resnet8_cifar10_float.tflite")


@fetched
def test_the_kernels_of_a_tflite_file_are_chosen_by_the_runtime():
    model = load(TINY / "resnet8_cifar10_int8.tflite", runtime="litert:reference")
    assert model.artifact.settings["kernels"] == "reference"
    assert model.variants == ("litert:xnnpack",)
    with pytest.raises(InputError, match="run by litert"):
        load(TINY / "resnet8_cifar10_int8.tflite", runtime="onnxruntime")
