"""Directions and transforms against tables by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from quantattack.attacks.directions import Quantized, raw, steepest
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.success import hits, misclassified
from quantattack.attacks.transforms import Momentum
from quantattack.errors import InputError

gradients = npst.arrays(
    "float32",
    st.tuples(st.integers(1, 3), st.integers(1, 8)),
    elements=st.floats(-(2.0**127), 2.0**127, width=32, allow_subnormal=True),
).map(torch.from_numpy)


def test_quantized_rounds_to_levels_and_halves_to_even():
    grad = torch.tensor([[1.0, 0.25, 0.75, -0.625, 0.2, -0.01, 0.0, -1.0]])
    # times 4:            4    1     3     -2.5    0.8   -0.04  0    -4
    assert Quantized(4)(grad, Linf()).tolist() == [[4.0, 1.0, 3.0, -2.0, 1.0, -1.0, 0.0, -4.0]]
    # times 2:            2    0.5   1.5   -1.25   0.4   -0.02  0    -2
    assert Quantized(2)(grad * 1e-30, Linf()).tolist() == [[2.0, 1.0, 2.0, -1.0, 1.0, -1.0, 0.0, -2.0]]
    # times 10:           10   2.5   7.5   -6.25   2     -0.1   0    -10
    assert Quantized(10)(grad, Linf()).tolist() == [[10.0, 2.0, 8.0, -6.0, 2.0, -1.0, 0.0, -10.0]]


def test_quantized_takes_the_maximum_of_each_image():
    grad = torch.tensor([[[1.0, 0.5]], [[100.0, 50.0]], [[0.0, 0.0]]])
    assert Quantized(4)(grad, Linf()).tolist() == [[[4.0, 2.0]], [[4.0, 2.0]], [[0.0, 0.0]]]


@given(gradients)
def test_one_level_is_the_sign(grad):
    assert torch.equal(Quantized(1)(grad, Linf()), grad.sign())


@given(gradients, st.sampled_from([1, 2, 7, 100, 1000]))
def test_no_nonzero_entry_is_lost_and_none_exceeds_the_levels(grad, levels):
    found = Quantized(levels)(grad, Linf())
    assert torch.equal(found.sign(), grad.sign())
    assert (found.abs() <= levels).all()
    assert torch.equal(found, found.round())
    nonzero = grad.abs().amax(1) > 0
    assert (found.abs().amax(1)[nonzero] == levels).all()


def test_less_than_one_level_is_refused():
    for levels in (0, 0.5, -3, float("nan")):
        with pytest.raises(InputError, match="levels"):
            Quantized(levels)


@pytest.mark.parametrize("norm", [Linf(), L2(), L1()], ids=lambda norm: type(norm).__name__)
def test_steepest_is_the_norms_and_raw_is_the_gradient(norm):
    grad = torch.tensor([[0.3, -2.0, 0.0]])
    assert torch.equal(steepest(grad, norm), norm.steepest(grad))
    assert torch.equal(raw(grad, norm), grad)


def test_momentum_adds_gradients_of_unit_size():
    grad = torch.tensor([[[1.0, -3.0]], [[0.0, 0.0]]])
    previous = torch.tensor([[[1.0, 1.0]], [[2.0, -2.0]]])
    assert Momentum(0.5)(grad, grad, previous).tolist() == [[[0.75, -0.25]], [[1.0, -1.0]]]
    assert torch.equal(Momentum()(grad, grad, torch.zeros_like(grad))[0], grad[0] / 4)


def test_success_is_another_class_and_a_tie_goes_to_the_first():
    logits = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    labels = torch.tensor([0, 1, 1])
    assert misclassified(logits, labels).tolist() == [False, True, False]
    assert hits(logits, labels).tolist() == [True, False, True]
