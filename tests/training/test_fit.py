import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from quantattack.data.sets import load_data
from quantattack.errors import InputError
from quantattack.nn.architectures import Small
from quantattack.nn.convert import freeze, quantize
from quantattack.nn.quantizers import BinaryConnect, BnnWaq, GdTanh, MdTanhS, Sign
from quantattack.training.fit import accuracy, fit
from quantattack.training.latent import latents, starved, warn_starved
from quantattack.training.schedules import Constant, Growth, OneCycle, Ramp, Rise, Steps
from quantattack.training.settings import Settings

IMAGES, LABELS = (part[:256] for part in load_data("digits", split="train"))
SETTINGS = Settings(epochs=3, batch_size=64, rate=OneCycle(1e-2), beta=Ramp(100.0), augment="shift", seed=3)


def network(weights=None, activations=None):
    torch.manual_seed(0)
    return quantize(Small(width=8), weights=weights, activations=activations)


def same(one, other):
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


@pytest.mark.parametrize(("weights", "activations"), [(None, None), (MdTanhS(), None), (BnnWaq(), Sign())], ids=str)
def test_training_learns_and_reports_the_final_form(weights, activations):
    model = network(weights, activations)
    settings = replace(SETTINGS, epochs=12, augment="none")
    history = fit(model, IMAGES, LABELS, settings, watch=(IMAGES, LABELS))
    assert history[-1].accuracy == accuracy(freeze(model), IMAGES, LABELS) > 0.8
    assert [epoch.index for epoch in history] == list(range(12))


def test_the_same_seed_trains_the_same_network():
    one, other, third = (network(MdTanhS()) for _ in range(3))
    fit(one, IMAGES, LABELS, SETTINGS)
    torch.rand(7)  # the global random state plays no part
    fit(other, IMAGES, LABELS, SETTINGS)
    fit(third, IMAGES, LABELS, replace(SETTINGS, seed=4))
    assert same(one, other)
    assert not same(one, third)


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    model = network()
    torch.manual_seed(5)
    fit(model, IMAGES, LABELS, replace(SETTINGS, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_every_update_is_told_and_the_last_one_is_the_end():
    told = []
    fit(network(), IMAGES, LABELS, SETTINGS, advance=lambda name, done, total: told.append((done, total)))
    assert told == [(64 * update, 3 * 256) for update in range(1, 3 * 4 + 1)]


def noisy(model, x, y):
    assert not model.training
    return (x + 0.1 * torch.rand_like(x)).clamp(0, 1)


class Killed(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_killed_training_ends_with_the_same_network_bit_for_bit(tmp_path, optimizer):
    settings = replace(SETTINGS, optimizer=optimizer)
    whole, broken, resumed = (network(MdTanhS()) for _ in range(3))
    expected = fit(whole, IMAGES, LABELS, settings, adversary=noisy)

    def kill(epoch):
        if epoch.index == 1:
            raise Killed

    with pytest.raises(Killed):
        fit(broken, IMAGES, LABELS, settings, adversary=noisy, keep=tmp_path / "state", progress=kill)
    history = fit(resumed, IMAGES, LABELS, settings, adversary=noisy, keep=tmp_path / "state")
    assert history == expected
    assert same(resumed, whole)


def test_a_foreign_or_damaged_state_is_refused(tmp_path):
    path = tmp_path / "state"
    fit(network(), IMAGES, LABELS, replace(SETTINGS, epochs=1), keep=path)
    with pytest.raises(InputError, match="another training"):
        fit(network(), IMAGES, LABELS, SETTINGS, keep=path)
    with pytest.raises(InputError, match="another training"):
        fit(network(), IMAGES, LABELS, replace(SETTINGS, epochs=1), keep=path, adversary=noisy)
    for more in ({"about": "other"}, {"labels": 9 - LABELS}, {"images": IMAGES[:200], "labels": LABELS[:200]}):
        given = {"images": IMAGES, "labels": LABELS, "settings": replace(SETTINGS, epochs=1), **more}
        with pytest.raises(InputError, match="another training"):
            fit(network(), keep=path, **given)
    with pytest.raises(InputError, match="another network"):
        fit(network(MdTanhS()), IMAGES, LABELS, replace(SETTINGS, epochs=1), keep=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="damaged"):
        fit(network(), IMAGES, LABELS, SETTINGS, keep=path)


def test_the_adversary_sees_the_projected_weights_and_fixed_statistics():
    seen = []

    def watchful(model, x, y):
        weight = model.head.weight
        latent = model.head.parametrizations["weight"].original
        beta = model.head.parametrizations["weight"][0].beta
        seen.append((torch.equal(weight, torch.tanh(beta * latent)), model.features[1].training))
        return x

    fit(network(MdTanhS()), IMAGES, LABELS, replace(SETTINGS, epochs=1), adversary=watchful)
    assert seen == [(True, False)] * 4


@pytest.mark.parametrize("weights", [BinaryConnect(), BnnWaq()], ids=str)
def test_bounded_latent_weights_stay_in_their_bound(weights):
    model = network(weights)
    fit(model, IMAGES, LABELS, replace(SETTINGS, rate=Constant(0.3)))
    assert max(float(latent.detach().abs().max()) for _, latent, _ in latents(model)) == 1.0
    assert float(model.head.bias.detach().abs().max()) <= 1.0


def test_md_tanh_s_is_mirror_descent_on_the_projected_weights():
    """w <- (R e^(-2 eta beta g) - 1) / (R e^(-2 eta beta g) + 1), R = (1 + w) / (1 - w), at constant beta."""
    beta, rate, decay = 1.5, 0.05, 0.9
    model = quantize(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double(), weights=MdTanhS())
    images = IMAGES.double()[:64]
    settings = Settings(epochs=5, batch_size=64, optimizer="sgd", rate=Constant(rate), beta=Constant(beta))
    weights = {name: torch.tanh(beta * latent.detach()) for name, latent, _ in latents(model)}
    momenta = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    fit(model, images, LABELS[:64], settings)
    for _ in range(5):
        leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
        logits = images.flatten(1) @ leaves["1.weight"].T + leaves["1.bias"]
        gradients = torch.autograd.grad(nn.functional.cross_entropy(logits, LABELS[:64]), list(leaves.values()))
        for name, gradient in zip(leaves, gradients, strict=True):
            momenta[name] = decay * momenta[name] + gradient
            direction = gradient + decay * momenta[name]
            grown = (1 + weights[name]) / (1 - weights[name]) * torch.exp(-2 * rate * beta * direction)
            weights[name] = (grown - 1) / (grown + 1)
    for name, latent, _ in latents(model):
        torch.testing.assert_close(torch.tanh(beta * latent.detach()), weights[name], rtol=1e-9, atol=1e-12)


def test_a_starved_setting_is_warned_of():
    model = network(GdTanh(1e4))
    assert max(starved(model).values()) > 0.5
    with pytest.warns(UserWarning, match="get no gradient from their quantizer"):
        warn_starved(model)


def test_a_fed_setting_is_not_warned_of(recwarn):
    for weights in (MdTanhS(1e4), GdTanh(1.0), BinaryConnect()):
        warn_starved(network(weights))
    assert not recwarn.list


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Constant(0.5), {0: 0.5, 99: 0.5}),
        (Steps(1.0, 0.1, 40), {0: 1.0, 39: 1.0, 40: 0.1, 80: 0.01}),
        (OneCycle(1.0, 0.2), {0: 1 / 21, 19: 20 / 21, 20: 1.0, 60: 0.5}),
        (Growth(2.0, 10), {0: 2.0, 9: 2.0, 10: 4.0, 99: 1024.0}),
        (Growth(1e10, 10, cap=1e35), {99: 1e35}),
        (Ramp(1e4, 0.5), {0: 1.0, 25: 100.0, 50: 1e4, 99: 1e4}),
    ],
)
def test_schedules_are_closed_forms(schedule, values):
    assert {step: schedule(step, 100) for step in values} == pytest.approx(values)


