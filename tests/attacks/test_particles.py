"""Particles against explicit double loops, and the edge cases of the bandwidth."""

import math

import numpy as np
import pytest
import torch

from quantattack.attacks.particles import Blob, Dgf, bandwidth, distances, force
from quantattack.errors import InputError


def particles(count=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(count, 2, 3, 2, generator=generator, dtype=torch.float64) for _ in range(2)]


def pairs(x):
    flat = x.flatten(1).numpy()
    apart = np.array([[((a - b) ** 2).sum() for b in flat] for a in flat])
    return flat, apart


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_blob_step_is_the_formula(sign):
    x, grad = particles()
    flat, apart = pairs(x)
    count, width = len(flat), 0.5 * np.median(apart) / math.log(len(flat))
    expected = grad.flatten(1).numpy().copy()
    for i in range(count):
        for j in range(count):
            kernel = math.exp(-apart[i, j] / (2 * width))
            pull = kernel * (flat[i] - flat[j]) / width
            expected[i] += 1.1 / count * (kernel * grad.flatten(1)[j].numpy() + sign * pull)
    ours = Blob(1.1, sign)(grad, x, torch.zeros_like(x)).flatten(1).numpy()
    assert np.abs(ours - expected).max() < 1e-6


def test_a_dgf_step_is_the_formula():
    x, grad = particles()
    flat, apart = pairs(x)
    width = 0.5 * np.median(apart) / math.log(len(flat) + 1)
    expected = grad.flatten(1).numpy().copy()
    for i in range(len(flat)):
        for j in range(len(flat)):
            scaled = apart[i, j] / (2 * width)
            expected[i] += -0.001 * (scaled - 1) * math.exp(-scaled) * (flat[i] - flat[j])
    ours = Dgf()(grad, x, torch.zeros_like(x)).flatten(1).numpy()
    assert np.abs(ours - expected).max() < 1e-6


def test_the_force_is_the_kernels_derivative_in_its_second_argument():
    x, _ = particles()
    flat, apart = pairs(x)
    width, small = bandwidth(torch.from_numpy(apart), len(flat)), 1e-5
    pull = force(torch.exp(-torch.from_numpy(apart) / (2 * width)), x, width).numpy()

    def kernel(i, points):
        return np.exp(-((flat[i] - points) ** 2).sum(1) / (2 * width))

    for i in (0, 5):
        for pixel in (0, 7):
            step = np.zeros(flat.shape[1])
            step[pixel] = small
            slope = (kernel(i, flat + step) - kernel(i, flat - step)).sum() / (2 * small)
            assert slope == pytest.approx(pull[i, pixel], abs=1e-7)


def test_distances_of_near_images_do_not_cancel_in_float32():
    base = torch.rand(1, 1, 8, 8) * 0.01 + 0.99
    x = base + 1e-4 * torch.arange(4.0).reshape(4, 1, 1, 1)
    _, apart = pairs(x.double())
    assert torch.allclose(distances(x), torch.from_numpy(apart), rtol=1e-6, atol=0)


@pytest.mark.parametrize("transform", [Blob(), Dgf()])
def test_a_single_image_and_copies_do_not_interact(transform):
    x, grad = particles()
    assert torch.equal(transform(grad[:1], x[:1], grad[:1]), grad[:1])
    same = x[:1].expand_as(x).clone()
    assert torch.equal(transform(grad, same, grad), grad)


def test_the_normalized_form_is_free_of_units():
    x, grad = particles()
    ours = Blob(0.5, normalized=True)(grad, x, grad)
    assert torch.allclose(Blob(0.5, normalized=True)(1000 * grad, x, grad), ours) is False
    scaled = Dgf(0.5, normalized=True)
    assert torch.allclose(scaled(1000 * grad, x, grad), scaled(grad, x, grad))


def test_another_sign_is_refused():
    with pytest.raises(InputError, match="kernel_sign"):
        Blob(kernel_sign=0)
