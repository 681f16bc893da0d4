"""The loop against the published update rules, written out literally."""

import torch
from torch import nn

from quantattack.data.sets import load_data
from quantattack.nn.convert import quantize
from quantattack.nn.quantizers import BinaryConnect, BnnWaq, Sign
from quantattack.training.fit import fit
from quantattack.training.latent import latents
from quantattack.training.schedules import Constant
from quantattack.training.settings import Settings

IMAGES, LABELS = (part[:64] for part in load_data("digits", split="train"))
SETTINGS = Settings(epochs=6, batch_size=64, rate=Constant(0.05))


def float_network():
    torch.manual_seed(0)
    # No bias before a BatchNorm: its gradient is rounding noise, which Adam would blow up.
    layers = nn.Flatten(), nn.Linear(64, 32, bias=False), nn.BatchNorm1d(32), nn.Hardtanh(), nn.Linear(32, 10)
    return nn.Sequential(*layers).double()


def trained(**quantizers):
    model = quantize(float_network(), **quantizers)
    fit(model, IMAGES.double(), LABELS, SETTINGS)
    return {name: latent.detach() for name, latent, _ in latents(model)}


def binary_connect():
    """Real weights kept; signs used; the gradient at the signs taken for the real weights' where they are within 1."""
    model = float_network()
    parameters = [parameter for layer in (model[1], model[4]) for parameter in layer.parameters()]
    adam = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(SETTINGS.epochs):
        real = [parameter.data.clone() for parameter in parameters]
        for parameter in parameters:
            parameter.data = parameter.data.sign()
        adam.zero_grad()
        nn.functional.cross_entropy(model(IMAGES.double()), LABELS).backward()
        for parameter, kept in zip(parameters, real, strict=True):
            parameter.data = kept
            parameter.grad[kept.abs() > 1] = 0
        adam.step()
        for parameter in parameters:
            parameter.data.clamp_(-1, 1)
    return {"1.weight": model[1].weight, "4.weight": model[4].weight, "4.bias": model[4].bias}


def binary_net():
    """Signs of weights and activations written over the data, so that Hardtanh's mask stays; real weights restored."""
    model = float_network()
    weights = model[1].weight, model[4].weight
    adam = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(SETTINGS.epochs):
        real = [weight.data.clone() for weight in weights]
        for weight in weights:
            weight.data = weight.data.sign()
        adam.zero_grad()
        hidden = model[3](model[2](model[1](IMAGES.double().flatten(1))))
        hidden.data = hidden.data.sign()
        nn.functional.cross_entropy(model[4](hidden), LABELS).backward()
        for weight, kept in zip(weights, real, strict=True):
            weight.data = kept
        adam.step()
        for layer in (model[1], model[4]):
            for parameter in layer.parameters():
                parameter.data.clamp_(-1, 1)
    return {"1.weight": model[1].weight, "4.weight": model[4].weight}


def check(found, expected):
    assert found.keys() == expected.keys()
    start = dict(float_network().named_parameters())
    for name, tensor in expected.items():
        assert float((tensor - start[name]).detach().abs().max()) > 0.1  # it went somewhere
        torch.testing.assert_close(found[name], tensor.detach(), rtol=1e-7, atol=1e-9)


def test_binary_connect_is_the_published_update():
    check(trained(weights=BinaryConnect()), binary_connect())


def test_bnn_waq_is_the_published_update():
    check(trained(weights=BnnWaq(), activations=Sign()), binary_net())
