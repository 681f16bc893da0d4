"""What is fused for speed has the values and the derivatives of what it stands for."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from deployed.onnx import files
from quantattack.deployed.onnx.call import Apply, Grid
from quantattack.deployed.onnx.chains import Table
from quantattack.deployed.onnx.grid import to_grid
from quantattack.deployed.onnx.load import load_onnx
from quantattack.deployed.onnx.operators.pairs import QuantizedMul
from quantattack.deployed.onnx.operators.products import Convolve, RowProducts
from quantattack.deployed.onnx.operators.quantized import QuantizedLinear, Requantize, TwoProducts
from quantattack.deployed.onnx.operators.softmax import QuantizedSoftmax
from quantattack.deployed.onnx.operators.sums import IntegerProducts, common_factor, extents
from quantattack.deployed.onnx.operators.window import Window

PADS = {"even": (1, 1, 1, 1), "lopsided": (0, 1, 2, 1), "none": (0, 0, 0, 0)}


def grid(scale=1.0, zero=0.0):
    return Grid(torch.tensor(scale), torch.tensor(zero), 0.0, 255.0)


def slope(function, values, grad):
    values = values.clone().requires_grad_()
    return torch.autograd.grad(function(values), values, grad)[0]


def test_partial_sums_lie_between_the_sums_of_one_sign():
    weight = torch.tensor([[3.0, -2.0, 5.0]])
    assert extents(weight, (0.0, 255.0)).sum(2).flatten().tolist() == [8 * 255, 2 * 255]
    assert extents(weight, (-128.0, 127.0)).sum(2).flatten().tolist() == [8 * 127 + 2 * 128, 8 * 128 + 2 * 127]


def test_the_common_factor_is_the_level_of_a_binarized_layer():
    assert common_factor(torch.tensor([[127.0, -127.0, 0.0]])) == 127
    assert common_factor(torch.tensor([[4.0, -6.0]])) == 2
    assert common_factor(torch.zeros(2, 2)) == 1


@pytest.mark.parametrize("levels", [(-127, 127), tuple(range(-128, 128))])
@pytest.mark.parametrize("inputs", [700, 2000])
def test_large_sums_are_rounded_once(levels, inputs):
    random = np.random.default_rng(inputs)
    weight = torch.from_numpy(random.choice(levels, (6, inputs)))
    bias, x = (
        torch.from_numpy(random.integers(-(2**20), 2**20, 6)),
        torch.from_numpy(random.integers(0, 256, (50, inputs))),
    )
    x[:6] = torch.where(weight > 0, 255, 0)  # the largest sums that there are
    products = IntegerProducts(weight, bias, (0.0, 255.0), RowProducts(), -1)
    assert torch.equal(products(x.float()), (x @ weight.T + bias).float())
    if len(levels) == 2:
        assert products.factor == (127 if inputs == 2000 else 1)


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("groups", [1, 2])
def test_a_quantized_convolution_has_the_derivative_of_its_steps(pads, groups):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randint(-127, 128, (4, 4 // groups, 3, 3), generator=generator).float()
    x = torch.randint(0, 256, (3, 4, 7, 8), generator=generator).float()
    scale = torch.tensor([0.003, 0.004, 0.001, 0.002])[:, None, None]
    window = Window((3, 3), (2, 2), (1, 1), PADS[pads])
    products = IntegerProducts(weight, None, (-7.0, 248.0), Convolve(window, groups), 1, groups)
    fused = QuantizedLinear(7.0, products, Requantize(scale, grid(1.0, 100.0)))

    def steps(values):
        top, left, bottom, right = PADS[pads]
        wide = torch.nn.functional.pad(values - 7, (left, right, top, bottom))
        return to_grid(conv2d(wide, weight, None, 2, 0, 1, groups), 100.0, 0.0, 255.0, scale)

    assert torch.equal(fused(x), steps(x))
    grad = torch.randn(fused(x).shape, generator=generator)
    expected = slope(steps, x, grad)
    assert expected.abs().max() > 0
    assert torch.allclose(slope(fused, x, grad), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((4,), (3, 4)), ((3, 4), ())])
def test_a_product_has_the_derivatives_of_both_factors(shapes):
    generator = torch.Generator().manual_seed(2)
    a, b = (torch.randint(0, 256, shape, generator=generator).float() for shape in shapes)
    module = QuantizedMul((grid(0.1, 3.0), grid(0.2, 5.0), grid(3.0, 7.0)))

    def steps(left, right):
        return to_grid((left - 3) * (right - 5) * module.ratio + 7, 0.0, 0.0, 255.0)

    assert torch.equal(module(a, b), steps(a, b))
    found, expected = (
        torch.autograd.grad(function(*ends).sum(), ends)
        for function in (module, steps)
        for ends in [(a.clone().requires_grad_(), b.clone().requires_grad_())]
    )
    assert all(torch.allclose(one, other) for one, other in zip(found, expected, strict=True))
    assert found[0].abs().sum() > 0


@pytest.mark.parametrize("shapes", [((2, 3, 5), (2, 5, 4)), ((2, 3, 5), (5, 4)), ((5,), (5, 4)), ((3, 5), (5,))])
def test_a_matrix_product_of_two_inputs_has_both_derivatives(shapes):
    generator = torch.Generator().manual_seed(3)
    a, b = (torch.randint(0, 256, shape, generator=generator).float().requires_grad_() for shape in shapes)
    module = TwoProducts(grid(1.0, 9.0), grid(1.0, 8.0), Requantize(torch.tensor(0.001), grid(1.0, 20.0)))
    steps = to_grid(torch.matmul(a - 9, b - 8), 20.0, 0.0, 255.0, torch.tensor(0.001))
    assert torch.equal(module(a, b), steps)
    found, expected = (torch.autograd.grad(result.square().sum(), (a, b)) for result in (module(a, b), steps))
    assert all(torch.allclose(one, other) for one, other in zip(found, expected, strict=True))
    assert found[0].abs().sum() > 0


def test_the_quantized_softmax_has_the_first_two_derivatives_of_the_softmax():
    x = torch.randint(0, 256, (5, 7), generator=torch.Generator().manual_seed(4)).double().requires_grad_()
    module = QuantizedSoftmax(grid(0.02, 128.0), grid(1 / 256, 0.0), -1, False)
    grad = torch.randn(5, 7, generator=torch.Generator().manual_seed(5)).double()
    firsts = [torch.autograd.grad(y, x, grad, create_graph=True)[0] for y in (module(x), 256 * (0.02 * x).softmax(-1))]
    assert torch.allclose(*firsts, rtol=1e-4)
    seconds = [torch.autograd.grad(first.square().sum(), x)[0] for first in firsts]
    assert seconds[1].abs().max() > 0
    assert torch.allclose(*seconds, rtol=1e-3, atol=1e-9)


def test_a_table_has_the_values_and_two_derivatives_of_its_function():
    table = Table(Apply(torch.tanh), (-3.0, 3.0))
    x = torch.tensor([[-3.0, 0.0], [1.0, 3.0]]).requires_grad_()
    for result in (table(x), torch.tanh(x)):
        (first,) = torch.autograd.grad(result.sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        values = torch.tanh(x.detach())
        assert torch.allclose(result.detach(), values)
        assert torch.allclose(first.detach(), 1 - values**2)
        assert torch.allclose(second, -2 * values * (1 - values**2))


def test_the_gelu_of_a_transformer_is_one_table(quantized_file):
    twin = load_onnx(quantized_file("transformer")).twin
    run = [twin.parts[step.module] for step in twin._to_output]
    assert sum(isinstance(part, Table) for part in run) >= 1
    assert not any(isinstance(part, Apply) and part.function is torch.erf for part in run)


@pytest.mark.parametrize("name", ["residual", "transformer"])
def test_derivatives_of_many_at_once_are_those_of_each(quantized_file, name):
    twin = load_onnx(quantized_file(name)).twin
    x = files.images(3).requires_grad_()
    logits = twin(x)
    grads = torch.randn(4, *logits.shape, generator=torch.Generator().manual_seed(6))
    (together,) = torch.autograd.grad(logits, x, grads, is_grads_batched=True, retain_graph=True)
    alone = torch.stack([torch.autograd.grad(logits, x, grad, retain_graph=True)[0] for grad in grads])
    assert alone.abs().sum() > 0
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-6)
    mapped = torch.func.vmap(torch.func.grad(lambda row: twin(row[None]).sum()))(x.detach())
    assert torch.allclose(mapped, torch.autograd.grad(twin(x).sum(), x)[0], rtol=1e-4, atol=1e-6)
