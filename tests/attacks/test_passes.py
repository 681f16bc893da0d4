"""What an attack states as its cost is what it costs at most, measured on every member of the contract list."""

from pathlib import Path

import pytest
import torch
from torch import nn

from contracts import ATTACKS, STEPS, THREATS
from networks import relu_network
from quantattack.attacks.base import UNKNOWN_PASSES, Batch, adopt, batch_of, needs_all, passes, refills, search
from quantattack.attacks.eot import Eot
from quantattack.attacks.minimum_norm import MinimumNorm
from quantattack.attacks.recipes import apgd_targeted, daa_blob, fgsm, fgsm_plus, pgd, pgd_plus, square
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.logits import OnScaled
from quantattack.attacks.standard import far_passes, standard
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble, Restarts, Transfer
from quantattack.evaluation.models import CountedModel
from quantattack.rng import Rng

CLASSES = 10
TINY = Threat("linf", 1e-6)  # fools nobody: every image walks all its steps


def spent(attack, network: nn.Module, images, labels) -> float:
    """Forward and backward passes, an image."""
    model = CountedModel(network)
    attack(model, images, labels)
    return sum(model.passes.snapshot()) / len(images)


@pytest.mark.parametrize(
    ("member", "norm"),
    [
        pytest.param(member, norm, id=f"{member.name}-{type(norm).__name__}")
        for member in ATTACKS
        for norm in (threat.norm for threat in THREATS)
        if type(norm) in member.norms and member.general
    ],
)
def test_no_member_of_the_contracts_costs_more_than_it_states(member, norm, network, images, labels):
    threat = Threat(norm, 1e-6)
    model, right = CountedModel(network), labels.clone()
    right[:2] = network(images[:2]).argmax(1)
    attack = member.make(threat, model, images, STEPS)
    begun = sum(model.passes.snapshot())
    attack(model, images, right)
    cost = (sum(model.passes.snapshot()) - begun) / len(images)
    assert cost <= passes(attack, CLASSES)
    assert cost >= passes(attack, CLASSES) / 2  # the bound is no empty one


@pytest.mark.parametrize(
    "attack",
    [
        Eot(pgd(TINY, steps=3), 5),
        Eot(fgsm_plus(TINY, Hns()), 3),
        Restarts(pgd_plus(TINY, Hns(), steps=2), 3),
        MinimumNorm(pgd(TINY, steps=2), TINY, 4),
        MinimumNorm(Eot(Restarts(fgsm(TINY), 2), 2), TINY, 4),
        Ensemble({"eot": Eot(fgsm(TINY), 4), "square": square(TINY, 9)}, onward=("square",)),
        OnScaled(pgd(TINY, steps=3), Gap()),
        OnScaled(pgd(TINY, steps=3), Hns()),
        apgd_targeted(TINY, rivals=3, steps=4),
        daa_blob(TINY, steps=25, particles=5),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_the_bound_holds_through_wrappers(attack, network, images, labels):
    labels = torch.where(labels == network(images).argmax(1), labels, network(images).argmax(1))
    assert spent(attack, network, images, labels) <= passes(attack, CLASSES)


def test_the_cost_of_a_source_is_counted(images, labels):
    source = CountedModel(relu_network(0, (1, 4, 4)))
    attack = Transfer(Restarts(pgd(TINY, steps=4), 2), source)
    attack(lambda x: x, images, labels)
    assert sum(source.passes.snapshot()) / len(images) <= passes(attack, CLASSES)


def test_the_standard_suite_states_the_cost_of_its_page():
    suite, page = standard(Threat("linf", 0.1)), (Path(__file__).parents[2] / "docs" / "standard.md").read_text()
    far, near = far_passes(suite, CLASSES), passes(suite, CLASSES)  # backward and forward passes
    words = " ".join(page.split())
    assert f"takes at most {far:,} passes of both kinds, and one that comes close at most {near:,}." in words


def test_a_plain_callable_is_adopted_with_what_holds_for_any(network, images, labels):
    def brighter(model, clean, labels):
        return (clean + 0.01).clamp(0, 1)

    adopted = adopt(brighter)
    assert adopt(adopted) is adopted
    assert not needs_all(brighter)
    assert not refills(brighter)
    assert passes(brighter, CLASSES) == UNKNOWN_PASSES
    traced = search(brighter, network, batch_of(images, labels))
    assert torch.equal(traced.images, brighter(network, images, labels))
    assert (traced.step == -1).all()
    assert torch.equal(adopted(network, images, labels), traced.images)


@pytest.mark.parametrize(
    "attack",
    [
        pgd(TINY, steps=2),
        square(TINY, 3),
        fgsm_plus(TINY, Hns()),
        Eot(pgd(TINY, steps=2), 2),
        Restarts(fgsm(TINY), 2),
        apgd_targeted(TINY, rivals=2, steps=2),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_an_attack_that_refills_shows_no_more_rows_at_once_than_it_is_told(attack, network, images, labels):
    rows = []

    class Watched(nn.Module):
        def forward(self, x):
            rows.append(len(x))
            return network(x)

    assert refills(attack)
    search(attack, Watched(), Batch(images, labels, Rng(0, torch.arange(len(images))), at_once=8))
    assert max(rows) == 8


def test_what_moves_images_together_needs_them_all():
    attack = daa_blob(TINY, steps=2, particles=5, restarts=2)
    assert needs_all(attack)
    assert not refills(attack)
    assert not needs_all(standard(Threat("linf", 0.1)))
