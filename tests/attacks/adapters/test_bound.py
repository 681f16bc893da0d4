"""Attacks that somebody has already made: bound, bare, counted where they hold a slot, and flagged by name."""

import functools

import pytest
import torch

import quantattack as qa
from quantattack.attacks.adapters import Slot, bound
from quantattack.attacks.adapters.bound import Called
from quantattack.record.description import describe

THREAT = qa.Threat(qa.Linf(), 0.2)


class Toolkit:
    """An attack as other libraries have it: built on a model, called with images and labels."""

    def __init__(self, model, eps, steps=3):
        self.model, self.eps, self.steps = model, eps, steps

    def __call__(self, images, labels):
        x = images.clone()
        for _ in range(self.steps):
            x.requires_grad_()
            loss = torch.nn.functional.cross_entropy(self.model(x), labels, reduction="sum")
            (grad,) = torch.autograd.grad(loss, x)
            x = torch.clamp(
                images + torch.clamp(x.detach() + self.eps * grad.sign() - images, -self.eps, self.eps), 0, 1
            )
        return x


def bare(model, images, labels):
    """An attack of three arguments."""
    return Toolkit(model, 0.2)(images, labels)


def evaluated(**attacks):
    images, labels = qa.load_data("digits")
    return qa.evaluate(qa.load_model("digits-float"), images[:40], labels[:40], attacks, THREAT)


def test_a_bound_attack_is_judged_as_the_same_one_bare_and_counted_where_it_holds_a_slot():
    slot = Slot(qa.load_model("digits-float"))
    uncounted = Toolkit(qa.load_model("digits-float"), 0.2)
    record = evaluated(bare=bare, bound=bound(Toolkit(slot, 0.2), slot), uncounted=bound(uncounted))
    assert record.robust("bare") == record.robust("bound") == record.robust("uncounted") < record.clean
    right = record.column("bare", "clean_prediction") == record.column("bare", "label")
    for name, passes in (("bare", 3), ("bound", 3), ("uncounted", 0)):
        assert set(record.column(name, "forwards")[right]) == {passes}
        assert set(record.column(name, "backwards")[right]) == {passes}
    assert not slot.guests


def test_rounding_at_the_ball_s_edge_is_no_breach():
    record = evaluated(bare=bare)
    assert record.column("bare", "inside").all()
    assert "outside_threat" not in record.codes
    far = evaluated(far=bound(lambda images, labels: torch.clamp(images + 0.2002, 0, 1)))
    assert "outside_threat" in far.codes


def test_what_cannot_describe_itself_is_flagged_by_its_name():
    model = qa.load_model("digits-float")
    record = evaluated(bare=bare, named=bound(functools.partial(bare, model).func.__get__(model)), pgd=qa.pgd(THREAT))
    assert record.settings("bare") == "bare"
    assert "only a name is known of bare (bare), named (" in record.codes["opaque"]
    assert "pgd" not in record.codes["opaque"].replace("torch", "")
    shown = evaluated(toolkit=bound(Toolkit(model, 0.2)))
    assert "opaque" not in shown.codes
    assert shown.settings("toolkit")["attack"].endswith("Toolkit(eps=0.2, steps=3)")


def test_the_slot_s_model_is_part_of_the_description():
    one, other = (bound(bare, Slot(qa.load_model(name))) for name in ("digits-float", "digits-mdtanhs"))
    assert describe(one) != describe(other)
    assert describe(one)["attack"].endswith("test_bound.bare")
    assert Called(bare) == Called(bare) != Called(evaluated)


def test_an_empty_batch_and_a_failing_attack_leave_the_slot_free():
    slot = Slot(qa.load_model("digits-float"))
    assert bound(bare, slot)(slot.model, torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.long)).shape[0] == 0
    with pytest.raises(TypeError):
        bound(bare, slot)(slot.model, torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.long))
    assert not slot.guests


def test_what_is_bound_must_be_a_function_and_takes_no_radius_of_an_image():
    with pytest.raises(qa.InputError, match="bound needs"):
        bound(3)
    with pytest.raises(qa.InputError, match="adapter"):
        bound(lambda x, y: x)(
            lambda x: x.flatten(1), torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.long), radius=torch.ones(2)
        )
