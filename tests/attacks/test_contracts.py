"""What every attack promises, tested on every member of the list."""

import copy
import json
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from contracts import ATTACKS, STEPS, THREATS
from networks import Linear, Times, linear_model, relu_network
from quantattack.attacks.losses import cross_entropy, log_odds, margin
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import fgsm, pgd, pgd_plus
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Restarts
from quantattack.gradients import gradient, jacobian
from quantattack.record.description import describe, stable
from quantattack.rng import Rng

PAIRS = [
    pytest.param(member, threat, id=f"{member.name}-{type(threat.norm).__name__}")
    for member in ATTACKS
    for threat in THREATS
    if type(threat.norm) in member.norms
]
every_attack = pytest.mark.parametrize(("member", "threat"), PAIRS)


def pairs(wanted: str) -> pytest.MarkDecorator:
    """The pairs whose member makes a promise."""
    return pytest.mark.parametrize(("member", "threat"), [p for p in PAIRS if getattr(p.values[0], wanted)])


def slack(threat: Threat) -> float:
    return 0.0 if isinstance(threat.norm, Linf) else 1e-6


def broken(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).argmax(1) != labels


def numbered(images: Tensor, seed: int = 0) -> Rng:
    return Rng(seed, torch.arange(len(images)))


@every_attack
def test_every_image_stays_in_the_threat(member, threat, network, images, labels):
    clean = torch.cat([images, images.round(), (images * 255).round() / 255])
    found = member.make(threat, network, images, STEPS)(network, clean, labels.repeat(3))
    assert found.dtype == clean.dtype
    assert found.shape == clean.shape
    assert threat.contains(found, clean, slack(threat)).all()


@every_attack
def test_the_same_seed_gives_the_same_images(member, threat, network, images, labels):
    attack = member.make(threat, network, images, STEPS)
    first = attack(network, images, labels, rng=numbered(images, 3))
    torch.rand(5)
    assert torch.equal(first, attack(network, images, labels, rng=numbered(images, 3)))


def random_state() -> tuple[Any, ...]:
    """The generators of torch and numpy; beartype itself draws from Python's."""
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002


@every_attack
def test_nothing_is_left_changed(member, threat, images, labels):
    network = relu_network(0, (1, 4, 4))
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    state, clean, classes = copy.deepcopy(network.state_dict()), images.clone(), labels.clone()
    attack, rng = member.make(threat, network, images, STEPS), numbered(images)
    before = random_state()
    found = attack(network, images, labels, rng=rng)
    assert before == random_state()
    assert torch.equal(clean, images)
    assert torch.equal(classes, labels)
    assert not images.requires_grad
    assert not found.requires_grad
    assert found.data_ptr() != images.data_ptr()
    assert torch.equal(rng.index, torch.arange(len(images)))
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in state.items())
    assert all(p.requires_grad and torch.equal(p.grad, torch.ones_like(p)) for p in network.parameters())
    assert not any(module.training for module in network.modules())
    assert torch.is_grad_enabled()


@every_attack
def test_any_batch_and_image_shape_works(member, threat):
    for shape, count in (((6,), 1), ((1, 2, 3), 0), ((3, 2, 2), 3), ((3, 2, 2), 0), ((2, 3), 1), ((1, 2, 2, 2), 2)):
        network = relu_network(2, shape, width=8)
        probe = torch.rand(3, *shape, generator=torch.Generator().manual_seed(3))
        clean = probe[:count]
        found = member.make(threat, network, probe, 2)(network, clean, torch.arange(count))
        assert found.shape == clean.shape
        assert threat.contains(found, clean, slack(threat)).all()


def settings_of(part: Any) -> list[tuple[str, Any]]:
    """Return every field of a part and of the parts in it."""
    if isinstance(part, dict | tuple):
        return [found for value in (part.values() if isinstance(part, dict) else part) for found in settings_of(value)]
    if not is_dataclass(part) or isinstance(part, type):
        return []
    every = [(field, getattr(part, field.name)) for field in fields(part)]
    own = [  # a field may be recorded under the name of the one whose place it takes, where it is set
        (field.metadata.get("recorded_as", field.name), value)
        for field, value in every
        if value is not None or "recorded_as" not in field.metadata
    ]
    return own + [found for _, value in own for found in settings_of(value)]


