"""Squeezed searches: the radii in turn, what is handed on, and what a wider ball makes reachable under L1."""

from dataclasses import dataclass, field

import pytest
import torch

from networks import linear_model
from quantattack.attacks.apgd import Apgd
from quantattack.attacks.base import attacked_images, batch_of, passes, traits_around, without_steps
from quantattack.attacks.losses import margin
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import LinearDecay, pgd
from quantattack.attacks.squeezed import Squeezed
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError

THREAT = Threat(L1(), 1.0)
CLEAN, LABELS = torch.full((2, 1, 4, 4), 0.5), torch.zeros(2, dtype=torch.long)


def never(x):
    return torch.tensor([1.0, 0.0]).repeat(len(x), 1)


@dataclass(frozen=True)
class Noting:
    """Returns its start, one brighter pixel in it, and notes the radii and starts that it was handed."""

    seen: list = field(default_factory=list)
    __call__ = attacked_images

    def trace(self, model, batch):
        self.seen.append((batch.radius, batch.start))
        images = (batch.images if batch.start is None else batch.start).clone()
        images[:, 0, 0, len(self.seen) % 4] = 0.9
        return without_steps(images)

    @property
    def traits(self):
        return traits_around(pgd(THREAT))

    def passes(self, classes):
        return 7

    def to_the_end(self):
        return self


def test_the_radii_fall_and_each_run_starts_where_the_last_ended():
    inner, finish = Noting(), Noting()
    attack = Squeezed(inner, THREAT, finish, (3, 2))
    found = attack.trace(never, batch_of(CLEAN, LABELS))
    radii = [THREAT.radius if radius is None else radius.tolist() for radius, _ in inner.seen]
    assert radii == [[3.0, 3.0], [2.0, 2.0], 1.0]
    starts = [start for _, start in inner.seen]
    assert starts[0] is None
    assert [int((start != CLEAN).sum()) for start in starts[1:]] == [2, 4]
    assert finish.seen[0][0] is None
    assert int((finish.seen[0][1] != CLEAN).sum()) == 6
    assert torch.equal(found.images[:, 0, 0, 1], torch.full((2,), 0.9))
    assert passes(attack, 10) == 3 * 7 + 7 + 1


def test_own_radii_of_images_are_widened_too():
    inner = Noting()
    radius = torch.tensor([0.5, 0.25], dtype=torch.float64)
    Squeezed(inner, THREAT, Noting(), (2,)).trace(never, batch_of(CLEAN, LABELS, radius=radius))
    assert [seen.tolist() for seen, _ in inner.seen] == [[1.0, 0.5], [0.5, 0.25]]


def test_what_the_last_run_solved_is_not_finished():
    def solved(x):
        return torch.stack([torch.zeros(len(x)), torch.tensor([1.0, -1.0])[: len(x)]], 1)

    finish, clean = Noting([None, None]), CLEAN * torch.tensor([1.0, 0.5]).view(2, 1, 1, 1)
    found = Squeezed(Noting(), THREAT, finish, (2,)).trace(solved, batch_of(clean, LABELS))
    (_, start), *others = finish.seen[2:]
    assert not others
    assert start.flatten(1)[:, -1].tolist() == [0.25]  # the second image, which is not solved
    assert (found.images[0, 0, 0] == 0.9).tolist() == [False, True, True, False]
    assert (found.images[1, 0, 0] == 0.9).tolist() == [
        False,
        True,
        True,
        True,
    ]  # the last pixel by the one that finishes
    assert torch.equal(found.images[1, 0, 1:], clean[1, 0, 1:])


@pytest.mark.parametrize("norm", [L1(), L2(), Linf()])
def test_the_optimum_of_a_linear_model_is_reached(norm):
    model = linear_model(0, (1, 4, 4))
    threat = Threat(norm, 0.1 if norm == Linf() else 0.4)
    walk = Apgd(threat=threat, steps=40, loss=margin)
    finish = Apgd(threat=threat, steps=60, loss=margin, step_size=LinearDecay(threat.radius, 60), along=L2())
    found = Squeezed(walk, threat, finish)(model, CLEAN, LABELS)
    assert threat.contains(found, CLEAN, 1e-6).all()
    best = threat.project(CLEAN + 1e3 * threat.norm.steepest(model.ascent.reshape(1, 1, 4, 4).expand_as(CLEAN)), CLEAN)
    assert (margin(model(found), LABELS) >= margin(model(best), LABELS) - 1e-3).all()


@pytest.mark.usefixtures("unchecked")
def test_along_is_a_norm():
    with pytest.raises(InputError, match="norm"):
        Apgd(threat=THREAT, along="l2", step_size=LinearDecay(0.1, 10))


def test_along_another_norm_needs_step_sizes():
    with pytest.raises(InputError, match="step_size"):
        Apgd(threat=THREAT, along=L2())


def test_steps_along_l2_move_many_pixels_under_l1():
    model = linear_model(0, (1, 4, 4))
    sizes = LinearDecay(0.2, 1)
    greedy = Apgd(threat=THREAT, steps=1, loss=margin, step_size=sizes)(model, CLEAN, LABELS, start=CLEAN)
    spread = Apgd(threat=THREAT, steps=1, loss=margin, step_size=sizes, along=L2())(model, CLEAN, LABELS, start=CLEAN)
    assert ((greedy != CLEAN).flatten(1).sum(1) == 1).all()
    assert ((spread != CLEAN).flatten(1).sum(1) > 8).all()
    gradient = model.ascent.reshape(1, 1, 4, 4).expand_as(CLEAN)
    torch.testing.assert_close(spread, CLEAN + 0.2 * gradient / gradient[0].norm())


@pytest.mark.parametrize("factors", [(1,), (2, 3), (2, 2), (0.5,), (3, 1)])
def test_factors_that_do_not_fall_to_the_radius_are_refused(factors):
    with pytest.raises(InputError, match="factors"):
        Squeezed(pgd(THREAT), THREAT, pgd(THREAT), factors)
