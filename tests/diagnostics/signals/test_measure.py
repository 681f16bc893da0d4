import pytest
import torch

from quantattack.data.probe import draw_probe
from quantattack.diagnostics.signals.measure import case_of, clever_signals, propagation_signals
from quantattack.errors import InputError


@pytest.fixture(scope="module")
def case(request):
    model, images, labels = request.getfixturevalue("digits")
    return case_of(model, images, labels, 20, (0.5,))


def test_a_case_is_of_the_first_correct_images(digits):
    model, images, labels = digits
    wrong = labels.clone()
    wrong[[0, 5]] = (model(images[[0, 5]]).argmax(1) + 1) % 10
    case = case_of(model, images, wrong, 12)
    with torch.no_grad():
        expected = (model(images).argmax(1) == wrong).nonzero()[:12, 0]
    assert torch.equal(case.index, expected)
    assert not {0, 5} & set(case.index.tolist())
    assert torch.equal(case.images, images[expected])
    assert (case.unit, len(case.probe)) == ("pixel", 100)


def test_a_model_that_is_always_wrong_is_refused(digits):
    model, images, _ = digits
    with torch.no_grad():
        wrong = (model(images).argmax(1) + 1) % 10
    with pytest.raises(InputError, match="classifies no image correctly"):
        case_of(model, images, wrong, 5)


def test_a_jacobian_that_does_not_fit_is_refused_and_few_are_held_at_once(case, monkeypatch):
    whole = propagation_signals("net", "digits", case)
    each = 10 * case.images[0].numel()
    monkeypatch.setattr("quantattack.gradients._NUMBERS", 3 * each)
    in_threes = propagation_signals("net", "digits", case)
    assert in_threes[0].numbers["error"] == pytest.approx(whole[0].numbers["error"], rel=1e-4)
    monkeypatch.setattr("quantattack.gradients._NUMBERS", each - 1)
    with pytest.raises(InputError, match="look at the whole Jacobian"):
        propagation_signals("net", "digits", case)


def test_a_probe_is_drawn_the_same_again(digits):
    images = digits[1]
    assert torch.equal(draw_probe(images, 10), draw_probe(images, 10))
    assert not torch.equal(draw_probe(images, 10), images[:10])
    assert len(draw_probe(images, 500)) == len(images)


def test_propagation_is_at_every_temperature_and_as_json(case):
    signals = propagation_signals("net", "digits", case)
    kinds = [(one.quantity, one.temperature) for one in signals]
    names = ["unit", "njs", "hns_paper", "hns", "gap"]
    assert kinds == [*((q, name) for name in names for q in ("propagation", "singular_values")), ("curves", "")]
    assert {one.unit for one in signals} == {"normalized"}
    assert signals[0].numbers["image"] == case.index.tolist()
    assert signals[0].numbers["beta"] == [1.0] * 20
    assert sum(signals[1].numbers["counts"]) + signals[1].numbers["zeros"] == 200


def test_curves_are_of_the_median_image_and_agree_with_the_measurement(case):
    *found, last = propagation_signals("net", "digits", case)
    curve, at = last.numbers, {one.temperature: one.numbers for one in found if one.quantity == "propagation"}
    place = at["unit"]["image"].index(curve["image"])
    with torch.no_grad():
        top = case.model(case.images).topk(2, dim=1).values
    gaps = top[:, 0] - top[:, 1]
    assert curve["margin"] == pytest.approx(float(gaps.sort().values[10]), rel=1e-4)
    assert curve["marks"] == {name: numbers["beta"][place] for name, numbers in at.items()}
    beta = torch.tensor(curve["beta"])
    near = int((beta - curve["marks"]["gap"]).abs().argmin())
    assert curve["error"][near] == pytest.approx(at["gap"]["error"][place], rel=0.1)
    assert curve["gradient"][near] == pytest.approx(at["gap"]["gradient"][place], rel=0.1)
    peak = int(torch.tensor(curve["hessian"]).argmax())
    assert float(beta[peak]) == pytest.approx(curve["marks"]["hns"], abs=1.01 * float(beta[1] - beta[0]))


def test_clever_is_of_the_first_images(case):
    signals = clever_signals("net", "digits", case, 1)
    assert [one.numbers["image"] for one in signals] == [case.index[:1].tolist()] * 5
