"""Twin against runtime: how much differs, in steps of the output, and how often the file's softmax is flat."""

import pytest
import torch

import quantattack as qa
from deployed.fake import Write
from quantattack.deployed.agreement import agreement, clipped_share, outputs_of, quantum, saturated_share
from quantattack.deployed.load import load
from quantattack.record.deployed import Agreement


def images(count: int = 70) -> torch.Tensor:
    return qa.load_data("digits")[0][:count]


def test_an_exact_twin_agrees_everywhere(fake: Write):
    agreed = agreement(load(fake()), images())
    assert agreed == Agreement(70, 0.0, 0, 0.0, 1.0)
    assert agreed.exact
    assert agreed.words == "no output of 70 images differs"


def test_an_inexact_twin_is_measured_in_steps(fake: Write):
    model = load(fake(shift=0.1, softmax=False))
    x = images()
    with torch.no_grad():
        twin, judged = model.twin.outputs(model.inputs(x)), model.returned(x)
    agreed = agreement(model, x)
    assert agreed.differing == pytest.approx(float((twin != judged).double().mean()))
    assert 0.2 < agreed.differing < 0.6
    assert (agreed.step, agreed.largest) == (1, 0.25)
    assert agreed.argmax == pytest.approx(float((twin.argmax(1) == judged.argmax(1)).double().mean()))
    assert "by 1 step at most" in agreed.words


def test_the_quantum_is_the_smallest_step_and_a_float_output_has_none():
    levels = torch.randint(-128, 128, (200, 10), generator=torch.Generator().manual_seed(0))
    assert quantum(levels * 0.0371) == pytest.approx(0.0371, rel=1e-4)
    assert quantum((levels.float() * 0.0371 + 3e-9).float()) == pytest.approx(0.0371, rel=1e-4)
    assert quantum(torch.randn(200, 10, generator=torch.Generator().manual_seed(1))) is None
    assert quantum(torch.ones(5, 3)) is None
    assert quantum(torch.tensor([[0.0, 3 / 256, 8 / 256], [0.0, 5 / 256, 254 / 256]])) == pytest.approx(1 / 256)


def test_the_softmax_is_saturated_where_it_is_as_large_as_it_can_be_written(fake: Write):
    model = load(fake(factor=4.0))
    outputs = outputs_of(model, images())
    assert saturated_share(outputs) == pytest.approx(float((outputs.amax(1) == 255 / 256).double().mean()))
    assert saturated_share(outputs) > 0.5
    assert saturated_share(torch.tensor([[0.7, 0.3], [0.5, 0.5], [1.0, 0.0]])) == pytest.approx(1 / 3)


def test_clipped_pixels_are_those_beyond_the_input_grid(fake: Write):
    whole, short = load(fake()), load(fake("short.fake", scale=0.9), range=(0, 255))
    x = images()
    assert clipped_share(x, whole) == 0
    beyond = float((255 * x > 0.9 * 255.5).double().mean())
    assert clipped_share(x, short) == pytest.approx(beyond)
    assert beyond > 0.05
    assert clipped_share(x, load(fake("float.fake", quantized=False), range=(0, 255))) is None
