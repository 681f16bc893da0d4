"""The suite: its members, what they cost, and that each attacks what is left."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from quantattack.attacks.losses import log_odds
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import pgd, square
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.standard import standard
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble
from quantattack.evaluation.models import CountedModel

THREAT = Threat(Linf(), 8 / 255)
MEMBERS = ["pgd", "gap", "log_odds", "rivals", "square"]


def test_the_members():
    assert list(standard(THREAT).attacks) == MEMBERS
    assert list(standard(Threat(L2(), 0.5)).attacks) == MEMBERS
    assert list(standard(Threat(L1(), 3.0)).attacks) == MEMBERS[:-1]
    assert standard(THREAT).onward == ("square",)
    assert standard(Threat(L1(), 3.0)).onward == ()
    members = standard(THREAT).attacks
    assert members["pgd"] == pgd(THREAT)
    assert members["square"] == square(THREAT, 2000, 500)
    assert (members["gap"].temperature, members["gap"].loss, members["gap"].progress) == (Gap(), log_odds, log_odds)
    assert members["gap"].step_size(0) == 2 * THREAT.radius
    assert members["gap"].step_size(49) == pytest.approx(2 * THREAT.radius / 50)
    assert (members["log_odds"].restarts, members["log_odds"].attack.steps) == (2, 75)
    assert len(members["rivals"].attacks) == 9


def passes(attack, model, images, labels):
    host = CountedModel(model)
    attack(host, images, labels)
    return [count / len(images) for count in host.passes.snapshot()]


@pytest.mark.usefixtures("unchecked")
def test_its_cost_is_the_stated_one_on_what_it_cannot_break(network, images):
    """At a radius of nothing nobody is fooled; the passes are those documented."""
    with torch.no_grad():
        labels = network(images).argmax(1)
    threat = Threat(Linf(), 1e-7)
    members = dict(standard(threat).attacks)
    members["square"] = replace(members["square"], patience=None)
    forwards, backwards = passes(Ensemble(members, ("square",)), network, images[:8], labels[:8])
    assert (forwards, backwards) == (2455, 418)
    stated = " ".join(standard.__doc__.split())
    assert f"{backwards:.0f} backward passes and at most {forwards:.0f} forward" in stated
    most, same = passes(standard(threat), network, images[:8], labels[:8])
    assert (same, most < forwards) == (backwards, True)


def test_the_page_states_the_members_and_what_they_cost():
    page = (Path(__file__).parents[2] / "docs" / "standard.md").read_text()
    page = page.split("## Deeper for less")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", page, re.MULTILINE))
    assert list(rows) == MEMBERS
    assert sum(map(int, rows.values())) == 418
    assert "418 backward and at most 2455 forward" in page


def test_what_is_broken_early_costs_little(network, images, labels):
    forwards, backwards = passes(standard(Threat(Linf(), 0.9)), network, images[2:], labels[2:])
    assert backwards < 20
    assert forwards < 30
