"""The suite that spends by closeness: its members and what it costs; the contracts run one like it."""

import re

import pytest
import torch

from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.thorough import thorough
from quantattack.attacks.threat import Threat
from quantattack.evaluation.models import CountedModel

MEMBERS = ["pgd", "gap", "square", "log_odds", "rivals", "close", "close_square"]


def test_the_members():
    for threat in (Threat(Linf(), 8 / 255), Threat(L2(), 0.5)):
        assert list(thorough(threat).attacks) == MEMBERS
        assert thorough(threat).onward == ("square", "close_square")
    assert list(thorough(Threat(L1(), 3.0)).attacks) == ["pgd", "gap", "log_odds", "rivals", "close"]
    assert thorough(Threat(L1(), 3.0)).onward == ()


def backwards(attack, model, images, labels):
    host = CountedModel(model)
    attack(host, images, labels)
    return host.passes.snapshot()[1] / len(images)


@pytest.mark.usefixtures("unchecked")
def test_its_cost_is_the_stated_one(network, images):
    """At a radius of nothing no margin falls: that is the cost of a far image.  Of a close one all members count."""
    with torch.no_grad():
        labels = network(images).argmax(1)
    stated = re.search(r"costs (\d+) backward passes .* at most (\d+) where", " ".join(thorough.__doc__.split()))
    far, near = map(int, stated.groups())
    suite = thorough(Threat(L1(), 1e-9))  # without Square, which would only cost time
    assert backwards(suite, network, images[:2], labels[:2]) == far == 138
    parts = [part.attack for part in suite.attacks["close"].attacks.values()]
    assert far + sum(backwards(part, network, images[:2], labels[:2]) for part in parts) == near == 888
