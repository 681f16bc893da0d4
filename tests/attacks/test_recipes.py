"""Recipes: what their papers' names stand for."""

import pytest
import torch

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.directions import Quantized, steepest
from quantattack.attacks.losses import cross_entropy, log_odds, margin
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import fgsm, fgsm_plus, pgd, pgd_plus, pqgd, square, usual_step
from quantattack.attacks.scaling.base import unit
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.success import misclassified
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Restarts
from quantattack.errors import InputError

LINF, EUCLID, MANHATTAN = Threat(Linf(), 8 / 255), Threat(L2(), 120 / 255), Threat(L1(), 12.0)


@pytest.mark.parametrize(
    ("threat", "steps", "size"),
    [
        (LINF, 20, 2 / 255),
        (LINF, 10, 2 / 255),
        (EUCLID, 20, 15 / 255),
        (Threat(L2(), 60 / 255), 10, 15 / 255),
        (MANHATTAN, 20, 1.5),
    ],
)
def test_the_usual_step_is_the_papers(threat, steps, size):
    assert usual_step(threat, steps) == pytest.approx(size)
    assert pgd(threat, steps=steps).step_size == pytest.approx(size)
    assert pgd_plus(threat, Gap(), steps=steps).step_size == pytest.approx(size)
    assert pgd(threat, steps=steps, step_size=0.001).step_size == 0.001


def test_defaults_of_pgd():
    assert pgd(LINF) == Ascent(
        threat=LINF,
        step_size=LINF.radius / 4,
        steps=20,
        loss=cross_entropy,
        temperature=unit,
        transforms=(),
        direction=steepest,
        solved=misclassified,
        random_start=True,
        last_iterate=False,
    )
    assert pgd(LINF, restarts=7) == Restarts(pgd(LINF), 7)
    assert pgd(LINF, loss=margin).loss is margin
    assert not pgd(LINF, random_start=False).random_start


def test_fgsm_is_one_step_of_the_whole_radius():
    assert fgsm(EUCLID) == Ascent(threat=EUCLID, step_size=EUCLID.radius, steps=1)
    assert not fgsm(EUCLID, random_start=False).random_start
    assert fgsm_plus(LINF, Hns()) == Ascent(threat=LINF, step_size=LINF.radius, steps=1, temperature=Hns())


@pytest.mark.parametrize("recipe", [fgsm_plus, pgd_plus])
@pytest.mark.parametrize("temperature", [Njs(2.0), Hns(), Hns.paper(), Fixed(0.1), Gap()], ids=str)
def test_gap_climbs_the_log_odds_and_the_published_temperatures_cross_entropy(recipe, temperature):
    attack = recipe(LINF, temperature)
    assert attack.temperature == temperature
    assert attack.loss is (log_odds if isinstance(temperature, Gap) else cross_entropy)


def test_pqgd_steps_by_levels():
    assert pqgd(LINF).direction == Quantized(100)
    assert pqgd(LINF, 200, steps=40, step_size=0.01, restarts=2) == Restarts(
        Ascent(threat=LINF, step_size=0.01, steps=40, direction=Quantized(200)), 2
    )


def test_pqgd_with_one_level_is_pgd(network, images, labels):
    assert torch.equal(pqgd(LINF, 1)(network, images, labels), pgd(LINF)(network, images, labels))


@pytest.mark.parametrize("threat", [EUCLID, MANHATTAN], ids=["l2", "l1"])
def test_pqgd_outside_linf_is_refused_with_one_line(threat):
    with pytest.raises(InputError, match="linf") as refusal:
        pqgd(threat)
    assert "\n" not in str(refusal.value)


def test_square_takes_any_norm_and_its_queries():
    assert [square(threat, 70).queries for threat in (LINF, EUCLID, MANHATTAN)] == [70, 70, 70]
