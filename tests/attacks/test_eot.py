import pytest
import torch
from torch import nn

from quantattack.attacks.eot import Eot, Mean
from quantattack.attacks.losses import log_odds
from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import fgsm, pgd
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.evaluation.models import CountedModel
from quantattack.gradients import gradient
from quantattack.record.description import describe

THREAT = Threat(Linf(), 0.1)


class Noisy(nn.Module):
    def __init__(self, model, size):
        super().__init__()
        self.model, self.size = model, size

    def forward(self, x):
        return self.model(x + self.size * torch.randn_like(x))


@pytest.mark.parametrize("draws", [1, 2, 4])  # powers of two: the mean of equal logits is exact
def test_a_model_without_noise_is_attacked_as_ever(network, images, labels, draws):
    attack = pgd(THREAT, steps=3)
    assert torch.equal(Eot(attack, draws)(network, images, labels), attack(network, images, labels))


def test_every_draw_is_a_pass(network, images, labels):
    host = CountedModel(network)
    Eot(fgsm(THREAT), 5)(host, images, labels)
    assert host.passes.snapshot() == (5 * len(images), 5 * len(images))


def test_the_mean_of_more_draws_points_nearer_the_noiseless_gradient(network, images, labels):
    torch.manual_seed(0)
    exact = gradient(network, images, lambda a: log_odds(a, labels))[1].flatten(1)

    def nearness(draws):
        found = gradient(Mean(Noisy(network, 0.5), draws), images, lambda a: log_odds(a, labels))[1].flatten(1)
        return float(torch.cosine_similarity(found, exact, dim=1).mean())

    assert nearness(64) > nearness(1) + 0.05


def test_it_breaks_more_of_a_noisy_model_than_one_draw_does(digits):
    torch.manual_seed(0)
    model, images, labels = digits
    noisy = Noisy(model, 0.5).eval()

    def stands(attack):
        final = attack(noisy, images, labels)
        return float((Mean(noisy, 50)(final).argmax(1) == labels).float().mean())

    with torch.no_grad():
        plain = stands(pgd(THREAT, steps=10))
        averaged = stands(Eot(pgd(THREAT, steps=10), 20))
    assert averaged < plain - 0.03


def test_its_settings_are_in_the_record():
    assert describe(Eot(fgsm(THREAT), 3))["draws"] == 3
    assert describe(Eot(fgsm(THREAT), 3))["attack"]["part"] == "Ascent"


@pytest.mark.parametrize("draws", [0, -1, 1.5, True])
def test_draws_are_a_whole_number(draws):
    with pytest.raises((InputError, TypeError)):
        Eot(fgsm(THREAT), draws)
