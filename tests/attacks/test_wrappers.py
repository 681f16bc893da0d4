"""Attacks made of attacks: they attack what is left, merge image by image, and number their restarts."""

import copy

import pytest
import torch

from networks import Times, relu_network
from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Trace, Traits, attacked_images, batch_of
from quantattack.attacks.losses import cross_entropy, log_odds, margin, targeted
from quantattack.attacks.norms import Linf
from quantattack.attacks.reached import Reached
from quantattack.attacks.recipes import fgsm, pgd, square
from quantattack.attacks.success import hits
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import AgainstRival, Ensemble, InFloat64, Restarts, Transfer
from quantattack.errors import InputError
from quantattack.rng import Rng

THREAT = Threat(Linf(), 8 / 255)


class Spy:
    """An attack that breaks what it is told to, by painting pixel 0, and remembers what it was given."""

    def __init__(self, breaks, step=5):
        self.breaks, self.step, self.seen = set(breaks), step, []

    __call__ = attacked_images
    traits = Traits()

    def passes(self, classes):
        return 0

    def to_the_end(self):
        return self

    def trace(self, model, batch):
        rng, clean = batch.rng, batch.images
        self.seen.append((rng.index.tolist(), rng.restart, batch.start, batch.radius))
        images = clean.clone()
        hit = torch.tensor([i in self.breaks for i in rng.index.tolist()])
        images[hit, 0] = 1.0
        images[~hit, 1] = 0.01 * (rng.restart + 1)
        return Trace(images, torch.full((len(clean),), self.step), torch.zeros(len(clean), dtype=torch.long))


def painted(images):
    """Class 1 where pixel 0 is painted."""
    return torch.stack([torch.full_like(images[:, 0], 0.5), images[:, 0]], 1)


ZEROS, TRUE = torch.zeros(6, 3), torch.zeros(6, dtype=torch.long)


def test_each_member_attacks_only_what_the_earlier_ones_left():
    a, b, c = Spy([0, 3], 1), Spy([3, 4], 2), Spy([1], 3)
    attack = Ensemble({"a": a, "b": b, "c": c})
    rng = Rng(0, torch.tensor([5, 4, 3, 2, 1, 0]))
    found = attack.trace(painted, batch_of(ZEROS, TRUE, rng=rng))
    assert [spy.seen[0][0] for spy in (a, b, c)] == [[5, 4, 3, 2, 1, 0], [5, 4, 2, 1], [5, 2, 1]]
    assert found.step.tolist() == [3, 2, 1, 3, 3, 1]
    assert (painted(found.images).argmax(1) == 1).tolist() == [False, True, True, False, True, True]
    assert torch.equal(attack(painted, ZEROS, TRUE, rng=rng), found.images)


def test_members_behind_the_last_success_are_not_run():
    a, b = Spy(range(6)), Spy([])
    Ensemble({"a": a, "b": b})(painted, ZEROS, TRUE)
    assert b.seen == []


def test_start_and_radius_go_along_with_their_images():
    a, b = Spy([0, 2]), Spy([])
    start, radius = torch.rand(6, 3), torch.rand(6)
    Ensemble({"a": a, "b": b})(painted, ZEROS, TRUE, start=start, radius=radius)
    left = torch.tensor([1, 3, 4, 5])
    assert torch.equal(b.seen[0][2], start[left])
    assert torch.equal(b.seen[0][3], radius[left])


def test_restarts_number_their_runs_and_attack_what_is_left():
    spy = Spy([])
    found = Restarts(spy, 3).trace(painted, batch_of(ZEROS, TRUE))
    assert [seen[1] for seen in spy.seen] == [0, 1, 2]
    assert (found.restart == 2).all()
    assert torch.allclose(found.images[:, 1], torch.tensor(0.03))
    outer = Spy([])
    Restarts(Restarts(outer, 2), 3)(painted, ZEROS, TRUE)
    assert [seen[1] for seen in outer.seen] == [0, 1, 2, 3, 4, 5]