@every_attack
def test_repr_and_description_state_every_setting(member, threat, network, images):
    attack = member.make(threat, network, images, STEPS)
    text, described = repr(attack), json.loads(stable(describe(attack)))
    settings = settings_of(attack)
    assert len(settings) >= 4
    for name, value in settings:
        assert f"{name}=" in text
        assert f'"{name}":' in stable(described)
        if isinstance(value, int | float | str):
            assert f"{name}={value!r}" in text
            assert f'"{name}":{json.dumps(value)}' in stable(described)
    assert " at 0x" not in stable(described)


@every_attack
def test_equal_settings_make_equal_attacks(member, threat, network, images):
    attack, twin = (member.make(threat, network, images, STEPS) for _ in range(2))
    assert attack == twin
    assert stable(describe(attack)) == stable(describe(twin))
    smaller = Threat(threat.norm, threat.radius / 2)
    assert member.make(smaller, network, images, STEPS) != attack


@pytest.mark.usefixtures("unchecked")
@every_attack
def test_more_restarts_never_raise_robust_accuracy(member, threat, network, images, labels):
    attack = member.make(threat, network, images, STEPS)
    found = [broken(network, Restarts(attack, count)(network, images, labels), labels) for count in (1, 3)]
    assert torch.equal(found[0], broken(network, attack(network, images, labels), labels))
    assert (found[1] >= found[0]).all()


@pytest.mark.usefixtures("unchecked")
@every_attack
def test_cutting_and_reordering_change_no_verdict(member, threat, images, labels):
    network, clean = relu_network(0, (1, 4, 4), dtype=torch.float64), images.double()
    attack = member.make(threat, network, clean, STEPS)
    whole = attack(network, clean, labels, rng=Rng(5, torch.arange(24)))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(7))
    found = torch.empty_like(whole)
    for part in torch.split(order, 24 if member.whole else 7):
        found[part] = attack(network, clean[part], labels[part], rng=Rng(5, part))
    assert torch.equal(broken(network, found, labels), broken(network, whole, labels))
    assert torch.allclose(found, whole, atol=1e-9)
    assert whole.dtype == torch.float64
    assert threat.contains(whole, clean, slack(threat)).all()


@pairs("invariant")
def test_multiplying_the_logits_changes_no_image(member, threat, network, images, labels):
    large = Times(network, 1024)
    found = member.make(threat, network, images, STEPS)(network, images, labels)
    assert torch.equal(found, member.make(threat, large, images, STEPS)(large, images, labels))


def gain(model: Linear, found: Tensor, clean: Tensor) -> Tensor:
    return (found.double() - clean.double()).flatten(1) @ model.ascent.double()


def optimum(model: Linear, threat: Threat, clean: Tensor) -> Tensor:
    """Return the largest gain in closed form (Linf), by bisection (L2) or by filling greedily (L1)."""
    ascent, x = model.ascent.double(), clean.double().flatten(1)
    room = torch.where(ascent > 0, threat.high - x, x - threat.low)
    weight = ascent.abs()
    if isinstance(threat.norm, Linf):
        return (room.clamp_max(threat.radius) * weight).sum(1)
    if isinstance(threat.norm, L2):
        low, high = torch.zeros(len(x), 1, dtype=x.dtype), torch.full((len(x), 1), 1e6, dtype=x.dtype)
        for _ in range(100):
            middle = (low + high) / 2
            fits = torch.minimum(weight * middle, room).norm(dim=1, keepdim=True) <= threat.radius
            low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
        return (torch.minimum(weight * low, room) * weight).sum(1)
    order = weight.argsort(descending=True)
    before = room[:, order].cumsum(1) - room[:, order]
    amount = torch.minimum((threat.radius - before).clamp_min(0), room[:, order])
    return (amount * weight[order]).sum(1)


BATCHES = pytest.mark.parametrize(("count", "shape"), [(1, (12,)), (3, (1, 3, 4)), (8, (3, 2, 2))], ids=str)


def clean_images(count: int, shape: tuple[int, ...], active: bool) -> Tensor:
    """Images with, or without, the pixel range within reach."""
    noise = torch.rand(count, *shape, generator=torch.Generator().manual_seed(11))
    return noise if active else 0.45 + 0.1 * noise


@BATCHES
@pytest.mark.parametrize(
    "attack",
    [fgsm(Threat(Linf(), 0.2), random_start=False), pgd(Threat(Linf(), 0.2)), pgd(Threat(Linf(), 0.2), steps=100)],
    ids=["fgsm", "pgd", "pgd-100"],
)
def test_linf_reaches_the_optimum_of_a_linear_model_exactly(attack, shape, count):
    model, clean = linear_model(4, shape), clean_images(count, shape, active=False)
    found = attack(model, clean, torch.zeros(count, dtype=torch.long))
    exact = (clean.double() + 0.2 * model.ascent.sign().double().reshape(shape)).float()
    assert (found - exact).abs().max() <= torch.finfo(torch.float32).eps / 2
    assert torch.allclose(gain(model, found, clean), optimum(model, Threat(Linf(), 0.2), clean), rtol=1e-6)


