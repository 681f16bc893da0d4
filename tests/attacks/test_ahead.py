"""Queries asked ahead of their turn: the same search to the last bit, the same count, in fewer calls."""

import pytest
import torch

from networks import digits_network
from quantattack.attacks.base import batch_of
from quantattack.attacks.norms import L2, Linf
from quantattack.attacks.square import Square
from quantattack.attacks.threat import Threat
from quantattack.evaluation.models import CountedModel, Passes
from quantattack.rng import PLACES, Rng


class Alone(CountedModel):
    """Has no room for later queries."""

    def spare(self, rows):
        assert rows
        return 0


def searched(attack, count, kind=CountedModel):
    """What an attack finds on the first images, the passes counted, and the rows of each call."""
    network, images, labels = digits_network()
    calls = []

    def noted(x):
        calls.append(len(x))
        return network(x)

    model = kind(noted)
    trace = attack.trace(model, batch_of(images[:count], labels[:count]))
    return trace, model.passes.snapshot(), calls


@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize(
    "attack",
    [
        Square(threat=Threat(Linf(), 0.1), queries=150),
        Square(threat=Threat(Linf(), 0.1), queries=300, ties=True, patience=60, schedule=100),
        Square(threat=Threat(Linf(), 0.1, levels=17), queries=100, ties=True),
        Square(threat=Threat(L2(), 0.5), queries=150),
    ],
    ids=["published", "ties and patience", "on a grid", "l2"],
)
def test_the_search_is_the_same(attack, count):
    plain, expected, one_by_one = searched(attack, count, Alone)
    trace, passes, calls = searched(attack, count)
    assert torch.equal(trace.images, plain.images)
    assert trace.step.tolist() == plain.step.tolist()
    assert passes == expected
    assert set(calls) == {16}
    assert len(calls) < len(one_by_one)
    assert count > 1 or len(calls) < 0.4 * len(one_by_one)


def test_what_does_not_fit_beside_the_others_is_asked_in_its_turn():
    """Nine images leave room for seven rows of the sixteen."""
    attack = Square(threat=Threat(Linf(), 0.01), queries=20)
    assert searched(attack, 9)[2] == searched(attack, 9, Alone)[2] == [16] * 20


def test_rows_that_nobody_used_are_not_counted():
    model = CountedModel(lambda images: images.flatten(1), Passes())
    model.uncounted()(torch.rand(5, 3))
    assert model.passes.snapshot() == (0, 0)
    model.count(2)
    assert model.passes.snapshot() == (2, 0)
    assert [model.spare(rows) for rows in (1, 8, 16, 17)] == [15, 8, 0, 7]
    assert [CountedModel(torch.nn.Flatten(), rows=rows).spare(1) for rows in (0, 1, 4)] == [0, 0, 3]


def test_a_step_for_each_image_gives_the_numbers_of_that_step():
    rng, steps = Rng(3, torch.tensor([5, 5, 7])), torch.tensor([0, 12, 1000])
    together = rng.uniform(steps, PLACES, (4,))
    for row, step in enumerate(steps.tolist()):
        assert torch.equal(together[row], rng.uniform(step, PLACES, (4,))[row])