def test_settings_are_json():
    from dataclasses import asdict

    assert json.loads(json.dumps(asdict(SETTINGS)))["rate"] == {"peak": 0.01, "rise": 0.2, "kind": "one-cycle"}


def test_the_loss_sees_the_scaled_logits_and_the_network_keeps_its_own():
    class Scaled(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return 0.125 * self.model(x)

    settings = replace(SETTINGS, epochs=1, optimizer="sgd", recalibrate=0)
    plain, scaled = network(), network()
    fit(plain, IMAGES, LABELS, replace(settings, logit_scale=0.125))
    fit(Scaled(scaled), IMAGES, LABELS, settings)
    assert same(plain, scaled)
    unscaled = network()
    fit(unscaled, IMAGES, LABELS, settings)
    assert not same(plain, unscaled)


def test_a_rising_scale_ends_on_the_logits_as_they_are():
    settings = replace(SETTINGS, logit_scale=Rise(0.01, share=0.5))
    scales = [settings.scale_at(step, 100) for step in (0, 25, 50, 99)]
    assert scales == pytest.approx([0.01, 0.1, 1.0, 1.0])
    assert (settings.last_scale, replace(settings, logit_scale=0.5).last_scale) == (1.0, 0.5)


def test_a_rise_waits_until_its_hold_is_over():
    rise = Rise(0.01, share=0.8, hold=0.4)
    assert [rise(step, 100) for step in (0, 40, 60, 80, 99)] == pytest.approx([0.01, 0.01, 0.1, 1.0, 1.0])


def test_a_rise_from_one_trains_as_no_scale_does():
    settings = replace(SETTINGS, epochs=1)
    plain, risen, slow = network(), network(), network()
    fit(plain, IMAGES, LABELS, settings)
    fit(risen, IMAGES, LABELS, replace(settings, logit_scale=Rise(1.0)))
    fit(slow, IMAGES, LABELS, replace(settings, logit_scale=Rise(0.01)))
    assert same(plain, risen)
    assert not same(plain, slow)


@pytest.mark.parametrize(
    "values",
    [
        {"first": 0.0},
        {"first": 2.0},
        {"first": 0.1, "share": 0.0},
        {"first": 0.1, "hold": 0.4},
        {"first": 0.1, "hold": -0.1},
    ],
)
def test_a_rise_that_does_not_rise_is_refused(values):
    with pytest.raises(InputError, match="above 0, up to 1"):
        Rise(**values)


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"batch_size": 1}, {"logit_scale": 0.0}, {"logit_scale": -1.0}])
def test_settings_that_train_nothing_are_refused(changes):
    with pytest.raises(InputError):
        replace(SETTINGS, **changes)