@BATCHES
@pytest.mark.parametrize(
    ("threat", "active"),
    [
        (Threat(Linf(), 0.2), True),
        (Threat(L2(), 0.4), False),
        (Threat(L2(), 0.4), True),
        (Threat(L1(), 0.4), False),
        (Threat(L1(), 0.4), True),
        (Threat(L1(), 2.5), True),
    ],
    ids=str,
)
def test_pgd_comes_near_the_optimum_of_a_linear_model(threat, shape, count, active):
    model, clean = linear_model(4, shape), clean_images(count, shape, active)
    attack = pgd(threat, steps=100, step_size=threat.radius / 4)
    reached = gain(model, attack(model, clean, torch.zeros(count, dtype=torch.long)), clean) / optimum(
        model, threat, clean
    )
    assert reached.max() <= 1 + 1e-6
    assert reached.min() >= 0.99


@pairs("optimal")
def test_every_gradient_attack_comes_near_the_optimum(member, threat):
    model, clean = linear_model(6, (1, 2, 4)), clean_images(8, (1, 2, 4), active=False)
    threat = Threat(threat.norm, min(threat.radius, 0.4))  # away from the range
    attack = member.make(threat, model, clean, 20)
    reached = gain(model, attack(model, clean, torch.zeros(8, dtype=torch.long)), clean) / optimum(model, threat, clean)
    assert reached.max() <= 1 + 1e-6
    assert reached.min() >= (0.99999 if isinstance(threat.norm, Linf) else 0.95)  # 20 steps add up to 2.5 radii


def robust(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return 1 - broken(model, images, labels).float().mean().item()


ON_DIGITS = pytest.mark.parametrize(
    "threat", [Threat(Linf(), 0.1), Threat(L2(), 0.5), Threat(L1(), 2.0)], ids=lambda threat: type(threat.norm).__name__
)


@ON_DIGITS
def test_multiplying_a_trained_networks_logits_changes_no_verdict(threat, digits):
    model, images, labels = digits
    large = Times(model, 1024)
    plain, sharp = (Njs.fit(m, images[:100]) for m in (model, large))
    pairs = {
        "margin": (pgd(threat, loss=margin), pgd(threat, loss=margin)),
        "njs": (pgd_plus(threat, plain), pgd_plus(threat, sharp)),
        "hns": (pgd_plus(threat, Hns()), pgd_plus(threat, Hns())),
        "gap": (pgd_plus(threat, Gap()), pgd_plus(threat, Gap())),
    }
    for name, (before, after) in pairs.items():
        found = before(model, images, labels), after(large, images, labels)
        assert torch.equal(*found), name
        assert torch.equal(broken(model, found[0], labels), broken(large, found[1], labels)), name


@ON_DIGITS
def test_multiplying_a_trained_networks_logits_silences_cross_entropy_alone(threat, digits):
    """Log-odds moves by at most 5 points; cross entropy's robust accuracy rises by more than 20."""
    model, images, labels = digits
    large = Times(model, 1024)
    odds = [robust(m, pgd(threat, loss=log_odds)(m, images, labels), labels) for m in (model, large)]
    entropy = [robust(m, pgd(threat)(m, images, labels), labels) for m in (model, large)]
    assert abs(odds[1] - odds[0]) <= 0.05
    assert entropy[1] - entropy[0] > 0.20


def test_log_odds_is_never_silent_on_a_trained_network(digits):
    """Margins up to 10,000 in float32: the gradient is zero only where every difference of the Jacobian's rows is."""
    model, images, labels = digits
    large = Times(model, 1024)
    logits, rows = jacobian(large, images)
    assert margin(logits, labels).min() < -1e4
    _, grad = gradient(large, images, lambda a: log_odds(a, labels))
    flat = (rows - rows[:, :1]).abs().amax((1, 2)) == 0
    assert torch.equal(grad.flatten(1).abs().amax(1) == 0, flat)
    _, silent = gradient(large, images, lambda a: cross_entropy(a, labels))
    assert (silent.flatten(1).abs().amax(1) == 0).float().mean() > 0.5
