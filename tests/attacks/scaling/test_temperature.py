"""Temperatures against tables by hand; what they do on ties, flat logits and misclassified images."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import root_scalar

from networks import Times, linear_model, relu_network
from quantattack.attacks.scaling.base import confidence, safe_margin, unit
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import GAP, Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.njs import Njs
from quantattack.errors import InputError
from quantattack.evaluation.models import CountedModel
from quantattack.gradients import differences, hessian_norm, jacobian, singular_values
from quantattack.record.description import describe

LABELS = torch.tensor([0, 0, 0])


def network64(seed=0, **settings):
    return relu_network(seed, (12,), dtype=torch.float64, **settings)


def batch(count=40, seed=0):
    return torch.rand(count, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_unit_and_fixed():
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.equal(unit(lambda x: x, logits, LABELS[:1])(logits, LABELS[:1]), logits)
    assert torch.equal(Fixed(0.25)(lambda x: x, logits, LABELS[:1])(logits, LABELS[:1]), logits * 0.25)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_temperatures_that_are_no_positive_number_are_refused(wrong):
    for part in (Fixed, Gap, Njs):
        with pytest.raises(InputError, match="positive number"):
            part(wrong)


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.1, math.nan])
def test_njs_refuses_a_rho_that_is_no_error_signal(rho):
    with pytest.raises(InputError, match="rho"):
        Njs(1.0, rho)


def test_confidence_is_the_spread_at_which_the_error_is_rho():
    assert confidence(0.01, 10) == pytest.approx(6.7923, abs=1e-4)  # the papers' two numbers of classes
    assert confidence(0.01, 100) == pytest.approx(9.1902, abs=1e-4)
    for classes in (2, 10, 1000):
        spread = torch.zeros(classes, dtype=torch.float64)
        spread[0] = confidence(0.01, classes)
        assert 1 - torch.softmax(spread, 0)[0] == pytest.approx(0.01, rel=1e-9)


def test_njs_sharpens_what_is_too_sure_and_nothing_else():
    logits = torch.tensor([[40.0, 20.0, 0.0], [2.0, 1.0, 0.0], [0.0, 40.0, 20.0]], dtype=torch.float64)
    found = Njs(0.5).scale(logits, LABELS)
    beta2 = confidence(0.01, 3) / 20  # the range of beta1 times the first image's logits
    assert torch.allclose(found[0], 0.5 * logits[0] * beta2)
    assert torch.equal(found[1:], 0.5 * logits[1:])  # unsure, and sure of the wrong class
    assert (1 - torch.softmax(found[0], 0)[0]) >= 0.01


def test_njs_compares_with_rho_strictly():
    """An error of exactly rho is left as it is, one below it is not."""
    logits = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)  # 1 - p_y is a quarter
    first = LABELS[:1]
    error = torch.softmax(logits, 1)[0, 1].item()
    assert torch.equal(Njs(1.0, error).scale(logits, first), logits)
    assert not torch.equal(Njs(1.0, error + 1e-9).scale(logits, first), logits)


def test_njs_sees_an_error_that_float32_rounds_away():
    logits = torch.tensor([[100.0, 0.0, 0.0]])
    found = Njs(1.0).scale(logits, LABELS[:1])
    assert 1 - torch.softmax(found.double(), 1)[0, 0] == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("part", [Njs(1.0), Gap()], ids=["njs", "gap"])
def test_equal_logits_are_left_with_a_finite_gradient(part):
    logits = torch.full((2, 4), 3.0, requires_grad=True)
    out = part.scale(logits, LABELS[:2])
    assert torch.equal(out, logits)
    (grad,) = torch.autograd.grad(torch.logsumexp(out, 1).sum(), logits)
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("part", [Njs(0.3), Gap(), Fixed(2.0)], ids=["njs", "gap", "fixed"])
def test_the_temperature_is_a_constant_in_the_derivative(part):
    logits = torch.tensor([[9.0, 4.0, -30.0], [1.0, 0.9, 0.0]], dtype=torch.float64, requires_grad=True)
    out = part.scale(logits, LABELS[:2])
    (grad,) = torch.autograd.grad(out.sum(), logits)
    assert torch.allclose(grad, (out / logits).detach().nan_to_num(grad[1, 2].item()), rtol=1e-12)
    assert (grad > 0).all()


def test_njs_fit_measures_the_mean_singular_value():
    network, probe = network64(), batch(100)
    found = Njs.fit(network, probe)
    exact = torch.linalg.svdvals(torch.autograd.functional.jacobian(lambda x: network(x).sum(0), probe).transpose(0, 1))
    assert found.beta1 == pytest.approx(1 / exact.mean().item(), rel=1e-7)
    assert (found.unit, found.rho) == ("pixel", 0.01)
    assert Njs.fit(Times(network, 1024), probe).beta1 == found.beta1 / 1024


def test_njs_fit_in_normalized_units():
    network = relu_network(0, (3, 2, 2), dtype=torch.float64)
    probe = torch.rand(20, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = Njs.fit(network, probe, std=(0.2, 0.2, 0.2))
    assert found.unit == "normalized"
    assert found.beta1 == pytest.approx(Njs.fit(network, probe).beta1 / 0.2, rel=1e-9)
    uneven = Njs.fit(network, probe, std=(0.1, 0.2, 0.5))
    _, rows = jacobian(network, probe)
    weight = torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64).repeat_interleave(4)
    assert uneven.beta1 == pytest.approx(1 / singular_values(rows * weight).mean().item(), rel=1e-9)


def test_njs_fit_says_that_a_flat_model_cannot_be_scaled():
    with pytest.raises(InputError, match="zero on the whole probe"):
        Njs.fit(lambda x: x.repeat(1, 2) * 0, torch.rand(3, 2))


def test_gap_is_the_root_of_its_equation_over_the_margin():
    root = root_scalar(lambda z: z * math.tanh(z / 2) - 2, bracket=(1, 5)).root
    assert pytest.approx(root, abs=1e-9) == GAP
    logits = torch.tensor([[5.0, 1.0, -3.0], [0.0, 2.0, 10.0]])
    assert torch.allclose(Gap().scale(logits, LABELS[:2]), logits * torch.tensor([[root / 4], [root / 8]]))
    assert torch.allclose(Gap(1.0).scale(logits, LABELS[:2]), logits * torch.tensor([[1 / 4], [1 / 8]]))


def test_gap_is_hns_where_there_are_two_classes():
    network = network64(classes=2)
    logits = network(batch()).detach()
    hns = Hns()(network, batch(), torch.zeros(40, dtype=torch.long)).beta
    assert torch.allclose(hns * (logits[:, 0] - logits[:, 1]).abs(), torch.tensor(GAP, dtype=torch.float64), rtol=5e-3)


@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=10),
    st.sampled_from([0.0, 1e-30, 1e-6, 1e-3]),
)
@example([0.0, 2.0**-149], 0.0)
def test_gap_is_bounded_on_near_ties(row, tie):
    logits = torch.tensor([[*row, max(row) - tie]])
    beta = Gap().scale(torch.ones_like(logits), LABELS[:1])  # of a flat row: 1
    assert torch.equal(beta, torch.ones_like(logits))
    out = Gap().scale(logits, LABELS[:1])
    assert torch.isfinite(out).all()
    rounding = 4 * torch.finfo(out.dtype).eps * out.abs().amax()
    assert (out.amax() - out.amin()) <= 1000 * GAP * (1 + 1e-4) + rounding
    assert safe_margin(logits)[0] > 0


def test_hns_bounds_ties_and_flat_logits():
    tie = lambda x: torch.stack([x[:, 0], x[:, 0], x[:, 1] - 5], 1)  # noqa: E731
    images = torch.rand(6, 2, dtype=torch.float64)
    beta = Hns()(tie, images, torch.zeros(6, dtype=torch.long)).beta
    logits = tie(images)
    assert torch.isfinite(beta).all()
    assert (beta * (logits.amax(1) - logits.amin(1)) <= 30 / 1e-3 * (1 + 1e-9)).all()
    flat = Hns()(lambda x: x[:, :1].repeat(1, 3), images, torch.zeros(6, dtype=torch.long)).beta
    assert torch.equal(flat, torch.ones(6, dtype=torch.float64))


def test_hns_gives_each_image_its_own_and_keeps_it():
    network, images = network64(), batch()
    labels = network(images).argmax(1)
    whole = Hns()(network, images, labels)
    alone = torch.cat([Hns()(network, images[i : i + 1], labels[i : i + 1]).beta for i in range(5)])
    assert torch.allclose(alone, whole.beta[:5], rtol=1e-9)
    mask = torch.arange(40) % 3 == 0
    assert torch.equal(whole.keep(mask).beta, whole.beta[mask])
    logits = network(images).detach()
    assert torch.equal(whole(logits, labels), logits * whole.beta[:, None])


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_the_published_search_picks_grid_points_or_one(classes):
    network = relu_network(1, (12,), classes=classes, dtype=torch.float64)
    images = batch(60, 1)
    logits = network(images).detach()
    labels = logits.argmax(1)
    labels[:10] = (labels[:10] + 1) % classes  # misclassified
    beta = Hns.paper()(network, images, labels).beta
    assert (beta[:10] == 1).all()
    top = logits.topk(2, dim=1).values
    gap = top[:, 0] - top[:, 1]
    low, high = confidence(1 - 1 / classes - 1e-2, classes), confidence(1e-72, classes)
    assert low == pytest.approx({2: 0.04, 10: 0.10648, 100: 0.7033}[classes], abs=1e-4)
    assert high == pytest.approx({2: 165.786, 10: 167.983, 100: 170.381}[classes], abs=1e-3)
    grid = torch.linspace(low, high, 100, dtype=torch.float64)
    off = ((beta * gap)[10:, None] - grid).abs().amin(1)
    assert ((off < 1e-9) | (beta[10:] == 1)).all()
    assert (off < 1e-9).sum() > 40
    assert not torch.isclose((beta * gap)[10:, None], grid[[0, -1]]).any()  # an end of the grid falls back to 1


def test_the_published_search_falls_back_to_one_on_a_tie():
    model = linear_model(0, (4,), torch.float64)
    tie = lambda x: model(x)[:, [1, 1, 0]] * 0 + x[:, [0, 0, 1]] * torch.tensor([1.0, 1.0, -1.0]).double()  # noqa: E731
    images = torch.rand(5, 4, dtype=torch.float64)
    assert torch.equal(Hns.paper()(tie, images, torch.zeros(5, dtype=torch.long)).beta, torch.ones(5).double())


def test_the_published_search_falls_back_to_one_at_an_end_of_its_grid():
    """One far rival with a large Jacobian: the norm is largest below the grid's first point."""
    rows = torch.tensor([[0.0, 0.0], [1e-4, 0.0], [0.0, 1e4]], dtype=torch.float64)
    bias = torch.tensor([1e-3, 0.0, -0.066], dtype=torch.float64)
    model = lambda x: (x - 0.5) @ rows.T * 1e-4 + bias  # noqa: E731
    images = torch.full((1, 2), 0.5, dtype=torch.float64)
    assert Hns.paper()(model, images, LABELS[:1]).beta.item() == 1.0
    assert Hns()(model, images, LABELS[:1]).beta.item() != 1.0


