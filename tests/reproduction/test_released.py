"""The released L2 attack: each of its ways is there, and each is what sets it apart from PGD under L2."""

import pytest
import torch

from quantattack.attacks.norms import L2
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.errors import InputError
from quantattack.reproduction.gupta2022.released import ReleasedL2, float32_normalized, released_threat
from quantattack.rng import Rng


def attack(**parts):
    return ReleasedL2(**{"radius": 0.1, "step_size": 0.05, "steps": 4, "std": (0.2, 0.3, 0.4), **parts})


class Linear(torch.nn.Module):
    """Two classes, whose loss has the same direction at every pixel; it remembers where it was looked at."""

    def __init__(self, slope):
        super().__init__()
        self.slope, self.seen = slope, []

    def forward(self, images):
        self.seen.append(images.detach().clone())
        score = (images * self.slope).flatten(1).sum(1)
        return torch.stack([-score, score], 1)


@pytest.fixture
def clean():
    return torch.full((2, 3, 4, 4), 0.5)


def test_each_channel_has_its_own_ball(clean):
    model = Linear(torch.ones(1, 3, 1, 1))
    delta = attack(steps=20)(model, clean, torch.tensor([0, 0])) - clean
    sizes = delta.flatten(2).norm(dim=2)
    assert torch.allclose(sizes, torch.full_like(sizes, 0.1), atol=1e-6)
    whole = delta.flatten(1).norm(dim=1)
    assert torch.allclose(whole, torch.full_like(whole, 0.1 * 3**0.5), atol=1e-6)
    assert bool(released_threat(0.1, 3).contains(clean + delta, clean, 1e-5).all())


def test_a_step_is_longer_in_channels_of_large_deviation(clean):
    model = Linear(torch.ones(1, 3, 1, 1))
    delta = attack(steps=1)(model, clean, torch.tensor([0, 0])) - clean
    sizes = delta.flatten(2).norm(dim=2)[0]
    assert torch.allclose(sizes, 0.05 * torch.tensor([0.2, 0.3, 0.4]) / torch.tensor([0.2, 0.3, 0.4]).norm(), atol=1e-6)


def test_a_gradient_below_the_floor_takes_a_shrunken_step(clean):
    def moved(slope, **parts):
        return float(
            (
                attack(steps=1, **parts)(Linear(torch.full((1, 3, 1, 1), slope)), clean, torch.tensor([0, 0])) - clean
            ).norm()
        )

    assert moved(1.0) == pytest.approx(0.05 * 2**0.5, rel=1e-4)
    # a mean over 128 images of a gradient of 1e-5 in each of 48 pixels is under the floor of 1e-6
    size = 1e-5 * (16 * (0.2**2 + 0.3**2 + 0.4**2)) ** 0.5 / 128
    assert size < 1e-6
    assert moved(1e-5) == pytest.approx(0.05 * 2**0.5 * size / 1e-6, rel=0.02)
    assert moved(1e-5, floor=1e-12) == pytest.approx(0.05 * 2**0.5, rel=1e-2)


def test_it_looks_at_twice_the_perturbation_and_leaves_its_random_start(clean):
    model = Linear(torch.ones(1, 3, 1, 1))
    attack(steps=3)(model, clean, torch.tensor([0, 0]), rng=Rng(0, torch.arange(2)))
    first, second, third = model.seen[-3:]
    assert torch.allclose((first - clean).flatten(2).norm(dim=2), torch.tensor(0.1), atol=1e-6)  # on the sphere
    step = (second - clean) / 2
    assert torch.allclose(third - clean, 4 * step, atol=1e-6)  # two steps, twice
    assert float(step.flatten(1).norm(dim=1)[0]) == pytest.approx(0.05, rel=1e-4)


def test_the_same_numbers_whatever_the_batch(clean):
    images = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    model, labels = (
        Linear(torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(1))),
        torch.tensor([0, 1, 0, 1]),
    )
    whole = attack()(model, images, labels, rng=Rng(5, torch.arange(4)))
    parts = [
        attack()(model, images[at : at + 1], labels[at : at + 1], rng=Rng(5, torch.tensor([at]))) for at in range(4)
    ]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-6)
    assert attack()(model, images[:0], labels[:0]).shape == (0, 3, 4, 4)


def test_no_steps_are_refused():
    with pytest.raises(InputError, match="steps must be a whole number"):
        attack(steps=0)


def test_a_temperature_wakes_a_saturated_image(clean):
    """At a slope of 100 the cross entropy's gradient is 0 in float32; a small beta leaves one."""
    model, labels = Linear(torch.full((1, 3, 1, 1), 100.0)), torch.tensor([1, 1])
    frozen = attack(steps=2)(model, clean, labels) - clean
    moved = attack(steps=2, temperature=Fixed(1e-4))(model, clean, labels) - clean
    assert float(frozen.abs().max()) == 0
    assert float(moved.flatten(1).norm(dim=1).min()) > 0.05


def test_a_norm_in_float32_underflows_where_the_exact_one_does_not():
    grad = torch.ones(3, 2, 4, 4) * torch.tensor([1.0, 1e-10, 1e-25]).reshape(3, 1, 1, 1)
    usual, exact = (step.flatten(1).norm(dim=1) for step in (float32_normalized(grad, L2()), L2().steepest(grad)))
    assert torch.allclose(exact, torch.ones(3))
    assert torch.allclose(usual[:2], torch.ones(2))
    assert float(usual[2]) < 1e-6  # 1e-25 over a norm of 0, kept at 1e-12
