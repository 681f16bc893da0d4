"""Hill climbing: it crosses plateaus, keeps to its budget, and leaves slopes to others."""

import pytest
import torch

from networks import relu_network
from quantattack.attacks.base import batch_of, passes
from quantattack.attacks.hill_climbing import HillClimbing
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.evaluation.models import CountedModel
from quantattack.rng import Rng

THREAT = Threat(Linf(), 0.1)
CLEAN = torch.full((3, 1, 4, 4), 0.5)
LABELS = torch.zeros(3, dtype=torch.long)
CHECKERS = (torch.arange(4)[:, None] + torch.arange(4)) % 2 * 2 - 1.0


def counts(x, pattern, needed):
    """Signs that follow a pattern, by pairs: the margin falls only where all of a group of four do."""
    met = ((x - 0.5) * pattern > 0.05).flatten(1).reshape(-1, 4, 4).all(2).sum(1).float()
    return torch.stack([torch.full_like(met, needed - 0.5), met], 1)


def corner(x):
    """Wrong only where every pixel is at its own end of the ball: one corner of 65,536."""
    return counts(x, CHECKERS, 4)


def inner(x):
    """Wrong only where one pixel is inside the ball, not at its ends, and another is at an end."""
    delta = (x - 0.5).flatten(1)
    met = ((delta[:, 0].abs() < 0.05) & (delta[:, 0].abs() > 0.01)).float() + (delta[:, 5] > 0.09)
    return torch.stack([torch.full_like(met, 1.5), met], 1)


def attack(queries=8000, **more):
    return HillClimbing(threat=THREAT, queries=queries, **more)


@pytest.mark.parametrize("model", [corner, inner])
def test_the_one_region_behind_a_plateau_is_found(model):
    found = attack()(model, CLEAN, LABELS)
    assert (model(found).argmax(1) == 1).all()
    assert THREAT.contains(found, CLEAN, 1e-6).all()
    if model is corner:
        assert torch.equal((found - CLEAN).sign(), CHECKERS.expand_as(CLEAN))


def test_an_image_gets_the_same_alone_and_in_any_order():
    model, search = corner, attack(400)
    together = search.trace(model, batch_of(CLEAN, LABELS, rng=Rng(0, torch.tensor([7, 8, 9]))))
    for rows in ([0], [1], [2], [2, 0, 1]):
        batch = batch_of(CLEAN[rows], LABELS[rows], rng=Rng(0, torch.tensor([7, 8, 9])[rows]))
        apart = search.trace(model, batch)
        assert torch.equal(apart.images, together.images[rows])
        assert torch.equal(apart.step, together.step[rows])


def test_slopes_are_left_after_the_trial_and_the_start_is_returned():
    network = CountedModel(relu_network(0, (1, 4, 4)))
    labels = network.model(CLEAN).argmax(1)
    tiny, start = Threat(Linf(), 1e-3), CLEAN + 5e-4
    search = HillClimbing(threat=tiny)
    found = search(network, CLEAN, labels, start=start)
    assert torch.equal(found, start)
    assert network.passes.snapshot() == (9 * 8 * len(CLEAN), 0)


@pytest.mark.parametrize(("queries", "chains"), [(100, 16), (7, 1), (16, 16)])
def test_the_budget_is_kept(queries, chains):
    def never(x):
        return torch.stack([x.flatten(1).sum(1) * 0 + 1, x.flatten(1).sum(1) * 0], 1)

    model, search = CountedModel(never), attack(queries, chains=chains)
    search(model, CLEAN, LABELS)
    assert model.passes.snapshot() == (queries // chains * chains * len(CLEAN), 0)
    assert passes(search, 10) == queries


def test_what_the_start_fools_costs_one_round():
    network = CountedModel(corner)
    trace = attack().trace(network, batch_of(CLEAN, LABELS, start=CLEAN + 0.1 * CHECKERS))
    assert (trace.step == 0).all()
    assert network.passes.snapshot() == (8 * len(CLEAN), 0)


def test_proposals_are_on_the_grid_and_within_the_pixels_own_radii():
    threat = Threat(Linf(), torch.linspace(0.05, 0.2, 16).reshape(1, 4, 4), levels=256)
    clean, asked = torch.full((2, 1, 4, 4), 128 / 255), []

    def never(x):
        asked.append(x)
        return torch.tensor([1.0, 0.0]).repeat(len(x), 1)

    HillClimbing(threat=threat, queries=80)(never, clean, LABELS[:2])
    assert len(asked) == 10
    for images in asked:
        assert threat.contains(images, clean[:1].expand_as(images)).all()
    assert (torch.cat(asked) != clean[0]).any(0).all()


@pytest.mark.parametrize("norm", [L1(), L2()])
def test_other_norms_are_refused(norm):
    with pytest.raises(InputError, match="linf"):
        HillClimbing(threat=Threat(norm, 0.5))


@pytest.mark.parametrize("settings", [{"queries": 0}, {"chains": 0}, {"queries": 9, "chains": 10}])
def test_settings_that_ask_nothing_are_refused(settings):
    with pytest.raises(InputError):
        HillClimbing(threat=THREAT, **settings)
