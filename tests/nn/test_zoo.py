import time

import pytest
import torch

from quantattack.data.sets import SETS, load_data
from quantattack.errors import InputError
from quantattack.nn.zoo import card_of, load_model, models, path_of

DIGITS = ["digits-bnn-waq", "digits-float", "digits-mdtanhs", "digits-mdtanhs-bn"]


def test_the_package_carries_the_digits_networks():
    assert {model.name for model in models() if model.data == "digits"} >= set(DIGITS)


@pytest.mark.parametrize("model", models(), ids=lambda model: model.name)
def test_every_network_loads_in_under_a_second_and_takes_its_data(model):
    load_model("digits-float")  # the first one pays for imports
    start = time.perf_counter()
    network = load_model(model.name)
    assert time.perf_counter() - start < 1
    data = SETS[model.data]
    assert network(torch.rand(2, *data.shape)).shape == (2, data.classes)
    assert model.bytes == path_of(model.name).stat().st_size < 2_000_000


@pytest.mark.parametrize("name", DIGITS)
def test_the_digits_networks_are_as_accurate_as_their_cards_say(name):
    images, labels = load_data("digits")
    clean = float((load_model(name)(images).argmax(1) == labels).float().mean())
    assert clean == pytest.approx(card_of(name).clean, abs=3 / 500)
    assert clean >= 0.95


@pytest.mark.parametrize("name", ["digits-mdtanhs", "digits-mdtanhs-bn"])
def test_every_parameter_of_the_binarized_digits_networks_is_plus_or_minus_one(name):
    parameters = dict(load_model(name).named_parameters())
    assert {"features.0.weight", "features.0.bias", "head.weight", "head.bias"} <= parameters.keys()
    for parameter in parameters.values():
        assert parameter.abs().unique().tolist() == [1.0]
    assert path_of(name).stat().st_size < 12_000


def test_the_binarized_head_has_1024_features():
    assert load_model("digits-mdtanhs").head.weight.shape == (10, 1024)


def test_a_path_is_a_model():
    model = load_model(str(path_of("digits-float")))
    images = load_data("digits")[0]
    assert torch.equal(model(images), load_model("digits-float")(images))


@pytest.mark.parametrize("name", ["digits-mdtahns", "nowhere.safetensors"])
def test_unknown_names_are_refused(name):
    with pytest.raises(InputError, match=r"did you mean 'digits-mdtanhs'|cannot read"):
        load_model(name)
