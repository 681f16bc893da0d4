"""Losses against formulas by hand, and in exact arithmetic against one another."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.nn import functional

from networks import relu_network
from quantattack.attacks.losses import cross_entropy, dlr, log_odds, margin, targeted, targeted_dlr
from quantattack.errors import InputError
from quantattack.gradients import gradient, jacobian

LOGITS = torch.tensor([[3.0, 1.0, -1.0, 0.5], [0.0, 2.0, 2.0, -4.0], [1.0, 1.0, 1.0, 1.0]])
LABELS = torch.tensor([0, 3, 2])
LOSSES = pytest.mark.parametrize("loss", [cross_entropy, log_odds, margin, dlr], ids=lambda loss: loss.__name__)


def test_margin_is_the_best_rival_minus_the_true_class():
    assert margin(LOGITS, LABELS).tolist() == [1.0 - 3.0, 2.0 + 4.0, 0.0]


def test_dlr_divides_the_margin_by_the_first_minus_the_third():
    assert torch.allclose(dlr(LOGITS, LABELS), torch.tensor([-2.0 / (3.0 - 0.5), 6.0 / (2.0 - 0.0), 0.0]))
    with pytest.raises(InputError, match="at least 3 classes"):
        dlr(LOGITS[:, :2], torch.tensor([0, 1, 0]))


def test_targeted_dlr_is_the_way_to_the_target_over_the_first_minus_the_mean_of_third_and_fourth():
    """By hand on [3, 1, -1, 0.5] toward class 3, and on [0, 2, 2, -4] toward class 0."""
    wanted = [(0.5 - 3.0) / (3.0 - (0.5 - 1.0) / 2), (0.0 - 2.0) / (2.0 - (0.0 - 4.0) / 2)]
    assert targeted_dlr(LOGITS[:2], torch.tensor([3, 0])).tolist() == pytest.approx(wanted)
    assert targeted_dlr(LOGITS[2:], torch.tensor([1])).tolist() == [0.0]  # all logits equal
    with pytest.raises(InputError, match="at least 4 classes"):
        targeted_dlr(LOGITS[:, :3], torch.tensor([0, 1, 0]))


def test_dlr_ignores_scale_and_shift():
    assert torch.allclose(dlr(LOGITS, LABELS), dlr(LOGITS * 512 + 7, LABELS))


def test_log_odds_by_hand():
    by_hand = [math.log(math.e + math.exp(-1) + math.exp(0.5)) - 3, math.log(1 + 2 * math.exp(2)) + 4, math.log(3)]
    assert torch.allclose(log_odds(LOGITS, LABELS), torch.tensor(by_hand))


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=12), st.data())
def test_cross_entropy_is_the_softplus_of_the_log_odds(row, data):
    logits = torch.tensor([row], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([data.draw(st.integers(0, len(row) - 1))])
    exact, odds = cross_entropy(logits, label), log_odds(logits, label)
    assert torch.allclose(exact, functional.softplus(odds), rtol=1e-9, atol=1e-13)
    of_exact, of_odds = (torch.autograd.grad(value.sum(), logits)[0] for value in (exact, odds))
    assert torch.allclose(of_exact, torch.sigmoid(odds).detach() * of_odds, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("loss", [cross_entropy, log_odds, margin], ids=lambda loss: loss.__name__)
def test_a_loss_rises_when_a_rival_rises_and_falls_when_the_true_class_does(loss):
    base = loss(LOGITS, LABELS)
    rival, true = LOGITS.clone(), LOGITS.clone()
    rival[torch.arange(3), torch.tensor([1, 1, 0])] += 0.5
    true[torch.arange(3), LABELS] += 0.5
    assert (loss(rival, LABELS) > base)[:2].all()
    assert (loss(true, LABELS) < base)[:2].all()


@LOSSES
def test_targeted_turns_a_loss_round(loss):
    assert torch.equal(targeted(loss)(LOGITS, LABELS), -loss(LOGITS, LABELS))
    assert targeted(loss) == targeted(loss)
    assert loss.__name__ in repr(targeted(loss))


@LOSSES
@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_labels_of_any_whole_number_type(loss, kind):
    assert torch.equal(loss(LOGITS, LABELS.to(kind)), loss(LOGITS, LABELS))


@LOSSES
def test_each_image_has_a_loss_of_its_own(loss):
    whole = loss(LOGITS, LABELS)
    assert whole.shape == (3,)
    assert torch.equal(torch.cat([loss(LOGITS[i : i + 1], LABELS[i : i + 1]) for i in range(3)]), whole)


def ahead(distance: float, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of 10 classes, differing by up to 3, with the true class a distance ahead of its best rival."""
    rivals = 3 * torch.rand(64, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    true = rivals.amax(1, keepdim=True) + distance
    return torch.cat([true, rivals], 1).to(dtype), torch.zeros(64, dtype=torch.long)


def direction(loss, logits, labels):
    logits = logits.clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(logits, labels).sum(), logits)
    return grad.double()


