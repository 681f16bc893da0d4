"""Queries asked ahead of their turn: the same search to the last bit, the same count, in fewer calls."""

from dataclasses import replace

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


def searched(attack, count, kind=CountedModel, **settings):
    """What an attack finds on the first images, the passes counted, and the rows of each call."""
    network, images, labels = digits_network()
    calls = []

    def noted(x):
        calls.append(len(x))
        return network(x)

    model = kind(noted)
    trace = attack.trace(model, replace(batch_of(images[:count], labels[:count]), **settings))
    return trace, model.passes.snapshot(), calls


@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize(
    "attack",
    [
        Square(threat=Threat(Linf(), 0.1), queries=150),
        Square(threat=Threat(Linf(), 0.1), queries=300, ties=True, patience=60, schedule=100),
        Square(threat=Threat(Linf(), 0.1, levels=17), queries=100, ties=True),
        Square(threat=Threat(L2(), 0.5), queries=150),
        Square(threat=Threat(L2(), 0.5, levels=17), queries=100, ties=True),
        Square(threat=Threat(Linf(), 0.1), queries=100, schedule=10),
    ],
    ids=["published", "ties and patience", "on a grid", "l2", "l2 on a grid", "a fast schedule"],
)
def test_the_search_is_the_same(attack, count):
    plain, expected, one_by_one = searched(attack, count, Alone)
    trace, passes, calls = searched(attack, count)
    assert torch.equal(trace.images, plain.images)
    assert trace.step.tolist() == plain.step.tolist()
    assert passes == expected
    assert set(calls) == {16}
    assert len(calls) < len(one_by_one)
    assert attack.ties or count > 1 or len(calls) < 0.6 * len(one_by_one)


@pytest.mark.parametrize("settings", [{"at_once": 1}, {"radius": torch.tensor([0.02, 0.1, 0.05])}])
def test_a_batch_s_own_limits_and_radii_are_kept(settings):
    attack = Square(threat=Threat(Linf(), 0.1), queries=100)
    plain, _, one_by_one = searched(attack, 3, Alone, **settings)
    trace, _, calls = searched(attack, 3, **settings)
    assert torch.equal(trace.images, plain.images)
    assert set(calls) == {16}
    assert len(calls) < len(one_by_one)


def test_a_wrapper_that_changes_the_images_is_asked_itself():
    """It hands the attributes of the model inside on, which would pass by what it does."""
    network, images, labels = digits_network()
    asked = []

    class Inverted:
        def __init__(self, inside):
            self.inside = inside

        def __getattr__(self, name):
            return getattr(self.inside, name)

        def __call__(self, x):
            asked.append(len(x))
            return self.inside(1 - x)

    Square(threat=Threat(Linf(), 0.01), queries=20)(Inverted(CountedModel(network)), 1 - images[:2], labels[:2])
    assert sum(asked) == 40


def test_where_everything_is_kept_nothing_is_asked_ahead():
    """Each proposal ties, and a tie is kept."""
    rows = []

    def constant(x):
        rows.append(len(x))
        return torch.eye(10)[[0]].repeat(len(x), 1)

    images = digits_network()[1]
    Square(threat=Threat(Linf(), 0.1), queries=30, ties=True)(
        CountedModel(constant), images[:2], torch.zeros(2, dtype=torch.long)
    )
    assert rows == [16] * 31  # the clean images are asked, too


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
