"""The twin against onnxruntime: no logit differs where the runtime fuses everything."""

import pytest
import torch

from deployed.onnx.files import VARIANTS, attacked, images
from quantattack.deployed.onnx.load import load_onnx

COUNT = 300
NETWORKS = ("residual", "vgg", "depthwise", "lenet", "dense")


def inputs(loaded):
    clean = images(COUNT, 7)
    noise = torch.randn(COUNT, *clean.shape[1:], generator=torch.Generator().manual_seed(3)) / 2 + 0.5
    return {"clean": clean, "noise": noise, "attacked": attacked(loaded.twin, clean)}


def differences(loaded, values):
    """Share of outputs that differ, the largest difference in steps of the output's grid, and of equal argmax."""
    with torch.no_grad():
        twin, judge = loaded.twin.outputs(values), loaded.runtime(values)
    gaps = (twin - judge).abs()
    levels = torch.unique(judge)
    step = float((levels[1:] - levels[:-1]).min())
    same = (twin.argmax(1) == judge.argmax(1)).float().mean()
    return float((gaps > step / 1000).float().mean()), float(gaps.max()) / step, float(same)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "qdq-s8s8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_output_differs_where_the_runtime_fuses_everything(quantized_file, name, variant):
    loaded = load_onnx(quantized_file(name, variant))
    for kind, values in inputs(loaded).items():
        assert differences(loaded, values)[0] == 0, kind


@pytest.mark.parametrize("name", [*NETWORKS, "transformer"])
def test_few_outputs_differ_where_real_numbers_stay_between(quantized_file, name):
    loaded = load_onnx(quantized_file(name, "qdq-s8s8"))
    for kind, values in inputs(loaded).items():
        share, steps, same = differences(loaded, values)
        assert share <= 0.01, kind
        assert steps < 2.01, kind
        assert same >= 0.99, kind


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_transformer_is_near_exact(quantized_file, variant):
    loaded = load_onnx(quantized_file("transformer", variant))
    for kind, values in inputs(loaded).items():
        share, steps, same = differences(loaded, values)
        assert share <= 0.01, kind
        assert steps < 2.01, kind
        assert same >= 0.99, kind


@pytest.mark.parametrize("name", [*NETWORKS, "transformer"])
def test_a_float_file_is_interpreted_as_it_is(float_file, name):
    loaded = load_onnx(float_file(name))
    values = images(50)
    assert not loaded.quantized
    with torch.no_grad():
        assert torch.allclose(loaded.twin.outputs(values), loaded.runtime(values), atol=1e-5)


@pytest.mark.parametrize("level", ["off", "basic", "extended", "all"])
def test_every_level_of_the_judge_has_its_own_graph(quantized_file, level):
    loaded = load_onnx(quantized_file("residual"), level=level)
    share, steps, same = differences(loaded, images(200, 5))
    assert share <= (0 if level in ("extended", "all") else 0.05)
    assert steps < 2.01
    assert same >= 0.99
    assert loaded.runtime.artifact.settings["level"] == level


def test_the_logits_are_what_enters_the_softmax(quantized_file, float_file):
    values = images(40)
    for file, near in ((float_file("lenet"), 1e-6), (quantized_file("lenet"), 5e-3)):  # steps of 1/855
        loaded = load_onnx(file)
        with torch.no_grad():
            logits, outputs = loaded.twin(values), loaded.twin.outputs(values)
        assert loaded.softmax
        assert torch.allclose(logits.softmax(1), outputs, rtol=0, atol=near)
        assert float(logits.softmax(1).sub(logits).abs().max()) > 0.1


def test_a_file_without_softmax_has_its_outputs_as_logits(quantized_file):
    loaded = load_onnx(quantized_file("residual"))
    with torch.no_grad():
        assert not loaded.softmax
        assert torch.equal(loaded.twin(images(20)), loaded.twin.outputs(images(20)))