@pytest.mark.parametrize("distance", [0.0, 1.0, 10.0, 20.0, 50.0, 100.0, 500.0, 1e3, 1e4])
def test_log_odds_keeps_its_direction_at_any_margin(distance):
    logits, labels = ahead(distance)
    single = direction(log_odds, logits, labels)
    # the exact direction: the rivals' softmax, less the true class
    exact = torch.cat([-torch.ones(64, 1).double(), torch.softmax(logits[:, 1:].double(), 1)], 1)
    assert torch.allclose(single, exact, atol=1e-5)


@pytest.mark.parametrize(
    ("distance", "fate"),
    [(8.0, "sound"), (30.0, "lost the true class"), (60.0, "lost the true class"), (120.0, "zero")],
)
def test_cross_entropy_fails_in_float32_as_documented(distance, fate):
    logits, labels = ahead(distance)
    grad = direction(cross_entropy, logits, labels)
    exact = direction(log_odds, logits.double(), labels)
    size = grad.norm(dim=1)
    if fate == "zero":
        assert (size == 0).all()
    else:
        cosine = (grad * exact).sum(1) / size / exact.norm(dim=1)
        assert (cosine > 0.999).all() if fate == "sound" else (grad[:, 0] == 0).all() and (cosine < 0.9).all()


@pytest.mark.parametrize("common", [10.0, 1e3, 1e4, 1e5])
def test_the_gradient_of_log_odds_is_exact_at_any_size_of_the_logits(common):
    """The share of each rival as in float64, and together the true class's: what all logits share leaves no trace."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 10, generator=draw) + common * torch.randn(200, 1, generator=draw)
    labels = torch.randint(10, (200,), generator=draw)
    grad = direction(log_odds, logits, labels)
    exact = direction(log_odds, logits.double(), labels)
    assert (grad - exact).abs().max() <= 1e-6
    assert grad.sum(1).abs().max() <= 1e-6
    assert torch.allclose(log_odds(logits, labels).double(), log_odds(logits.double(), labels), rtol=1e-6, atol=1e-6)


@example(seed=12, scale=153.0, ahead=0.0, pixels=12, classes=3)
@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(1e-3, 1e4),
    ahead=st.floats(0, 1e4),
    pixels=st.integers(1, 12),
    classes=st.integers(2, 10),
)
def test_the_gradient_of_log_odds_is_zero_only_where_every_difference_of_rows_is(seed, scale, ahead, pixels, classes):
    """In float32, with margins up to 10,000: no image is silent while its logits still tell the classes apart."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(classes, pixels, generator=generator)
    flat = seed % 3 == 0  # every third model moves all its logits together
    rows = rows[:1].expand_as(rows) if flat else rows
    bias = torch.rand(classes, generator=generator)
    bias[0] += ahead / scale
    images, labels = torch.rand(4, pixels, generator=generator), torch.zeros(4, dtype=torch.long)
    model = lambda x: scale * (x @ rows.T + bias)  # noqa: E731
    _, grad = gradient(model, images, lambda a: log_odds(a, labels))
    assert torch.isfinite(grad).all()
    if flat:
        assert grad.abs().max() <= 1e-5 * scale * rows.abs().max()
    else:
        assert (grad.flatten(1).abs().amax(1) > 0).all()


@pytest.mark.parametrize("factor", [1.0, 100.0, 3000.0])
def test_log_odds_is_silent_on_relu_networks_only_where_they_are_flat(factor):
    network = relu_network(1, (6,), width=4)  # so narrow that all its units are off somewhere
    images = 20 * torch.rand(400, 6, generator=torch.Generator().manual_seed(0)) - 10
    with torch.no_grad():
        labels = network(images).argmax(1)
    logits, rows = jacobian(lambda x: factor * network(x), images)
    _, grad = gradient(lambda x: factor * network(x), images, lambda a: log_odds(a, labels))
    flat = (rows - rows[:, :1]).abs().amax((1, 2)) == 0
    assert torch.equal(grad.abs().amax(1) == 0, flat)
    assert factor < 3000 or margin(logits, labels).min() < -1e4
