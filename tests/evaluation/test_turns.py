"""Attacks of a later turn: they run on what the earlier ones left, and their row is what all of them leave together."""

import numpy as np
import pytest
import torch

import quantattack as qa
from quantattack.attacks.closeness import Probe, WhileClose
from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import apgd, fgsm, pgd, square
from quantattack.attacks.threat import Threat
from quantattack.evaluation.evaluate import evaluate
from quantattack.nn.zoo import card_of
from quantattack.report.page import write_page

THREAT = Threat(Linf(), 0.1)
LATE = Probe(WhileClose(apgd(THREAT, steps=5), 0.5), fgsm(THREAT))


def data(count=24):
    images, labels = qa.load_data(card_of("digits-float").data)
    return images[:count], labels[:count]


def evaluated(**settings):
    attacks = {"late": LATE, "fgsm": fgsm(THREAT), "pgd": pgd(THREAT, steps=5)}
    return evaluate(qa.load_model("digits-float"), *data(), attacks, THREAT, **settings)


def test_a_later_attack_takes_over_what_was_broken_at_no_cost():
    record = evaluated()
    before = record.broken("fgsm") | record.broken("pgd")
    cost = record.column("late", "forwards") + record.column("late", "backwards")
    attacked = before & (record.column("late", "label") == record.column("late", "clean_prediction"))
    assert attacked.any()
    assert not attacked.all()
    assert (cost[attacked] == 0).all()
    assert (cost[~before] > 0).all()
    assert record.broken("late")[before].all()
    assert record.robust("late") == record.worst_case


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 7}, {"part": (1, 1)}], ids=str)
def test_its_verdicts_do_not_depend_on_how_the_work_is_cut(settings):
    whole, cut = evaluated(), evaluated(**settings)
    for column in ("prediction", "image"):
        assert np.array_equal(whole.column("late", column), cut.column("late", column))


def test_its_images_are_those_of_the_attack_that_broke_them():
    record, attacked = evaluated(return_images=True)
    broken = torch.from_numpy(record.broken("fgsm"))
    assert broken.any()
    assert torch.equal(attacked["late"][broken], attacked["fgsm"][broken])


def test_a_page_says_what_was_run_last(tmp_path):
    evaluated(out=tmp_path).store.close()
    page = write_page(tmp_path).read_text(encoding="utf-8")
    assert "<code>late</code> was run last, on what the others had left." in page
    assert page.count("was run last") == 1


class Misleading(torch.nn.Module):
    """Computes one thing and differentiates as its opposite."""

    def __init__(self):
        super().__init__()
        self.network = qa.load_model("digits-float")

    def forward(self, images):
        logits = self.network(images)
        return 2 * logits.detach() - logits


def test_what_it_took_over_is_no_success_of_its_gradient():
    wide = Threat(Linf(), 0.2)
    attacks = {
        "pgd": pgd(wide, steps=3),
        "square": square(wide, 100),
        "late": Probe(pgd(wide, steps=3), fgsm(wide)),
    }
    record = evaluate(Misleading().eval(), *data(64), attacks, wide)
    assert record.codes["black_box_wins"].startswith("square breaks")