def wide(classes=60, seed=3):
    """A network of many classes with the images that it is shown, and labels of which some are wrong."""
    network, images = relu_network(seed, (12,), classes=classes, dtype=torch.float64), batch(30, seed)
    labels = network(images).argmax(1)
    labels[:5] = (labels[:5] + 7) % classes
    return network, images, labels


def test_hns_among_few_rivals_is_hns_of_a_network_that_has_only_these_classes():
    network, images, labels = wide()
    found = Hns(rivals=20)(network, images, labels).beta
    for i in range(len(images)):
        logits = network(images[i : i + 1])[0]
        others = [k for k in logits.argsort(descending=True).tolist() if k != labels[i]][:20]
        kept = sorted([*others, int(labels[i])])
        alone = Hns()(lambda x, kept=kept: network(x)[:, kept], images[i : i + 1], labels[:1] * 0).beta
        assert torch.allclose(found[i], alone[0], rtol=1e-6)


def test_hns_among_few_rivals_reaches_the_largest_hessian_of_all_classes():
    network, images, labels = wide()
    logits, rows = jacobian(network, images)
    products = differences(rows, logits)
    full, among = (
        hessian_norm(products, logits, part(network, images, labels).beta[:, None]) for part in (Hns(), Hns(rivals=20))
    )
    assert (among / full).mean() > 0.99
    assert (among <= full * (1 + 1e-3)).all()  # the search among all classes is no worse anywhere


