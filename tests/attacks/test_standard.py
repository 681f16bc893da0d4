"""The suite: its members, what they cost, and that each attacks what is left."""

import re
from pathlib import Path

import pytest
import torch

from quantattack.attacks.base import passes
from quantattack.attacks.losses import log_odds
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import pgd
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.standard import far_passes, standard
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble
from quantattack.errors import InputError
from quantattack.evaluation.models import CountedModel

THREAT = Threat(Linf(), 8 / 255)
MEMBERS = ["pgd", "gap", "stripes", "square", "log_odds", "rivals", "close"]
FAR, NEAR, SPARSE = 118, 818, 1_718  # the last under L1


def test_the_members():
    assert list(standard(THREAT).attacks) == MEMBERS
    assert list(standard(Threat(L2(), 0.5)).attacks) == MEMBERS
    assert list(standard(Threat(L1(), 3.0)).attacks) == MEMBERS
    assert standard(THREAT).onward == ("square",)
    members = standard(THREAT).attacks
    assert members["pgd"] == pgd(THREAT)
    gap, rivals = members["gap"].attack, members["rivals"].attack
    close = members["close"].attack.attacks
    assert (gap.temperature, gap.loss, gap.progress) == (Gap(), log_odds, log_odds)
    assert gap.step_size(0) == 2 * THREAT.radius
    assert gap.step_size(19) == pytest.approx(2 * THREAT.radius / 20)
    assert [part.share for part in close["climb"].attack.attacks.values()] == [0.06, 0.05, 0.04, 0.01]
    assert [walk.steps for walk in rivals.attacks.values()] == [4] * 9 + [16] * 2


def test_pgd_is_a_control_that_the_ensemble_does_not_run():
    suite = standard(THREAT)
    assert suite.controls == ("pgd",)
    assert list(suite.members) == MEMBERS[1:]


def test_an_ensemble_of_controls_alone_is_refused():
    with pytest.raises(InputError, match="control"):
        Ensemble({"pgd": pgd(THREAT)}, controls=("pgd",))
    with pytest.raises(InputError, match="pgds"):
        Ensemble({"pgd": pgd(THREAT)}, controls=("pgds",))


def spent(attack, model, images, labels):
    host = CountedModel(model)
    attack(host, images, labels)
    return [count / len(images) for count in host.passes.snapshot()]


@pytest.mark.usefixtures("unchecked")
def test_its_cost_on_far_images_is_the_stated_one(network, images):
    """At a radius of nothing nobody is fooled and nobody comes close."""
    with torch.no_grad():
        labels = network(images).argmax(1)
    suite = standard(Threat(Linf(), 1e-7))
    forwards, backwards = spent(suite, network, images[:8], labels[:8])
    assert backwards == FAR
    assert forwards + backwards <= far_passes(suite, 10)
    assert far_passes(suite, 10) < passes(suite, 10) - 2 * (NEAR - FAR)
    assert f"costs {FAR} backward passes" in " ".join(standard.__doc__.split())


@pytest.mark.usefixtures("unchecked")
def test_its_cost_on_near_images_is_the_stated_one(network, images):
    """Alone, nothing is known of any image, and each part for close ones attacks all."""
    with torch.no_grad():
        labels = network(images).argmax(1)
    for norm, near in ((L2(), NEAR), (L1(), SPARSE)):
        suite = standard(Threat(norm, 1e-9))
        climb = suite.attacks["close"].attack.attacks["climb"].attack
        parts = [part.attack for part in climb.attacks.values()]
        spent_close = sum(spent(part, network, images[:2], labels[:2])[1] for part in parts)
        assert FAR + spent_close == near
        assert passes(suite, 10) >= FAR + near
    assert f"at most {NEAR} where it comes close, under L1 {SPARSE:,}" in " ".join(standard.__doc__.split())


def test_the_page_states_the_members_and_what_they_cost():
    page = (Path(__file__).parents[2] / "docs" / "standard.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert [name for name, _, _ in rows] == MEMBERS[1:]
    assert [sum(int(row[k]) for row in rows) for k in (1, 2)] == [FAR, NEAR]
    assert f"{FAR} backward passes" in page
    assert f"at most {NEAR}, under L1 {SPARSE:,}" in page


def test_what_is_broken_early_costs_little(network, images, labels):
    forwards, backwards = spent(standard(Threat(Linf(), 0.9)), network, images[2:], labels[2:])
    assert backwards < 20
    assert forwards < 30
