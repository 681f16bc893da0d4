"""The adapters with the real libraries: they fool, stay inside, are counted, and leave everything as it was."""

import numpy as np
import pytest
import torch

import quantattack as qa
from attacks.adapters.peers import need
from networks import Times, relu_network
from quantattack.attacks import adapters
from quantattack.attacks.scaling.logits import OnScaled
from quantattack.record.description import describe, stable
from quantattack.rng import Rng

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
LINF = qa.Threat(qa.Linf(), 0.2)
EUCLID = qa.Threat(qa.L2(), 2.5)
PGD = {"eps_step": 0.05, "max_iter": 20}
ATTACKS = {
    "foolbox pgd": ("foolbox", lambda: adapters.Foolbox(LINF, "LinfPGD", {"abs_stepsize": 0.05, "steps": 20})),
    "foolbox deepfool": ("foolbox", lambda: adapters.Foolbox(LINF, "LinfDeepFoolAttack")),
    "foolbox carlini-wagner": (
        "foolbox",
        lambda: adapters.Foolbox(EUCLID, "L2CarliniWagnerAttack", {"steps": 100, "binary_search_steps": 3}),
    ),
    "foolbox ddn": ("foolbox", lambda: adapters.Foolbox(EUCLID, "DDNAttack")),
    "foolbox fmn": ("foolbox", lambda: adapters.Foolbox(LINF, "LInfFMNAttack")),
    "art pgd": ("art", lambda: adapters.Art(LINF, "ProjectedGradientDescent", PGD)),
    "art apgd": ("art", lambda: adapters.Art(LINF, "AutoProjectedGradientDescent", {**PGD, "nb_random_init": 1})),
    "art deepfool": ("art", lambda: adapters.Art(EUCLID, "DeepFool", {"max_iter": 20})),
    "art square": ("art", lambda: adapters.Art(LINF, "SquareAttack", {"max_iter": 200})),
    "torchattacks pgd": ("torchattacks", lambda: adapters.TorchAttacks(LINF, "PGD", {"alpha": 0.05})),
    "torchattacks apgd": ("torchattacks", lambda: adapters.TorchAttacks(LINF, "APGD")),
    "torchattacks cw": ("torchattacks", lambda: adapters.TorchAttacks(EUCLID, "CW", {"steps": 100})),
    "autoattack": ("autoattack", lambda: adapters.AutoAttack(LINF, "custom", "apgd-ce+apgd-t+fab-t+square")),
    "secml pgd": (
        "secml",
        lambda: adapters.Secml(LINF, "PGD", {"num_steps": 20, "step_size": 0.05, "backend": "native"}),
    ),
    "secml fmn": ("secml", lambda: adapters.Secml(LINF, "FMN", {"num_steps": 50, "step_size": 0.5})),
    "secml ddn": ("secml", lambda: adapters.Secml(EUCLID, "DDN", {"num_steps": 50, "eps_init": 1.0})),
}
GRADIENT_FREE = {"art square"}
every = pytest.mark.parametrize("name", ATTACKS)


def peer(name):
    extra, make = ATTACKS[name]
    need(extra)
    return make()


@every
def test_it_fools_a_float_network_is_judged_and_counted(name):
    attack = peer(name)
    images, labels = qa.load_data("digits")
    record = qa.evaluate(qa.load_model("digits-float"), images[:24], labels[:24], {name: attack}, attack.threat)
    assert record.robust(name) <= record.clean - 0.5
    assert record.column(name, "inside").all()
    assert not set(record.codes) & {"opaque", "outside_threat"}
    right = record.column(name, "clean_prediction") == record.column(name, "label")
    assert (record.column(name, "forwards")[right] > 1).all()
    assert (record.column(name, "backwards")[right] > 1).all() == (name not in GRADIENT_FREE)


