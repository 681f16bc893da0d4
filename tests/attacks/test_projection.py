"""A walk's projection is the threat's own, bit by bit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import quantattack as qa
from networks import relu_network
from quantattack.attacks.projection import Projection

THREATS = {
    "linf": qa.Threat("linf", 8 / 255),
    "wide": qa.Threat("linf", 1.0),
    "signed": qa.Threat("linf", 0.3, -1.0, 1.0),
    "levels": qa.Threat("linf", 8 / 255, levels=256),
    "each": qa.Threat("linf", torch.linspace(0.01, 0.2, 12).reshape(3, 2, 2)),
    "l2": qa.Threat("l2", 0.5),
    "l1": qa.Threat("l1", 2.0),
}


def images_of(threat: qa.Threat, seed: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(40, 3, 2, 2, generator=generator).mul(255).round() / 255
    clean[:5], clean[5:10] = 0.0, 1.0
    moved = clean + torch.randn(40, 3, 2, 2, generator=generator) * torch.logspace(-9, 1, 40)[:, None, None, None]
    span = threat.high - threat.low
    return (threat.low + span * clean).to(dtype), (threat.low + span * moved.to(dtype) * (1 + 1e-13))


@pytest.mark.parametrize("name", THREATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@given(seed=st.integers(0, 1000))
def test_it_is_the_threats_projection_bit_by_bit(name, dtype, seed):
    threat = THREATS[name]
    clean, moved = images_of(threat, seed, dtype)
    radius = threat.radii(clean) * (1 + torch.arange(40) % 3) / 3
    once = Projection.onto(threat, clean, radius)
    assert torch.equal(once(moved), threat.project(moved, clean, radius))
    some = torch.arange(40) % 2 == 0
    assert torch.equal(once.keep(some)(moved[some]), once(moved)[some])


def test_pixels_on_the_edge_of_the_box_stay_where_they_are():
    threat = THREATS["linf"]
    clean, _ = images_of(threat, 0, torch.float32)
    radius = threat.radii(clean)
    once = Projection.onto(threat, clean, radius)
    for end in (-1.0, 1.0):
        edge = threat.project(clean + end, clean)
        for image in (edge, torch.nextafter(edge, clean), torch.nextafter(edge, clean + end)):
            image[image.abs() < 1e-30] = 0  # next to nothing: the threat rounds it
            assert torch.equal(once(image), threat.project(image, clean, radius))


@pytest.mark.parametrize("name", THREATS)
@pytest.mark.parametrize("attack", [qa.pgd, qa.apgd, qa.mi_fgsm], ids=lambda make: make.__name__)
def test_a_walk_ends_where_it_did_with_the_threats_projection(name, attack, monkeypatch):
    threat = THREATS[name]
    network = relu_network(0, (3, 2, 2))
    clean, _ = images_of(threat, 3, torch.float32)
    labels = network(clean).argmax(1)
    found = attack(threat, steps=8)(network, clean, labels)
    monkeypatch.setattr(Projection, "__call__", lambda self, x: self.threat.project(x, self.clean, self.radius))
    assert torch.equal(found, attack(threat, steps=8)(network, clean, labels))
