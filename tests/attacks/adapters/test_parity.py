"""Plain FGSM, PGD-Linf and PGD-L2 are the peers' ones, pixel by pixel; APGD is AutoAttack's, in robust accuracy.

Where an L2 ball meets the end of the pixel range the peers project onto the ball and then cut, which is not the nearest
point; ours is.  So the images here keep away from the range's ends.
"""

from dataclasses import replace

import pytest
import torch

import quantattack as qa
from attacks.adapters.peers import need
from quantattack.attacks import adapters
from quantattack.attacks.losses import dlr
from quantattack.attacks.recipes import apgd, fgsm, pgd

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
LINF, EUCLID = qa.Threat(qa.Linf(), 0.05), qa.Threat(qa.L2(), 0.5)
STEP, LENGTH = LINF.radius / 4, EUCLID.radius / 5
STILL = {"random_start": False}

OURS = {
    "fgsm": fgsm(LINF, random_start=False),
    "pgd linf": replace(pgd(LINF, steps=20, random_start=False), last_iterate=True),
    "pgd l2": replace(pgd(EUCLID, steps=20, step_size=LENGTH, random_start=False), last_iterate=True),
}
THEIRS = {
    ("torchattacks", "fgsm"): lambda: adapters.TorchAttacks(LINF, "FGSM"),
    ("torchattacks", "pgd linf"): lambda: adapters.TorchAttacks(LINF, "PGD", {"alpha": STEP, "steps": 20, **STILL}),
    ("torchattacks", "pgd l2"): lambda: adapters.TorchAttacks(EUCLID, "PGDL2", {"alpha": LENGTH, "steps": 20, **STILL}),
    ("foolbox", "fgsm"): lambda: adapters.Foolbox(LINF, "LinfFastGradientAttack", STILL),
    ("foolbox", "pgd linf"): lambda: adapters.Foolbox(LINF, "LinfPGD", {"abs_stepsize": STEP, "steps": 20, **STILL}),
    ("foolbox", "pgd l2"): lambda: adapters.Foolbox(EUCLID, "L2PGD", {"abs_stepsize": LENGTH, "steps": 20, **STILL}),
    ("art", "fgsm"): lambda: adapters.Art(LINF, "FastGradientMethod"),
    ("art", "pgd linf"): lambda: adapters.Art(LINF, "ProjectedGradientDescent", {"eps_step": STEP, "max_iter": 20}),
    ("art", "pgd l2"): lambda: adapters.Art(EUCLID, "ProjectedGradientDescent", {"eps_step": LENGTH, "max_iter": 20}),
}


def batch():
    """A float network, 64 images away from the range's ends, and its predictions."""
    model = qa.load_model("digits-float")
    images = 0.3 + 0.4 * qa.load_data("digits")[0][:64]
    with torch.no_grad():
        return model, images, model(images).argmax(1)


@pytest.mark.parametrize(("extra", "name"), THEIRS)
def test_without_a_random_start_the_images_are_the_peer_s(extra, name):
    need(extra)
    model, images, labels = batch()
    ours, theirs = OURS[name](model, images, labels), THEIRS[extra, name]()(model, images, labels)
    assert (ours - images).abs().max() > 0.01
    assert ((ours - theirs).abs() > 1e-6).double().mean() <= 1e-4


@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_apgd_is_autoattacks(loss):
    """On 200 images and three seeds each; the record of 500 images is in results/peers/apgd.json."""
    need("autoattack")
    model, (images, labels) = qa.load_model("digits-float"), qa.load_data("digits")
    threat = qa.Threat(qa.Linf(), 0.1)
    ours = apgd(threat, steps=50) if loss == "ce" else apgd(threat, steps=50, loss=dlr)
    theirs = adapters.AutoAttack(threat, "custom", f"apgd-{loss}", steps=50)
    robust = {"ours": 0.0, "theirs": 0.0}
    for seed in range(3):
        for name, attack in (("ours", ours), ("theirs", theirs)):
            record = qa.evaluate(model, images[:200], labels[:200], {name: attack}, threat, seed=seed, batch_size=200)
            robust[name] += record.robust(name) / 3
    assert 0.2 < robust["theirs"] < 0.8
    assert robust["ours"] == pytest.approx(robust["theirs"], abs=0.01)
