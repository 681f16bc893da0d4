"""The threat: rounding never leaves it, and the judge's test is exact."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.threat import Threat, toward
from quantattack.errors import InputError
from quantattack.record.description import describe, stable

NORMS = pytest.mark.parametrize("norm", [Linf(), L2(), L1()], ids=lambda norm: type(norm).__name__)


@NORMS
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@given(data=st.data(), radius=st.sampled_from([8 / 255, 0.1, 1 / 3, 1.0]) | st.floats(1e-4, 1.0))
def test_rounding_never_leaves_the_threat(norm, dtype, data, radius):
    width = {"float16": 16, "float32": 32, "float64": 64}[dtype]
    arrays = npst.arrays(dtype, (2, 1, 2, 3), elements=st.floats(0, 1, width=width))
    clean, noise = (torch.from_numpy(data.draw(arrays)) for _ in range(2))
    threat = Threat(norm, radius)
    found = threat.project(clean + 4 * (noise - 0.5), clean)
    assert found.dtype == clean.dtype
    assert threat.contains(found, clean, 0.0 if isinstance(norm, Linf) else 1e-6).all()


@NORMS
def test_what_is_inside_comes_back_as_it_was(norm):
    clean = torch.rand(50, 6, generator=torch.Generator().manual_seed(0))
    threat = Threat(norm, 0.2)
    inside = threat.project(clean + 0.3 * torch.randn(50, 6, generator=torch.Generator().manual_seed(1)), clean)
    assert torch.allclose(threat.project(inside, clean), inside, atol=1e-7)
    assert torch.equal(threat.project(clean, clean), clean)


@NORMS
def test_the_judge_sees_every_kind_of_outside(norm):
    threat, clean = Threat(norm, 0.25), torch.full((1, 2, 2), 0.5)
    step = torch.zeros(1, 2, 2)
    step[0, 0, 0] = 0.25
    assert threat.contains(clean + step, clean).all()
    assert not threat.contains(clean + step * 1.0001, clean).any()
    assert threat.contains(clean + step * 1.0001, clean, 1e-3).all()
    assert not threat.contains(clean * torch.nan, clean).any()
    low = torch.zeros(1, 2, 2)
    assert not threat.contains(low - 1e-3, low, 1.0).any()
    assert not threat.contains(1 + low + 1e-3, 1 + low, 1.0).any()


def test_another_pixel_range():
    threat = Threat(L2(), 100.0, 0.0, 255.0)
    clean = torch.tensor([[0.0, 255.0, 128.0]])
    found = threat.project(clean + torch.tensor([[-50.0, 50.0, 120.0]]), clean)
    assert torch.allclose(found, torch.tensor([[0.0, 255.0, 228.0]]), atol=1e-4)
    assert threat.contains(found, clean, 1e-6).all()


def test_radii_of_single_images():
    threat, clean = Threat(Linf(), 0.5), torch.full((3, 2), 0.5)
    radius = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    found = threat.project(clean + 1, clean, radius)
    assert torch.allclose(found[:, 0], torch.tensor([0.6, 0.7, 0.8]))
    assert (Linf().size(found.double() - clean.double()) <= radius).all()


def test_toward_rounds_to_the_clean_side():
    clean = torch.tensor([0.5, 0.5])
    exact = torch.tensor([0.1, 0.9], dtype=torch.float64)
    found = toward(exact, clean)
    assert found.dtype == torch.float32
    assert ((found.double() - clean).abs() <= (exact - clean).abs()).all()
    assert (found - exact).abs().max() < 1e-7


@pytest.mark.parametrize("name", ["linf", "l2", "l1", "Linf", "L2", "L1"])
def test_a_norm_may_be_given_by_its_name(name):
    norm = {"linf": Linf(), "l2": L2(), "l1": L1()}[name.lower()]
    named = Threat(name, 8 / 255)
    assert named == Threat(norm, 8 / 255)
    assert stable(describe(named)) == stable(describe(Threat(norm, 8 / 255)))
    assert repr(named) == repr(Threat(norm, 8 / 255))


def test_an_unknown_norm_is_refused_with_the_nearest_known_name():
    with pytest.raises(InputError, match="did you mean 'linf'"):
        Threat("lin", 0.1)
