"""One image's numbers depend on the seed, its index, the restart, the step and the stream, and on nothing else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.threat import Threat
from quantattack.rng import NOISE, SIGNS, START, Rng

MANY = Rng(0, torch.arange(1000))


def test_the_bits_are_those_of_the_first_release():
    rng = Rng(7, torch.tensor([0, 1, 123456]), 2)
    table = [
        [7684638, 4313389, 8936081, 13888694],
        [3982493, 14632201, 16350173, 1091659],
        [6876599, 11466150, 5389749, 2214534],
    ]
    assert (rng.uniform(3, START, (4,)) * 2**24).tolist() == table
    normal = torch.tensor([[0.5870364905, -0.6777240634], [1.5561729670, 0.4337702990], [0.9019878507, -0.8529320955]])
    assert torch.allclose(rng.normal(3, START, (3,))[:, :2], normal, atol=1e-6)


def splitmix(word: int) -> int:
    """SplitMix64's finalizer in Python's integers."""
    word &= 2**64 - 1
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return word ^ (word >> 31)


@given(st.integers(-(2**63), 2**64 - 1), st.integers(0, 10**6), st.integers(0, 99), st.integers(0, 5000))
def test_the_tensors_hash_as_integers_do(seed, index, restart, step):
    golden, key = 0x9E3779B97F4A7C15, index
    for word in (seed, restart, step, SIGNS):
        key = splitmix(key ^ splitmix((word & (2**64 - 1)) + golden))
    expected = [splitmix(key + golden * count) >> 40 for count in (1, 2, 3)]
    found = Rng(seed, torch.tensor([index]), restart).uniform(step, SIGNS, (3,)) * 2**24
    assert found[0].long().tolist() == expected


@pytest.mark.parametrize("batch", [1, 7, 64, 500])
@pytest.mark.parametrize("norm", [Linf(), L2(), L1()], ids=lambda norm: type(norm).__name__)
def test_cutting_and_reordering_change_no_random_start(norm, batch):
    images = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    threat, everyone = Threat(norm, 0.3), Rng(3, torch.arange(500))
    whole = threat.sample(images, everyone)
    found = torch.empty_like(whole)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(batch))
    for part in torch.split(order, batch):
        found[part] = threat.sample(images[part], Rng(3, part))
    assert torch.equal(found, whole)
    assert threat.contains(whole, images, 0.0 if isinstance(norm, Linf) else 1e-6).all()
    assert (whole != images).flatten(1).any(1).all()


def test_keep_takes_the_numbers_along():
    rng, mask = Rng(1, torch.arange(6), 4), torch.tensor([True, False, True, True, False, False])
    assert torch.equal(rng.keep(mask).uniform(0, START, (5,)), rng.uniform(0, START, (5,))[mask])
    assert rng.keep(mask).restart == 4


def test_seeds_restarts_steps_and_streams_share_no_numbers():
    base = [Rng(0, torch.arange(100)), Rng(1, torch.arange(100)), Rng(0, torch.arange(100), 1)]
    draws = [rng.uniform(step, stream, (20,)) for rng in base for step in (0, 1) for stream in (START, NOISE)]
    for i, one in enumerate(draws):
        for other in draws[:i]:
            assert abs(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]) < 0.09  # 4 sigma
            assert (one == other).sum() <= 1
    assert torch.equal(base[0].restarted(1).uniform(0, START, (3,)), base[2].uniform(0, START, (3,)))


def test_uniform_numbers_are_uniform():
    draws = MANY.uniform(0, START, (10, 10))
    assert draws.shape == (1000, 10, 10)
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = torch.histc(draws, 16, 0, 1)
    assert ((counts - 6250) ** 2 / 6250).sum() < 44  # chi-squared, 15 degrees of freedom, 1 in 10,000
    flat = draws.flatten(1)
    assert flat.corrcoef().fill_diagonal_(0).abs().mean() < 0.1  # images with one another: 0.08 is expected
    assert flat.T.corrcoef().fill_diagonal_(0).abs().max() < 0.15  # pixels with one another, 4.5 sigma


def test_normal_numbers_are_normal():
    draws = MANY.normal(0, START, (100,)).double()
    assert abs(draws.mean()) < 0.013  # 4 sigma of 100,000
    assert abs(draws.var() - 1) < 0.018
    assert abs((draws**3).mean()) < 0.05
    assert abs((draws**4).mean() - 3) < 0.13
    assert draws.abs().max() < 6  # 24 bits reach 5.77
    assert torch.isfinite(draws).all()


def test_signs_are_even():
    signs = MANY.signs(0, SIGNS, (100,))
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.013


@pytest.mark.parametrize("high", [1, 2, 7])
def test_integers_cover_their_range_evenly(high):
    draws = MANY.integers(0, START, high)
    assert draws.dtype == torch.int64
    counts = torch.bincount(draws, minlength=high)
    assert len(counts) == high
    assert (counts - 1000 / high).abs().max() < 4 * (1000 / high) ** 0.5


def test_float64_numbers_are_the_float32_ones():
    rng = Rng(2, torch.arange(50))
    assert torch.equal(rng.uniform(1, 2, (9,), torch.float64).float(), rng.uniform(1, 2, (9,)))
    assert torch.equal(rng.uniform(1, 2, (9,), torch.float64), rng.uniform(1, 2, (9,)).double())
    assert torch.equal(rng.normal(1, 2, (9,), torch.float64).float(), rng.normal(1, 2, (9,)))


def test_no_images_draw_no_numbers():
    rng = Rng(0, torch.arange(0))
    assert rng.uniform(0, START, (1, 2, 3)).shape == (0, 1, 2, 3)
    assert rng.normal(0, START, (4,)).shape == (0, 4)