@every
def test_the_same_seed_gives_the_same_images_and_nothing_is_left_changed(name):
    attack, network = peer(name), relu_network(0, (1, 8, 8))
    images, labels = qa.load_data("digits")
    images, labels = images[:6].clone(), labels[:6].clone()
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    before, clean = (torch.get_rng_state(), np.random.get_state()[1].tolist()), images.clone()  # noqa: NPY002
    first = attack(network, images, labels, rng=Rng(3, torch.arange(6)))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.equal(images, clean)
    assert not first.requires_grad
    assert all(p.requires_grad and torch.equal(p.grad, torch.ones_like(p)) for p in network.parameters())
    assert not any(module.training for module in network.modules())
    assert torch.equal(first, attack(network, images, labels, rng=Rng(3, torch.arange(6))))


@every
def test_it_describes_itself_and_takes_any_batch(name):
    attack = peer(name)
    described = describe(attack)
    assert " at 0x" not in stable(described)
    assert described["threat"] == describe(attack.threat)
    network = relu_network(2, (1, 8, 8))
    for count in (0, 1):
        clean = torch.full((count, 1, 8, 8), 0.5)
        found = attack(network, clean, torch.zeros(count, dtype=torch.long))
        assert found.shape == clean.shape
        assert attack.threat.contains(found, clean, 1e-6).all()


@pytest.mark.parametrize("name", ["foolbox pgd", "art pgd", "torchattacks pgd", "secml pgd"])
def test_each_image_keeps_to_its_own_radius(name):
    attack, network = peer(name), relu_network(2, (1, 8, 8))
    clean, labels = torch.full((4, 1, 8, 8), 0.5), torch.arange(4)
    radius = torch.tensor([0.05, 0.0, 0.05, 0.1], dtype=torch.float64)
    found = attack(network, clean, labels, radius=radius)
    sizes = (found - clean).abs().flatten(1).amax(1).double()
    assert (sizes <= radius + 1e-6).all()
    assert sizes[1] == 0
    assert sizes[3] > 0.05


@pytest.mark.parametrize("name", ["foolbox pgd", "art pgd", "torchattacks pgd", "secml pgd"])
def test_a_peer_that_stands_still_climbs_at_a_temperature(name):
    attack = peer(name)
    images, labels = qa.load_data("digits")
    model = Times(qa.load_model("digits-float"), 1024.0).eval()
    attacks = {"plain": attack, "scaled": OnScaled(attack, qa.Gap())}
    record = qa.evaluate(model, images[:24], labels[:24], attacks, LINF)
    assert record.robust("plain") - record.robust("scaled") >= 0.3
    assert record.column("scaled", "backwards").mean() > 5


class Rough(torch.nn.Module):
    """Class 1 where the pixels vary much, as they do in any noise, else class 0."""

    def forward(self, images):
        score = 50 * (images.flatten(1).var(1) - 0.02)
        return torch.stack([-score, score], 1)


def test_a_start_that_fails_stays_with_its_image():
    """Noise fools the model on the flat image; no noise does on the checkered one, and foolbox alone gives up both."""
    need("foolbox")
    checkered = (torch.arange(16).reshape(1, 4, 4) % 2).float()
    images, labels = torch.stack([torch.full((1, 4, 4), 0.5), checkered]), torch.tensor([0, 1])
    attack = adapters.Foolbox(qa.Threat(qa.Linf(), 0.4), "LinfinityBrendelBethgeAttack", {"steps": 10})
    found = attack(Rough(), images, labels)
    assert Rough()(found).argmax(1).tolist() == [1, 1]
    assert torch.equal(found[1], images[1])
    assert 0.1 < (found[0] - images[0]).abs().amax() < 0.4


def test_settings_that_a_peer_does_not_take_are_refused_in_one_line():
    for extra, make, words in (
        ("foolbox", lambda: adapters.Foolbox(LINF, "LinfPGDD"), "did you mean"),
        ("foolbox", lambda: adapters.Foolbox(LINF, "LinfPGD", {"step": 3}), "takes no setting 'step'"),
        ("art", lambda: adapters.Art(LINF, "DeepFool", {"steps": 3}), "takes no setting 'steps'"),
        ("torchattacks", lambda: adapters.TorchAttacks(LINF, "PDG"), "unknown attack of torchattacks"),
        ("secml", lambda: adapters.Secml(LINF, "PGD", {"steps": 3}), "takes no setting 'steps'"),
    ):
        need(extra)
        with pytest.raises(qa.InputError, match=words) as refusal:
            make()
        assert "\n" not in str(refusal.value)
