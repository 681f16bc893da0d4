"""A smoother derivative of signs: the same values, another slope, and only where there are signs."""

import pytest
import torch
from torch import nn

from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import pgd
from quantattack.attacks.signs import SmoothSigns, with_smooth_signs
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.evaluation.models import CountedModel
from quantattack.nn.convert import with_surrogate
from quantattack.nn.layers import Projection
from quantattack.nn.quantizers import Sign, UniformActivation


def network(quantizer):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), Projection(quantizer), nn.Linear(8, 3)).eval()


def slopes(model, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(model(x).sum(), x)[0]


def test_the_values_are_the_models_and_the_derivative_is_that_of_the_tanh():
    model, x = network(Sign()), torch.rand(5, 4)
    smooth = with_smooth_signs(CountedModel(model), 3)
    assert torch.equal(smooth.model(x), model(x))
    first, last = model[0], model[2]
    inner = first(x)
    expected = (last.weight.sum(0) * 3 / torch.cosh(3 * inner) ** 2) @ first.weight
    assert torch.allclose(slopes(smooth, x), expected, atol=1e-6)
    assert isinstance(model[1].quantizer, Sign)


@pytest.mark.parametrize(
    "model", [network(UniformActivation(2)), with_surrogate(network(Sign()), torch.tanh), lambda x: x], ids=range(3)
)
def test_other_models_are_attacked_as_they_are(model):
    assert with_smooth_signs(model) is model


def test_passes_of_the_copy_count():
    model = CountedModel(network(Sign()))
    threat = Threat(Linf(), 1e-6)
    images = torch.rand(6, 4)
    labels = model.model(images).argmax(1)
    SmoothSigns(pgd(threat, steps=3))(model, images, labels)
    assert model.passes.snapshot() == (18, 18)


@pytest.mark.parametrize("slope", [0, -2, float("nan")])
def test_no_slope_is_refused(slope):
    with pytest.raises(InputError, match="slope"):
        SmoothSigns(pgd(Threat(Linf(), 0.1)), slope)
