import numpy as np
import pytest
import torch
from torch import nn

from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.diagnostics.signals.clever import Clever, largest_slope
from quantattack.errors import InputError
from quantattack.rng import Rng

FAST = {"batches": 20, "batch_size": 5, "pool": 4, "radius": 0.5}


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, 0, 2, 0], [0, 3.0, 0, 0], [0, 0, 0, -1.0]]))
        self.bias = nn.Parameter(torch.tensor([2.0, 0.0, 0.0]))

    def forward(self, x):
        return x.flatten(1) @ self.weight.T + self.bias


@pytest.mark.parametrize(("norm", "dual"), [(L1(), np.inf), (L2(), 2), (Linf(), 1)], ids=["L1", "L2", "Linf"])
def test_on_a_linear_models_logits_it_is_the_exact_distance(norm, dual):
    """The lead over rival j lasts for exactly lead / |W_0 - W_j| in the dual norm."""
    model, image = Linear().eval(), torch.zeros(1, 1, 2, 2)
    apart = [np.array([1.0, -3, 2, 0]), np.array([1.0, 0, 2, 1])]
    expected = min(2 / np.linalg.norm(row, dual) for row in apart)
    found = Clever(norm=norm, output="logits", **{**FAST, "radius": 9.0})(model, image, torch.tensor([0]))
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_the_radius_is_the_largest_score():
    found = Clever(output="logits", **{**FAST, "radius": 0.25})(
        Linear().eval(), torch.zeros(1, 1, 2, 2), torch.tensor([0])
    )
    assert float(found) == 0.25


@pytest.mark.parametrize("beta", [2.0**-7, 0.25, 8.0])
def test_on_logits_no_temperature_changes_it(network, images, labels, beta):
    plain = Clever(output="logits", **FAST)(network, images[:2], labels[:2])
    scaled = Clever(output="logits", temperature=Fixed(beta), **FAST)(network, images[:2], labels[:2])
    assert torch.equal(plain, scaled)


def test_on_probabilities_the_temperature_matters(network, images, labels):
    plain = Clever(**FAST)(network, images[:2], labels[:2])
    scaled = Clever(temperature=Fixed(0.01), **FAST)(network, images[:2], labels[:2])
    assert bool(((scaled / plain - 1).abs() > 0.02).any())


def test_the_slopes_are_autograds(network, images):
    """The one Jacobian of the logits gives what a derivative of the probabilities for each class would."""
    clever, beta = Clever(**FAST), torch.tensor([0.7], dtype=torch.float64)
    points = images[:5].double()
    double = nn.Sequential(*network).double()
    try:
        found = clever._slopes(double, points, 2, beta)
        for at in range(5):
            derivative = torch.autograd.functional.jacobian(
                lambda x: torch.softmax(0.7 * double(x[None])[0], 0), points[at]
            ).flatten(1)
            apart = (derivative[2] - derivative)[torch.arange(10) != 2]
            assert torch.allclose(found[at], apart.abs().amax(1), rtol=1e-9)
    finally:
        network.float()


def test_a_score_depends_on_the_image_and_its_index_alone(network, images, labels):
    clever = Clever(**FAST | {"radius": 5.0})
    whole = clever(network, images[:2], labels[:2])
    alone = clever(network, images[1:2], labels[1:2], Rng(0, torch.tensor([1])))
    other = clever(network, images[1:2], labels[1:2], Rng(1, torch.tensor([1])))
    assert alone[0] == whole[1]
    assert other[0] != whole[1]


def test_normalized_pixels_are_a_change_of_unit(network, images, labels):
    """With one deviation, half the pixel radius in pixels is a radius in units of 0.5."""
    pixels = Clever(**{**FAST, "radius": 0.25})(network, images[:2], labels[:2])
    normalized = Clever(std=(0.5,), **{**FAST, "radius": 0.5})(network, images[:2], labels[:2])
    assert torch.allclose(normalized, 2 * pixels, rtol=1e-4)


def test_points_stay_in_the_ball():
    image = torch.full((1, 1, 2, 3), 0.5)
    for norm in (L1(), L2(), Linf()):
        points = Clever(norm=norm, radius=2.0, pool=30)._points(image, Rng(0, torch.tensor([3])))
        sizes = norm.size(points.double() - image.double())
        assert len(points) == 300
        assert float(sizes.max()) <= 2.0 + 1e-6
        assert float(sizes.std()) > 0.01


def test_the_weibull_fit_finds_the_end_of_a_known_distribution():
    generator = np.random.default_rng(0)
    maxima = 3.0 - 0.4 * generator.weibull(2.0, 4000)  # reverse Weibull, largest possible value 3
    assert largest_slope(torch.tensor(maxima)) == pytest.approx(3.0, abs=0.02)


@pytest.mark.parametrize("factor", [1e-30, 1e-3, 1e8])
def test_the_weibull_fit_scales(factor):
    maxima = torch.tensor(3 - np.random.default_rng(1).weibull(2.0, 50))
    assert largest_slope(maxima) > float(maxima.max())
    assert largest_slope(factor * maxima) == pytest.approx(factor * largest_slope(maxima), rel=1e-3)


def test_maxima_without_an_end_give_the_largest_seen():
    maxima = torch.tensor(np.random.default_rng(1).weibull(0.7, 200) + 2)
    assert largest_slope(maxima) == float(maxima.max())


@pytest.mark.parametrize("values", [[0.0] * 5, [2.0] * 5])
def test_equal_maxima_need_no_fit(values):
    assert largest_slope(torch.tensor(values)) == values[0]


@pytest.mark.parametrize("setting", [{"batches": 0}, {"pool": 0}, {"radius": 0.0}])
def test_a_wrong_setting_is_refused(setting):
    with pytest.raises(InputError, match="CLEVER needs"):
        Clever(**setting)
