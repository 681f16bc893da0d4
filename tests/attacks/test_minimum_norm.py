"""MinimumNorm: on a linear model the distance to the decision is known."""

import pytest
import torch

import quantattack as qa
from networks import Linear
from quantattack.attacks.minimum_norm import MinimumNorm


@pytest.mark.parametrize(("norm", "dual"), [(qa.Linf(), 1), (qa.L2(), 2)])
def test_it_finds_the_distance_to_the_decision(norm, dual):
    ascent = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = Linear(ascent).eval()
    x = 0.45 + 0.1 * torch.rand(20, 12, dtype=torch.float64)
    with torch.no_grad():
        model.bias.copy_(torch.tensor([float((x @ ascent).max()) + 0.02, 0.0, -100.0]))
        logits = model(x)
    y = torch.zeros(20, dtype=torch.long)
    exact = (logits[:, 0] - logits[:, 1]) / torch.linalg.vector_norm(ascent, dual)
    threat = qa.Threat(norm, 0.4)
    attack = MinimumNorm(qa.pgd(threat, steps=30, loss=qa.log_odds), threat, searches=8)
    near = norm.size(attack(model, x, y) - x)
    reached = exact < 0.35
    assert reached.sum() > 5
    assert bool((near[reached] >= exact[reached] * (1 - 1e-6)).all())
    assert bool((near[reached] <= exact[reached] + 0.4 / 2**6).all())


def test_what_the_whole_radius_does_not_break_stays_as_tried(network, images, labels):
    threat = qa.Threat(qa.Linf(), 0.05)
    inner = qa.pgd(threat, loss=qa.log_odds)
    record = qa.evaluate(network, images, labels, {"fixed": inner, "nearest": MinimumNorm(inner, threat)}, threat)
    assert record.broken("fixed").tolist() == record.broken("nearest").tolist()
    both = record.broken("fixed") & (record.column("nearest", "size") > 0)
    assert (record.column("nearest", "size") <= record.column("fixed", "size") + 1e-9)[both].all()
    assert record.column("nearest", "size")[both].sum() < 0.9 * record.column("fixed", "size")[both].sum()


def test_one_run_gives_the_curve_at_the_cost_of_at_most_five_attacks(digits):
    """Accuracy at four radii, against an attack at each; a bisection is exact to a sixteenth of the widest radius."""
    model, images, labels = digits
    widest = qa.Threat(qa.Linf(), 0.2)
    nearest = MinimumNorm(qa.pgd(widest, steps=20), widest)
    record = qa.evaluate(model, images, labels, {"nearest": nearest}, widest)
    assert record.column("nearest", "backwards").mean() <= 5 * 20
    sizes, broken = record.column("nearest", "size"), record.broken("nearest")
    for radius in (0.05, 0.1, 0.15, 0.2):
        threat = qa.Threat(qa.Linf(), radius)
        fixed = qa.evaluate(model, images, labels, {"pgd": qa.pgd(threat, steps=20)}, threat).robust("pgd")
        held = [1 - (broken & (sizes <= at)).mean() for at in (radius + 0.2 / 16, radius)]
        assert held[0] - 0.02 <= fixed <= held[1] + 0.02
