"""Bounds and proofs where numbers are at an edge: on a threshold, too small for a solver, off a level, above 2^24."""

import pytest
import torch
from torch import nn

import quantattack as qa
from quantattack.attacks.base import batch_of, search
from quantattack.certification.bounds import bounded
from quantattack.certification.exact import Exact
from quantattack.certification.grid import Pixels
from quantattack.certification.parts import Box
from quantattack.certification.program import program_of
from quantattack.certification.region import region_of
from quantattack.nn.layers import Projection
from quantattack.nn.quantizers import BinaryConnect, Sign, UniformActivation


def verdict(model, threat, image, label):
    return search(Exact(threat), model.eval(), batch_of(image, torch.tensor([label]))).bounds[0].verdict


def linear(weight, bias=None):
    module = nn.Linear(len(weight[0]), len(weight), bias=bias is not None)
    module.weight.data = torch.tensor(weight)
    if bias is not None:
        module.bias.data = torch.tensor(bias)
    return module


def on_thresholds(seed):
    """A network of whole-number sums, many of which are thresholds of the activation after them, and an image."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(3 * 36, 3))
    model = qa.quantize(model, weights=BinaryConnect(), activations=UniformActivation(2, 6.0)).eval()
    return model, (torch.rand(1, 1, 6, 6) * 16).round() / 16


@pytest.mark.parametrize("seed", range(24))
def test_no_point_is_below_a_bound_where_sums_are_on_thresholds(seed):
    model, image = on_thresholds(seed)
    threat = qa.Threat("linf", 0.02)
    with torch.no_grad():
        label = int(model(image).argmax(1))
        known = bounded(program_of(model, image), region_of(threat, image), label)
        inside = image + threat.radius * (torch.rand(400, 1, 6, 6) * 2 - 1).sign()
        logits = model(threat.project(inside, image.expand_as(inside))).double()
    margins = (logits[:, label, None] - logits).amin(0)
    rivals = torch.arange(3) != label
    assert (known.margins[rivals] <= margins[rivals]).all()
    assert known.least <= 0 or (logits.argmax(1) == label).all()


@pytest.mark.parametrize("weight", [1e-5, 1e-8, 1.2e-9, 9e-10, 1e-11])
def test_weights_that_a_solver_drops_prove_nothing(weight):
    first = linear([[weight] * 64, [-weight] * 64], [-32 * weight, 32 * weight])
    model = nn.Sequential(nn.Flatten(), first, nn.ReLU(), linear([[0.0, 0.0], [1 / weight] * 2], [0.0, -3.0]))
    image, other = torch.full((1, 1, 8, 8), 0.5), torch.full((1, 1, 8, 8), 0.599)
    assert model(image).argmax(1) == 0
    assert model(other).argmax(1) == 1
    assert verdict(model, qa.Threat("linf", 0.1), image, 0) != "proved"


def test_a_clean_image_beside_its_level_is_bounded_from_the_level():
    threat, image = qa.Threat("linf", 1 / 255, levels=256), torch.full((1, 1, 1, 1), 128 / 255 + 0.9e-6)
    model = nn.Sequential(nn.Flatten(), linear([[1.0], [0.0]], [-(127 / 255 + 0.45e-6), 0.0]))
    other = threat.grid.values(torch.full((1, 1, 1, 1), 127.0), torch.float32)
    assert threat.contains(other, image).all()
    assert (model(image).argmax(1), model(other).argmax(1)) == (0, 1)
    assert verdict(model, threat, image, 0) != "proved"


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_region_holds_the_levels_as_float32_has_them(norm):
    threat = qa.Threat(norm, 4.7 / 255, low=-2.1, high=2.6, levels=256)
    index = torch.arange(256.0)[:, None, None, None]
    for clean in range(256):
        image = threat.grid.values(index[clean : clean + 1], torch.float32)
        near = threat.grid.values(index[max(0, clean - 1) : clean + 2], torch.float32)
        region, rows = region_of(threat, image), torch.tensor([1.0, -1.0]).double().view(2, 1, 1, 1)
        least = region.least(rows)
        assert (near.double() >= least[0]).all()
        assert (-near.double() >= least[1]).all()


def test_levels_are_as_near_to_their_whole_numbers_as_is_said():
    threat, index = qa.Threat("linf", 4.7 / 255, low=-2.1, high=2.6, levels=256), torch.arange(256.0)
    levels = threat.grid.values(index, torch.float32).double()
    pixels = Pixels.of(region_of(threat, levels[:1].view(1, 1, 1, 1).float()))
    assert ((pixels.low + index.double() * pixels.unit - levels).abs() <= pixels.outer_error * pixels.unit).all()


def test_sums_above_two_to_the_24_are_rounded():
    large = 2.0**24 - 1
    first = linear([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]], [-0.5] * 3)
    model = nn.Sequential(nn.Flatten(), first, Projection(Sign()), linear([[large, 1, 0], [large, 3, 1]]))
    image, other = (torch.tensor([0.9, 0.9, last]).view(1, 1, 1, 3) for last in (0.55, 0.46))
    assert (model(image).argmax(1), model(other).argmax(1)) == (1, 0)
    assert verdict(model, qa.Threat("linf", 0.1), image, 1) != "proved"


def test_a_bound_that_is_not_a_number_proves_nothing():
    norm = nn.BatchNorm1d(2, affine=False)
    norm.running_var.fill_(-1.0)
    model = nn.Sequential(nn.Flatten(), linear([[1.0, 0.0], [0.0, 1.0]]), norm)
    assert verdict(model, qa.Threat("linf", 0.02), torch.tensor([0.4, 0.6]).view(1, 1, 1, 2), 0) == "open"


def test_intervals_that_do_not_meet_leave_the_first():
    first = Box(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0]))
    met = first.meet(Box(torch.tensor([2.0, 0.5]), torch.tensor([3.0, 2.0])))
    assert torch.equal(met.low, torch.tensor([0.0, 0.5]))
    assert torch.equal(met.high, torch.tensor([1.0, 1.0]))
