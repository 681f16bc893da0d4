"""APGD against the published control, written out for one image."""

import copy
from itertools import pairwise

import pytest
import torch

import quantattack as qa
from quantattack.attacks.apgd import Apgd, checkpoints, sparse_step
from quantattack.attacks.class_pair import ClassPair
from quantattack.attacks.losses import cross_entropy, log_odds, margin, targeted_dlr
from quantattack.attacks.recipes import LinearDecay, apgd_plus, apgd_targeted, multi_targeted
from quantattack.attacks.starts import Blocks, farthest
from quantattack.attacks.success import misclassified
from quantattack.errors import InputError
from quantattack.gradients import gradient
from quantattack.rng import Rng

LINF = qa.Threat(qa.Linf(), 0.05)


def test_the_checkpoints_are_the_published_ones():
    assert list(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(100)[41] == 19


def reference(model, x, y, start, radius, steps):
    """The published control for one image under Linf, step by step; returns the losses of its points."""
    low, high = (x - radius).clamp(0, 1), (x + radius).clamp(0, 1)

    def look(at):
        logits, grad = gradient(model, at, lambda a: cross_entropy(a, y))
        return float(cross_entropy(logits, y)[0]), grad

    now, before, size = start, start, 2 * radius
    value, grad = look(now)
    losses, best, best_x, best_grad = [value], value, now, grad
    checked, halved, rises, marks = value, True, 0, checkpoints(steps)
    for step in range(1, steps + 1):
        z = torch.clamp(now + size * grad.sign(), low, high)
        weight = 0.75 if step > 1 else 1.0
        new = torch.clamp(now + weight * (z - now) + (1 - weight) * (now - before), low, high)
        before, now = now, new
        value, grad = look(now)
        rises += value > losses[-1]
        losses.append(value)
        if value > best:
            best, best_x, best_grad = value, now, grad
        if step in marks:
            stuck = not halved and checked >= best
            halved = rises <= 0.75 * marks[step] or stuck
            if halved:
                size, now, grad = size / 2, best_x, best_grad
            checked, rises = best, 0
    return best


def test_it_is_the_published_control(network, images):
    """On images that nothing fools (their label is what the network says least) the best losses agree."""
    model = copy.deepcopy(network).double()
    x = images[:6].double()
    with torch.no_grad():
        y = model(x).argmax(1)
    threat = qa.Threat(qa.Linf(), 0.01)
    begin = farthest(threat, x, Rng(0, torch.arange(6)), torch.full((6,), 0.01, dtype=torch.float64))
    never = Apgd(threat=threat, steps=50, solved=lambda a, labels: torch.zeros_like(labels, dtype=torch.bool))
    with torch.no_grad():
        ours = cross_entropy(model(never(model, x, y, start=begin)), y)
    for image in range(6):
        at = slice(image, image + 1)
        best = reference(model, x[at], y[at], begin[at], 0.01, 50)
        assert float(ours[image]) == pytest.approx(best, rel=1e-6)


def test_gap_needs_its_progress_judged_by_the_log_odds(network, images, labels):
    attack = Apgd(threat=LINF, steps=20, loss=log_odds, temperature=qa.Gap(), progress=log_odds)
    adv = attack(network, images, labels)
    assert bool(LINF.contains(adv, images).all())
    plain = qa.pgd(LINF)(network, images, labels)
    robust = [(network(part).argmax(1) == labels).float().mean() for part in (adv, plain)]
    assert robust[0] <= robust[1]


def test_a_schedule_takes_the_controls_place(network, images, labels):
    attack = Apgd(threat=LINF, steps=10, step_size=LinearDecay(0.1, 10))
    assert bool(LINF.contains(attack(network, images, labels), images).all())


def test_with_a_schedule_nobody_goes_back_to_the_best_point(network, images, labels):
    """A walk of one pixel's sign: with a vanishing step the last point is one step from the one before."""
    seen = []

    def model(x):
        seen.append(x.detach().clone())
        return network(x)

    never = Apgd(threat=LINF, steps=30, step_size=LinearDecay(0.001, 30), momentum=1.0, solved=lambda a, y: y < 0)
    never(model, images[:4], labels[:4])
    moves = [(after - before).abs().amax().item() for before, after in pairwise(seen)]
    assert len(moves) == 30
    assert all(move <= 0.001 * (1 - step / 30) + 1e-6 for step, move in enumerate(moves))


@pytest.mark.parametrize("norm", [qa.Linf(), qa.L2(), qa.L1()])
def test_the_start_is_at_the_radius_or_at_the_range(norm):
    x = torch.full((3, 1, 4, 4), 0.5)
    for start in (farthest, Blocks(2)):
        begun = start(qa.Threat(norm, 0.3), x, Rng(0, torch.arange(3)), torch.full((3,), 0.3, dtype=torch.float64))
        assert norm.size(begun - x).tolist() == pytest.approx([0.3] * 3, rel=1e-5)


def test_a_sparse_step_has_length_one_on_the_largest_gradients():
    grad = torch.tensor([[4.0, -3.0, 2.0, 0.0, 1.0]])
    step = sparse_step(grad, torch.tensor([0.4]))
    assert step.tolist() == [[0.5, -0.5, 0.0, 0.0, 0.0]]
    assert sparse_step(torch.zeros(1, 5), torch.tensor([0.4])).abs().sum() == 0


def test_multi_targeted_climbs_one_rival_after_the_other(network, images, labels):
    attack = multi_targeted(LINF, rivals=3, steps=10)
    assert list(attack.attacks) == ["rival 1", "rival 2", "rival 3"]
    first = attack.attacks["rival 1"](network, images, labels)
    every = attack(network, images, labels)
    robust = [(network(part).argmax(1) == labels).float().mean() for part in (every, first)]
    assert robust[0] <= robust[1]


def test_the_margin_to_a_rival_by_ratio_is_targeted_dlr_with_its_derivative(network, images, labels):
    """Where the image is still right; on the way the denominator has a derivative too."""
    x = images[2:].double()
    model = copy.deepcopy(network).double()
    pair = ClassPair(2, ratio=True)(model, x, labels[2:])
    ours = gradient(model, x, lambda a: margin(pair(a, labels[2:]), labels[2:]))[1]
    published = gradient(model, x, lambda a: targeted_dlr(a, pair.rival))[1]
    assert torch.allclose(ours, published, rtol=1e-9, atol=1e-12)
    assert torch.equal(pair.keep(labels[2:] > 3).rival, pair.rival[labels[2:] > 3])


def test_the_ratio_serves_few_classes():
    logits, labels = torch.tensor([[1.0, 3.0]]), torch.tensor([1])
    assert margin(ClassPair(1, ratio=True)(lambda x: logits, logits, labels)(logits, labels), labels).tolist() == [-2.0]
    logits = torch.tensor([[1.0, 3.0, 0.0]])
    found = margin(ClassPair(1, ratio=True)(lambda x: logits, logits, labels)(logits, labels), labels)
    assert found.tolist() == pytest.approx([-2 / 3])


def test_apgd_targeted_breaks_what_one_of_its_rivals_breaks(network, images, labels):
    attack = apgd_targeted(LINF, rivals=3, steps=10)
    broken = [misclassified(network(part(network, images, labels)), labels) for part in attack.attacks.values()]
    assert (misclassified(network(attack(network, images, labels)), labels) >= broken[0]).all()
    assert apgd_targeted(LINF, start="blocks").attacks["rival 9"].start == Blocks(4)
    with pytest.raises(InputError, match="unknown start"):
        apgd_targeted(LINF, start="corner")


def test_a_temperature_inside_the_control_is_judged_by_the_log_odds():
    assert apgd_plus(LINF, qa.Hns()) == Apgd(threat=LINF, loss=cross_entropy, temperature=qa.Hns(), progress=log_odds)
    assert apgd_plus(LINF, qa.Gap(), steps=9, restarts=2).attack.loss is log_odds
