import math

import pytest
import torch

from quantattack.errors import InputError
from quantattack.nn.quantizers import (
    ACTIVATIONS,
    WEIGHTS,
    BinaryConnect,
    BnnWaq,
    GdTanh,
    MdTanhS,
    Quantizer,
    Sign,
    Ternary,
    Uniform,
    UniformActivation,
    Xnor,
    project,
)

X = [-2.0, -1.0, -0.4, 0.0, 0.4, 1.0, 2.0]
TANH = [math.tanh(2 * x) for x in X]
SIGNS = [-1, -1, -1, 1, 1, 1, 1]
MEAN = sum(map(abs, X)) / 7  # 6.8 / 7

# quantizer, value in training, slope of the surrogate, final value
TABLE = [
    (MdTanhS(2.0), TANH, [1] * 7, SIGNS),
    (GdTanh(2.0), TANH, [2 * (1 - t * t) for t in TANH], SIGNS),
    (BinaryConnect(), SIGNS, [0, 1, 1, 1, 1, 1, 0], SIGNS),
    (BnnWaq(), SIGNS, [1] * 7, SIGNS),
    (Sign(), SIGNS, [0, 0, 1, 1, 1, 0, 0], SIGNS),
    (Xnor(), [MEAN * s for s in SIGNS], [0, 1, 1, 1, 1, 1, 0], [MEAN * s for s in SIGNS]),
    (Ternary(), [-1.5, -1.5, 0, 0, 0, 1.5, 1.5], [1] * 7, [-1.5, -1.5, 0, 0, 0, 1.5, 1.5]),
    (Uniform(2), [-2, 0, 0, 0, 0, 0, 2], [1] * 7, [-2, 0, 0, 0, 0, 0, 2]),  # halves go to the even step
    (Uniform(4), [-2, -8 / 7, -2 / 7, 0, 2 / 7, 8 / 7, 2], [1] * 7, [-2, -8 / 7, -2 / 7, 0, 2 / 7, 8 / 7, 2]),
    (UniformActivation(2, 1.5), [0, 0, 0, 0, 0.5, 1, 1.5], [0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0.5, 1, 1.5]),
]
IDS = [repr(row[0]) for row in TABLE]


@pytest.mark.parametrize(("quantizer", "value", "slope", "hard"), TABLE, ids=IDS)
def test_values_and_slopes_are_those_of_the_table(quantizer, value, slope, hard):
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    for final, expected in ((False, value), (True, hard)):
        result = project(quantizer, x, final)
        (gradient,) = torch.autograd.grad(result.sum(), x)
        assert result.tolist() == pytest.approx(expected, abs=1e-12)
        assert gradient.tolist() == pytest.approx(slope, abs=1e-12)


def test_the_table_has_every_quantizer():
    assert {type(row[0]) for row in TABLE} == {*WEIGHTS, *ACTIVATIONS}
    assert all(isinstance(row[0], Quantizer) for row in TABLE)


@pytest.mark.parametrize("quantizer", [row[0] for row in TABLE], ids=IDS)
def test_values_are_exact_levels_whatever_the_latent_weight(quantizer):
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 1e3
    assert torch.equal(project(quantizer, x, hard=True), quantizer.hard(x))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.func.jvp's own
@pytest.mark.parametrize("quantizer", [row[0] for row in TABLE], ids=IDS)
def test_every_torch_func_transform_gives_the_same_slope(quantizer):
    x = torch.linspace(-1.7, 1.9, 5, dtype=torch.float64)
    eye = torch.eye(5, dtype=torch.float64)

    def value(x):
        return project(quantizer, x, hard=True)

    leaf = x.clone().requires_grad_()
    out = value(leaf)
    loop = torch.stack([torch.autograd.grad(out, leaf, row, retain_graph=True)[0] for row in eye])
    batched = torch.autograd.grad(out, leaf, eye, is_grads_batched=True)[0]
    forward = torch.stack([torch.func.jvp(value, (x,), (row,))[1] for row in eye], 1)
    for jacobian in (
        batched,
        torch.func.jacrev(value)(x),
        torch.func.vmap(torch.func.vjp(value, x)[1])(eye)[0],
        forward,
    ):
        assert torch.equal(jacobian, loop)


def test_xnor_scales_each_filter_by_its_own_mean():
    w = torch.tensor([[1.0, -3.0], [0.5, 0.0]])
    assert Xnor().hard(w).tolist() == [[2.0, -2.0], [0.25, 0.25]]


def test_a_tensor_of_zeros_stays_finite():
    for quantizer in (Xnor(), Ternary(), Uniform(4)):
        assert project(quantizer, torch.zeros(3), hard=True).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("make", [lambda: Uniform(1), lambda: Uniform(9), lambda: UniformActivation(4, 0.0)])
def test_bad_settings_are_refused(make):
    with pytest.raises(InputError):
        make()