def test_restarts_tell_which_run_fooled(network, images, labels):
    counted = []

    def model(x):
        counted.append(len(x))
        return network(x)

    attack = Restarts(pgd(THREAT, steps=3, loss=log_odds), 4)
    found = attack.trace(model, batch_of(images, labels))
    rng = Rng(0, torch.arange(24))
    wrong = torch.stack(
        [
            network(attack.attack(network, images, labels, rng=rng.restarted(run))).argmax(1) != labels
            for run in range(4)
        ]
    )
    first = torch.where(wrong.any(0), wrong.int().argmax(0), 3)
    assert torch.equal(found.restart, first)
    assert torch.equal(network(found.images).argmax(1) != labels, wrong.any(0))
    runs = [int((first >= run).sum()) for run in range(4)]
    assert counted[0] == runs[0] == 24
    assert max(counted[5:]) <= max(runs[1:])


def test_the_order_of_members_changes_no_verdict(network, images, labels):
    members = {"a": pgd(THREAT, steps=4), "b": square(THREAT, 30), "c": fgsm(THREAT, loss=log_odds)}
    either = Ensemble(members)(network, images, labels)
    other = Ensemble(dict(reversed(members.items())))(network, images, labels)
    broken = [network(x).argmax(1) != labels for x in (either, other)]
    assert torch.equal(*broken)
    alone = [network(attack(network, images, labels)).argmax(1) != labels for attack in members.values()]
    assert torch.equal(broken[0], torch.stack(alone).any(0))


def test_success_of_a_targeted_attack_is_a_hit(network, images, labels):
    targets = network(images).topk(2, dim=1).indices[:, 1]
    walk = Ascent(threat=Threat(Linf(), 0.1), step_size=0.02, steps=5, loss=targeted(cross_entropy), solved=hits)
    for attack in (Restarts(walk, 6), Ensemble({"a": walk, "b": Restarts(walk, 5)}), InFloat64(Restarts(walk, 6))):
        found = attack(network, images, targets)
        once = walk(network, images, targets)
        assert ((network(found).argmax(1) == targets) >= (network(once).argmax(1) == targets)).all()
        assert (network(found).argmax(1) == targets).sum() > 0


def test_transfer_asks_nothing_of_the_judged_model(images, labels):
    source = relu_network(0, (1, 4, 4))

    def judged(x):
        raise AssertionError("the judged model was asked")

    found = Transfer(pgd(THREAT), source)(judged, images, labels)
    published = Ascent(threat=THREAT, step_size=THREAT.radius / 4, steps=20, last_iterate=True)
    assert torch.equal(found, published(source, images, labels))  # walks on after the source is fooled
    assert torch.equal(
        Transfer(square(THREAT, 5), source)(judged, images, labels), square(THREAT, 5)(source, images, labels)
    )


def test_transfer_walks_on_through_restarts(images, labels):
    """An image that only just fools the source seldom fools another model, restarts or none."""
    source = relu_network(0, (1, 4, 4))
    found = Transfer(pgd(Threat(Linf(), 0.1), restarts=2), source)(source, images, labels)
    single = Transfer(pgd(Threat(Linf(), 0.1)), source)(source, images, labels)
    fooled = source(single).argmax(1) != labels
    assert torch.equal(found[fooled], single[fooled])


def test_float64_sees_the_gradient_that_float32_loses(digits):
    model, images, labels = digits
    sharp, threat = Times(model, 20.0), Threat(Linf(), 0.1)
    before = copy.deepcopy(sharp.state_dict())
    plain, exact = (attack(sharp, images, labels) for attack in (pgd(threat), InFloat64(pgd(threat))))
    robust = [(sharp(x).argmax(1) == labels).float().mean().item() for x in (plain, exact)]
    assert exact.dtype == torch.float32
    assert robust[1] < robust[0] - 0.1
    assert all(torch.equal(value, before[name]) for name, value in sharp.state_dict().items())
    assert all(parameter.dtype == torch.float32 for parameter in sharp.parameters())
    with pytest.raises(InputError, match=r"torch\.nn\.Module"):
        InFloat64(pgd(threat))(lambda x: sharp(x), images, labels)


