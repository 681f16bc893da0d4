import math

import numpy as np
import pytest
import torch
from torch import nn

from quantattack.attacks.losses import cross_entropy
from quantattack.attacks.scaling.base import unit
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import GAP, Gap
from quantattack.diagnostics.signals.propagation import (
    error_norm,
    error_signal,
    float_gradient,
    gradient_norms,
    input_gradient,
    propagate,
)
from quantattack.diagnostics.signals.spectrum import linearize
from quantattack.gradients import differences, gradient, hessian_norm


class Saturated(nn.Module):
    """Three classes on four pixels: logits W x + b whose first leads by a margin."""

    def __init__(self, margin):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, 0, 2, 0], [0, 3.0, 0, 0], [0, 0, 0, -1.0]]))
        self.bias = nn.Parameter(torch.tensor([margin, 0.0, 0.0]))

    def forward(self, x):
        return x.flatten(1) @ self.weight.T + self.bias


ZEROS, FIRST = torch.zeros(1, 1, 2, 2), torch.tensor([0])


def test_the_error_signal_is_softmax_minus_one_hot():
    logits = torch.tensor([[1.0, 2.0, 0.5]])
    p = np.exp([1.0, 2.0, 0.5]) / np.exp([1.0, 2.0, 0.5]).sum()
    found = error_signal(logits, torch.tensor([1]), torch.ones(1, 1))
    assert found[0, 0].numpy() == pytest.approx(p - [0, 1, 0], rel=1e-12)
    assert float(error_norm(logits, torch.tensor([1]), torch.ones(1, 1))) == pytest.approx(
        np.linalg.norm(p - [0, 1, 0]), rel=1e-12
    )


@pytest.mark.parametrize("margin", [1.0, 20.0, 150.0])
def test_error_and_gradient_are_those_by_hand(margin):
    """psi is (-2q, q, q) with q = 1/(e^m + 2); the gradient is q (-2 W_0 + W_1 + W_2)."""
    model = Saturated(margin).eval()
    logits, rows = linearize(model, ZEROS)
    q = 1 / (math.exp(margin) + 2)
    by_hand = q * np.array([-2.0, 3, -4, -1])
    once = torch.ones(1, 1)
    assert float(error_norm(logits, FIRST, once)) == pytest.approx(q * math.sqrt(6), rel=1e-9)
    assert input_gradient(rows, logits, FIRST, once)[0, 0].numpy() == pytest.approx(by_hand, rel=1e-6)
    size, sign = gradient_norms(rows, logits, FIRST, once)
    assert float(size) == pytest.approx(np.linalg.norm(by_hand), rel=1e-6)
    assert float(sign) == 2.0  # four pixels, all of them moved


def test_float32_loses_the_gradient_that_exact_arithmetic_keeps():
    model = Saturated(150.0).eval()
    measured = propagate(model, ZEROS, FIRST, {"unit": unit, "gap": Gap()})
    assert measured.at["unit"].sign.tolist() == [2.0]
    assert measured.at["unit"].sign_float.tolist() == measured.at["unit"].gradient_float.tolist() == [0.0]
    assert measured.at["gap"].sign_float.tolist() == [2.0]
    assert float(measured.at["gap"].beta) == pytest.approx(GAP / 150)
    logits, rows = linearize(model, ZEROS)
    size, sign = gradient_norms(rows, logits, FIRST, torch.tensor([[1.0, 0.01]]), exact=False)
    assert (size[0, 0], sign[0, 0], sign[0, 1]) == (0, 0, 2)


def test_at_a_small_margin_the_two_arithmetics_agree(network, images, labels):
    measured = propagate(network, images[2:], labels[2:], {"unit": unit, "small": Fixed(0.25)})
    for name in ("unit", "small"):
        at = measured.at[name]
        assert torch.allclose(at.gradient, at.gradient_float, rtol=1e-3)
        assert torch.equal(at.sign, at.sign_float)


def test_the_gradient_is_autograds(network, images, labels):
    double = nn.Sequential(*network).double()
    try:
        x = images.double()
        logits, rows = linearize(double, x)
        _, expected = gradient(double, x, lambda a: cross_entropy(0.3 * a, labels))
        found = input_gradient(rows, logits, labels, torch.full((24, 1), 0.3))
        assert torch.allclose(found[:, 0], expected.flatten(1), rtol=1e-6)
    finally:
        network.float()


def test_normalized_pixels_scale_the_gradient(network, images, labels):
    plain = propagate(network, images, labels, {"unit": unit})
    scaled = propagate(network, images, labels, {"unit": unit}, std=(0.25,))
    assert torch.allclose(scaled.at["unit"].gradient, plain.at["unit"].gradient / 4)
    assert torch.allclose(scaled.at["unit"].gradient_float, plain.at["unit"].gradient_float / 4)
    assert torch.allclose(scaled.singular, plain.singular / 4)
    assert torch.equal(scaled.at["unit"].sign, plain.at["unit"].sign)


def test_cutting_into_batches_measures_the_same(network, images, labels):
    whole = propagate(network, images, labels, {"gap": Gap()})
    part = propagate(network, images[:5], labels[:5], {"gap": Gap()})
    assert torch.allclose(whole.at["gap"].gradient[:5], part.at["gap"].gradient)
    assert len(whole.at["gap"].beta) == len(whole.singular) == 24


def test_no_gradient_path_is_a_gradient_of_zero(labels):
    hard = nn.Sequential(nn.Flatten(), nn.Linear(16, 10)).requires_grad_(False)
    x = torch.rand(4, 1, 4, 4)
    found = float_gradient(lambda x: hard(x.detach()), x, labels[:4], unit(hard, x, labels[:4]))
    assert not found.any()


@pytest.mark.parametrize("gap", [0.01, 1.0, 40.0, 3000.0])
def test_two_classes_hessian_peaks_where_the_closed_form_says(gap):
    logits = torch.tensor([[gap, 0.0]], dtype=torch.float64)
    rows = torch.randn(1, 2, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    beta = torch.linspace(0.5, 6, 5501, dtype=torch.float64)[None] / gap
    norms = hessian_norm(differences(rows, logits), logits, beta)
    assert float(beta[0, norms.argmax()]) * gap == pytest.approx(2.3994, abs=6e-4)
    size = float((rows[0, 0] - rows[0, 1]).norm()) ** 2
    p = 1 / (1 + math.exp(2.3994))
    assert float(norms.max()) == pytest.approx((2.3994 / gap) ** 2 * p * (1 - p) * size, rel=1e-6)
