"""Attacks toward a class: the criterion fits the loss, and `evaluate` counts what ends as the target."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from quantattack import (
    AgainstRival,
    Apgd,
    Ascent,
    Ensemble,
    InputError,
    Linf,
    MinimumNorm,
    Record,
    Restarts,
    Threat,
    apgd,
    cross_entropy,
    evaluate,
    fgsm,
    hits,
    load_data,
    load_model,
    log_odds,
    margin,
    misclassified,
    pgd,
    square,
    targeted,
    targeted_dlr,
)
from quantattack.attacks.base import success_of
from quantattack.attacks.square import Square

THREAT = Threat(Linf(), 0.3)


def data(count: int = 48) -> tuple[Tensor, Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:count], labels[:count], (labels[:count] + 3) % 10


TARGETED = {
    "pgd": lambda: pgd(THREAT, loss=targeted(log_odds)),
    "pgd restarted": lambda: pgd(THREAT, loss=targeted(margin), restarts=2),
    "fgsm": lambda: fgsm(THREAT, loss=targeted(cross_entropy)),
    "apgd": lambda: apgd(THREAT, loss=targeted_dlr, steps=20),
    "square": lambda: Square(threat=THREAT, queries=200, solved=hits),
    "ensemble": lambda: Ensemble({"one": pgd(THREAT, loss=targeted(log_odds))}),
    "radius": lambda: MinimumNorm(pgd(THREAT, loss=targeted(log_odds)), THREAT, searches=2, solved=hits),
}


@pytest.mark.parametrize("make", TARGETED.values(), ids=TARGETED)
def test_success_is_the_target_and_nothing_else(make: Any):
    images, labels, targets = data()
    assert success_of(make()) is hits
    record = evaluate(load_model("digits-float"), images, labels, {"to": make()}, THREAT, targets=targets)
    right = record.column("to", "clean_prediction") == labels.numpy()
    reached = (record.column("to", "prediction") == targets.numpy()) & (record.column("to", "inside") == 1)
    assert np.array_equal(record.broken("to"), reached | ~right)
    assert reached.sum() >= 1
    assert np.isnan(record.column("to", "step")[~reached & right]).all()


@pytest.mark.parametrize("make", TARGETED.values(), ids=TARGETED)
def test_a_targeted_attack_without_targets_is_refused(make: Any):
    images, labels, _ = data()
    with pytest.raises(InputError, match="climbs toward its labels; say what it is to reach with targets"):
        evaluate(load_model("digits-float"), images, labels, {"to": make()}, THREAT)
    evaluate(load_model("digits-float"), images, labels, {"rival": AgainstRival(make())}, THREAT)


UNTARGETED = {
    "pgd": lambda: pgd(THREAT),
    "apgd": lambda: apgd(THREAT),
    "square": lambda: square(THREAT, 10),
    "restarts": lambda: Restarts(fgsm(THREAT), 2),
}


@pytest.mark.parametrize("make", UNTARGETED.values(), ids=UNTARGETED)
def test_an_attack_that_climbs_away_takes_no_targets(make: Any):
    images, labels, targets = data()
    with pytest.raises(InputError, match="climbs away from its labels"):
        evaluate(load_model("digits-float"), images, labels, {"to": make()}, THREAT, targets=targets)


MISFITS = {
    "ascent": lambda: Ascent(threat=THREAT, step_size=0.1, steps=2, loss=targeted(margin)),
    "apgd": lambda: Apgd(threat=THREAT, loss=targeted_dlr),
    "ascent away": lambda: Ascent(threat=THREAT, step_size=0.1, steps=2, loss=cross_entropy, solved=hits),
    "apgd away": lambda: Apgd(threat=THREAT, loss=log_odds, solved=hits),
    "radius": lambda: MinimumNorm(pgd(THREAT, loss=targeted(margin)), THREAT),
}


@pytest.mark.parametrize("make", MISFITS.values(), ids=MISFITS)
def test_a_criterion_that_does_not_fit_the_loss_is_refused(make: Any):
    with pytest.raises(InputError, match="solved=hits"):
        make()


def test_the_recipes_choose_the_criterion_of_their_loss():
    for recipe in (pgd, fgsm, apgd):
        assert success_of(recipe(THREAT, loss=targeted(margin))) is hits
        assert success_of(recipe(THREAT, loss=margin)) is misclassified


@pytest.mark.parametrize("targets", [torch.zeros(47, dtype=torch.long), torch.zeros(48)], ids=str)
def test_targets_are_one_class_an_image(targets: Any):
    images, labels, _ = data()
    with pytest.raises(InputError, match="targets must"):
        evaluate(load_model("digits-float"), images, labels, TARGETED["pgd"](), THREAT, targets=targets)


def test_targets_belong_to_the_run_and_are_read_back(tmp_path: Path):
    images, labels, targets = data()
    given: Any = (load_model("digits-float"), images, labels, TARGETED["pgd"](), THREAT)
    indices = torch.arange(len(labels)) + 100
    record = evaluate(*given, targets=targets, out=tmp_path, indices=indices)
    broken = Record.load(tmp_path).broken("attack")
    assert np.array_equal(broken, record.broken("attack"))
    assert np.array_equal(record.by_attack["attack"].targets, targets.numpy())
    with pytest.raises(InputError, match="its attacks differ"):
        evaluate(*given, targets=(targets + 1) % 10, out=tmp_path, indices=indices)
    untargeted = evaluate(given[0], images, labels, pgd(THREAT), THREAT)
    assert untargeted.by_attack["attack"].targets is None