@pytest.mark.parametrize("rivals", [9, 20])
def test_rivals_that_leave_no_class_out_change_nothing(rivals):
    network, images, labels = wide(classes=10)
    every = Hns()(network, images, labels).beta
    assert torch.equal(Hns(rivals=rivals)(network, images, labels).beta, every)
    assert Hns(rivals=rivals).passes(10) == Hns().passes(10) == 11


def test_hns_takes_a_row_for_the_label_and_each_rival():
    network, images, labels = wide(classes=1000)
    counted = CountedModel(network)
    Hns(rivals=20)(counted, images, labels)
    forwards, backwards = (count / len(images) for count in counted.passes.snapshot())
    assert (forwards, backwards) == (1, 21)
    assert Hns(rivals=20).passes(1000) == 22
    assert Hns().passes(1000) == 1001


def test_hns_cuts_a_batch_whose_jacobian_would_not_fit(monkeypatch):
    network, images, labels = wide()
    whole = [part(network, images, labels).beta for part in (Hns(), Hns(rivals=20))]
    monkeypatch.setattr("quantattack.gradients._NUMBERS", 60 * 12 * 4)
    cut = [part(network, images, labels).beta for part in (Hns(), Hns(rivals=20))]
    assert all(torch.allclose(one, other, rtol=1e-9) for one, other in zip(whole, cut, strict=True))


def test_a_gram_matrix_is_summed_over_blocks_of_pixels(monkeypatch):
    network, images, _ = wide()
    logits, rows = jacobian(network, images)
    whole = differences(rows, logits)
    monkeypatch.setattr("quantattack.gradients._NUMBERS", 30 * 60 * 5)
    assert torch.allclose(differences(rows, logits), whole, rtol=1e-9, atol=1e-12)


def test_rivals_are_recorded_only_where_they_are_given():
    assert describe(Hns()) == {"part": "Hns", "points": 64, "published": False}
    assert describe(Hns(rivals=20)) == {"part": "Hns", "points": 64, "published": False, "rivals": 20}
    for wrong in (0, -1):
        with pytest.raises(InputError, match="rivals"):
            Hns(rivals=wrong)
    with pytest.raises(InputError, match="published"):
        Hns(published=True, rivals=20)
