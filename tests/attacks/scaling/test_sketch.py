"""The estimate of a mean singular value against the singular values, and what it costs."""

import pytest
import torch

from networks import Times, relu_network
from quantattack.attacks.scaling import sketch
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.scaling.sketch import mean_singular_values
from quantattack.errors import InputError
from quantattack.evaluation.models import CountedModel
from quantattack.gradients import NoGradient, jacobian, singular_values
from quantattack.record.description import describe
from quantattack.rng import Rng


def images_of(count: int, pixels: int = 30) -> torch.Tensor:
    return torch.rand(count, pixels, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def network_of(classes: int) -> torch.nn.Module:
    return relu_network(0, (30,), width=40, classes=classes, dtype=torch.float64)


def estimated(network, images, steps=16, **more):
    return mean_singular_values(network, images, Rng(0, torch.arange(len(images))), steps=steps, **more)


def test_all_steps_give_the_quadratic_form_itself():
    """With as many steps as there are dimensions nothing is left to the quadrature: v' (J J')^(1/2) v exactly."""
    network, images = network_of(12), images_of(6)
    found = estimated(network, images, steps=12)
    _, rows = jacobian(network, images)
    values, vectors = torch.linalg.eigh(rows @ rows.mT)
    start = Rng(0, torch.arange(6)).signs(0, 7, (12,), torch.float64) / 12**0.5
    along = torch.einsum("nkj,nk->nj", vectors, start).square()
    assert torch.allclose(found.mean, (along * values.clamp_min(0).sqrt()).sum(1), rtol=1e-6)
    assert torch.allclose(found.square, (along * values).sum(1), rtol=1e-9)


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_the_two_quadratures_enclose_the_form(steps):
    network, images = network_of(60), images_of(40)
    found, exact = estimated(network, images, steps), estimated(network, images, 60).mean
    assert (found.lowest <= exact * (1 + 1e-9)).all()
    assert (exact <= found.mean * (1 + 1e-9)).all()
    assert (found.mean - found.lowest).mean() < {2: 1.0, 4: 0.4, 8: 0.15}[steps] * exact.mean()


def test_the_mean_lies_within_its_stated_error():
    network, images = network_of(150), images_of(300)
    found = estimated(network, images)
    _, rows = jacobian(network, images)
    exact = singular_values(rows).mean(1)
    about = found.summary(16)
    apart = abs(float(found.mean.mean() / exact.mean()) - 1)
    assert apart < 3 * about.error + about.below
    assert about.error < 0.03
    squares = rows.square().sum((1, 2)) / 150
    assert float(found.square.mean()) == pytest.approx(float(squares.mean()), rel=0.1)


def test_an_image_has_its_own_estimate_whatever_its_batch():
    network, images = network_of(40), images_of(9)
    whole = estimated(network, images).mean
    some = mean_singular_values(network, images[5:], Rng(0, torch.arange(5, 9)), steps=16).mean
    assert torch.allclose(some, whole[5:], rtol=1e-9)


def test_njs_is_estimated_where_there_are_many_classes_and_says_so(monkeypatch):
    network, probe = network_of(101), images_of(100)
    few = network_of(100)
    assert Njs.fit(few, probe).sketch is None
    assert "sketch" not in describe(Njs.fit(few, probe))
    found = Njs.fit(network, probe)
    assert describe(found)["sketch"] == {"part": "SingularSketch", **vars(found.sketch)}
    monkeypatch.setattr("quantattack.attacks.scaling.njs._MOST_ROWS", 1000)
    assert found.beta1 == pytest.approx(Njs.fit(network, probe).beta1, rel=3 * found.sketch.error + found.sketch.below)
    scaled = Njs.fit(Times(network, 1024), probe)
    assert scaled.beta1 == pytest.approx(Njs.fit(network, probe).beta1 / 1024, rel=1e-9)


def test_an_estimate_in_normalized_units_weighs_the_columns():
    network = relu_network(0, (3, 4, 4), classes=120, dtype=torch.float64)
    probe = torch.rand(40, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pixel, even = Njs.fit(network, probe), Njs.fit(network, probe, std=(0.2, 0.2, 0.2))
    assert even.beta1 == pytest.approx(pixel.beta1 / 0.2, rel=1e-6)
    uneven = Njs.fit(network, probe, std=(0.1, 0.2, 0.5))
    _, rows = jacobian(network, probe)
    weight = torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64).repeat_interleave(16)
    exact = 1 / singular_values(rows * weight).mean().item()
    assert uneven.beta1 == pytest.approx(exact, rel=3 * uneven.sketch.error + uneven.sketch.below)


def test_an_estimate_costs_one_forward_pass_and_no_row_of_the_jacobian():
    counted = CountedModel(network_of(1000))
    estimated(counted, images_of(16))
    assert counted.passes.snapshot()[0] == 16
    assert counted.passes.snapshot()[1] <= 16 * (2 * 16 + 1)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return grad * 2


def test_what_cannot_be_estimated_is_refused_in_a_line():
    images = images_of(4)
    with pytest.raises(NoGradient):
        estimated(lambda x: x.detach().repeat(1, 5), images)
    with pytest.raises(InputError, match="no derivative"):
        estimated(lambda x: Once.apply(x), images)
    with pytest.raises(InputError, match="zero on the whole probe"):
        Njs.fit(lambda x: x.repeat(1, 5) * 0, images)
    assert sketch.STEPS >= 2