def test_a_member_that_goes_on_starts_where_the_others_came_closest():
    """Each of two members comes closer on some images; what is broken is not handed on."""

    class Dim(Spy):
        def __init__(self, values):
            super().__init__([])
            self.values = torch.tensor(values)

        def trace(self, model, batch):
            found = super().trace(model, batch)
            found.images[:, 0] = self.values[batch.rng.index]
            return found

    a, b, c = Dim([0.1, 0.4, 0.9, 0.2]), Dim([0.3, 0.2, 0.0, 0.2]), Spy([])
    Ensemble({"a": a, "b": b, "c": c}, onward=("c",))(painted, ZEROS[:4], TRUE[:4])
    assert [spy.seen[0][2] for spy in (a, b)] == [None, None]
    assert torch.allclose(c.seen[0][2][:, 0], torch.tensor([0.3, 0.4, 0.2]))


def test_toward_a_target_the_closest_is_the_one_with_the_smallest_margin():
    targets, found = torch.ones(2, dtype=torch.long), None
    for shade in (0.1, 0.4, 0.2):
        images = torch.full((2, 3), shade)
        reached = Reached.by(hits, images, painted(images), targets)
        found = reached if found is None else found.joined(reached)
    assert torch.allclose(found.images, torch.full((2, 3), 0.4))


def test_a_first_member_that_goes_on_has_nothing_to_start_from():
    a = Spy([])
    Ensemble({"a": a}, onward=("a",))(painted, ZEROS, TRUE)
    assert a.seen[0][2] is None


def test_an_unknown_member_that_goes_on_is_refused():
    with pytest.raises(InputError, match="squares"):
        Ensemble({"square": square(THREAT)}, onward=("squares",))


@pytest.mark.parametrize("restarts", [0, -1, True])
def test_no_restart_is_refused(restarts):
    with pytest.raises(InputError, match="restarts"):
        Restarts(fgsm(THREAT), restarts)


def test_strongest_of_nothing_is_refused():
    with pytest.raises(InputError, match="at least one"):
        Ensemble({})


def test_against_a_rival_the_attack_receives_the_class_that_is_rank_th_behind(network, images, labels):
    seen = []

    def attack(model, clean, targets):
        seen.append(targets)
        return clean.clone()

    order = network(images).scatter(1, labels[:, None], torch.inf).argsort(1, descending=True)
    for rank, place in ((1, 1), (4, 4), (99, 9)):
        AgainstRival(attack, rank)(network, images, labels)
        assert torch.equal(seen[-1], order[:, place])


def test_against_a_rival_any_wrong_class_is_a_success_and_the_target_is_what_is_climbed(digits):
    model, images, labels = digits
    threat = Threat(Linf(), 0.25)
    walk = Ascent(threat=threat, step_size=threat.radius / 4, steps=20, loss=targeted(margin), solved=hits)
    with torch.no_grad():
        second = model(images).scatter(1, labels[:, None], -torch.inf).argmax(1)
    found = AgainstRival(walk, 1)(model, images, labels)
    assert ((model(found).argmax(1) == second).float().mean()) > 0.5
    merged = Ensemble({"one": AgainstRival(walk, 1), "two": AgainstRival(walk, 2)})(model, images, labels)
    broken = [model(part).argmax(1) != labels for part in (found, merged)]
    assert (broken[1] >= broken[0]).all()


def test_against_a_rival_an_untargeted_attack_is_refused():
    with pytest.raises(InputError, match="solved=hits"):
        AgainstRival(Restarts(pgd(THREAT), 2), 1)
    with pytest.raises(InputError, match="rank"):
        AgainstRival(lambda *given: given[1], 0)
