import math

import numpy as np
import pytest
import torch
from torch import nn

from networks import named
from quantattack.attacks.scaling.base import unit
from quantattack.attacks.scaling.confidence import MaxConfidence
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.njs import Njs
from quantattack.diagnostics.signals.spectrum import linearize, scale_of, softmax_spectrum, spectrum
from quantattack.gradients import singular_values


@pytest.fixture
def affine():
    layer = nn.Linear(12, 5)
    torch.manual_seed(3)
    nn.init.normal_(layer.weight)
    return nn.Sequential(nn.Flatten(), layer).eval()


@pytest.fixture
def points():
    return torch.rand(20, 3, 2, 2, generator=torch.Generator().manual_seed(0))


def test_a_linear_models_singular_values_are_its_matrixs(affine, points):
    logits, rows = linearize(affine, points)
    expected = np.linalg.svd(affine[1].weight.detach().numpy().astype(np.float64), compute_uv=False)
    assert singular_values(rows).numpy() == pytest.approx(np.tile(expected[::-1], (20, 1)), rel=1e-6)
    assert torch.equal(logits, affine(points).detach())


def test_normalized_pixels_multiply_each_channel(affine, points):
    std = (0.2, 0.5, 2.0)
    _, rows = linearize(affine, points, std)
    assert torch.allclose(rows[7], affine[1].weight * torch.tensor(std).repeat_interleave(4))


def test_a_spectrum_pools_images_and_values():
    values = torch.tensor([[0.0, 1.0, 3.0], [2.0, 4.0, 10.0]], dtype=torch.float64)
    found = spectrum(values, torch.tensor([1.0, 0.5], dtype=torch.float64), bins=4)
    pooled = np.array([0, 1, 3, 1, 2, 5])
    assert (found.mean, found.deviation) == pytest.approx((pooled.mean(), pooled.std()))
    assert found.zeros == 1
    assert found.counts.sum() == 5
    assert found.counts.tolist() == [2, 2, 1, 0]  # decade 1 to 10 in quarters: 1 and 1; 2 and 3; 5
    assert found.edges.numpy() == pytest.approx(10.0 ** np.linspace(0, 1, 5))


def test_a_spectrum_of_zeros_has_no_bars():
    found = spectrum(torch.zeros(3, 2))
    assert (found.mean, found.zeros, int(found.counts.sum())) == (0.0, 6, 0)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_the_softmaxs_mean_singular_value_is_autograds(scale):
    logits = scale * torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    beta = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64).expand(4, 3)
    found = softmax_spectrum(logits, beta)
    for i in range(4):
        for b in range(3):
            derivative = torch.autograd.functional.jacobian(lambda z: torch.softmax(z, 0), beta[i, b] * logits[i])
            assert float(found[i, b]) == pytest.approx(float(torch.linalg.svdvals(derivative).mean()), rel=1e-12)


def test_the_softmaxs_spectrum_survives_saturation():
    logits = torch.tensor([[600.0, 0.0, -900.0]])
    found = float(softmax_spectrum(logits, torch.ones(1, 1)))
    assert found == pytest.approx(2 * math.exp(-600) / 3, rel=1e-9)


@pytest.mark.parametrize("temperature", [unit, Fixed(0.1), Njs(0.3), Gap(), MaxConfidence(1e-9), Hns()], ids=named)
def test_a_scale_is_what_the_temperature_multiplies_by(temperature, network, images, labels):
    rescale = temperature(network, images, labels)
    with torch.no_grad():
        logits = network(images)
        beta = scale_of(rescale, logits, labels)
        assert torch.allclose(rescale(logits, labels).double(), logits.double() * beta[:, None], rtol=1e-5)
    assert beta.dtype == torch.float64


def test_logits_of_zero_count_as_unscaled(labels):
    assert scale_of(Fixed(0.1).scale, torch.zeros(3, 10), labels[:3]).tolist() == [1, 1, 1]
