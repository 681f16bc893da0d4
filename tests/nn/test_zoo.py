import hashlib
import json
import os
import time
from pathlib import Path

import pytest
import torch

from quantattack.data.sets import SETS, load_data
from quantattack.errors import InputError
from quantattack.nn.inspect import inspect
from quantattack.nn.zoo import card_of, load_model, models, path_of

ZOO = Path(__file__).parents[2] / "zoo"
RESULTS = Path(__file__).parents[2] / "results" / "zoo"
ROOT = os.environ.get("QUANTATTACK_DATA")
DIGITS = ["digits-bnn-waq", "digits-float", "digits-mdtanhs", "digits-mdtanhs-bn"]


def test_the_package_carries_the_digits_networks():
    assert {model.name for model in models() if model.data == "digits"} >= set(DIGITS)


@pytest.mark.parametrize("model", models(), ids=lambda model: model.name)
def test_every_network_loads_in_under_a_second_and_takes_its_data(model):
    load_model("digits-float")  # the first one pays for imports
    start = time.process_time()  # and not by the clock on the wall: others may use the machine
    network = load_model(model.name)
    assert time.process_time() - start < 1
    data = SETS[model.data]
    assert network(torch.rand(2, *data.shape)).shape == (2, data.classes)
    assert model.bytes == path_of(model.name).stat().st_size < 2_000_000


ADVERSARIAL = [row.name for row in models() if row.adversarial]
APART = sorted(path.name for path in ZOO.glob("*.safetensors"))


@pytest.mark.parametrize("name", [*ADVERSARIAL, *(name for name in APART if "-adv" in name)])
def test_an_adversary_is_stated_as_json(name):
    attack = json.loads(card_of(str(ZOO / name) if name in APART else name).adversarial)["attack"]
    assert attack["last_iterate"] is True
    assert 0 < attack["threat"]["radius"] < 0.5


@pytest.mark.parametrize("name", APART)
def test_a_network_beside_the_package_is_small_and_takes_its_data(name):
    data = SETS[card_of(str(ZOO / name)).data]
    assert load_model(str(ZOO / name))(torch.rand(2, *data.shape)).shape == (2, data.classes)
    assert (ZOO / name).stat().st_size < 2_000_000


@pytest.mark.parametrize("name", DIGITS)
def test_the_digits_networks_are_as_accurate_as_their_cards_say(name):
    images, labels = load_data("digits")
    clean = float((load_model(name)(images).argmax(1) == labels).float().mean())
    assert clean == pytest.approx(card_of(name).clean, abs=3 / 500)
    assert clean >= 0.95


@pytest.mark.skipif(not ROOT, reason="QUANTATTACK_DATA is not set")
@pytest.mark.parametrize("model", [model for model in models() if model.data != "digits"], ids=lambda model: model.name)
def test_every_other_network_is_as_accurate_as_its_card_says(model):
    images, labels = (part[:1000] for part in load_data(model.data, ROOT))
    clean = float((load_model(model.name)(images).argmax(1) == labels).float().mean())
    assert clean == pytest.approx(model.clean, abs=0.05)  # a tenth of the test set


RECORD = {row["network"]: row for row in json.loads((RESULTS / "networks.json").read_text())["networks"]}


def test_the_record_of_the_zoo_is_of_the_networks_that_are_carried():
    checksums = {model.name: hashlib.sha256(path_of(model.name).read_bytes()).hexdigest() for model in models()}
    assert {name: row["sha256"] for name, row in RECORD.items()} == checksums, "run benchmarks/zoo.py"


def test_every_network_has_its_whole_test_set_right_as_its_card_claims_to_the_image():
    assert {name: row["right"] for name, row in RECORD.items()} == {
        model.name: round(model.clean * RECORD[model.name]["images"]) for model in models()
    }
    assert {row["images"] for row in RECORD.values()} == {500, 10_000}


@pytest.mark.parametrize(("data", "fewest"), [("mnist", 2), ("cifar10", 3)])
def test_several_networks_are_where_gradients_fail(data, fewest):
    shares = [row["zero"] + row["wrong_direction"] for row in RECORD.values() if row["data"] == data]
    assert sum(share > 0.2 for share in shares) >= fewest


LEVELS = {"md-tanh-s": {2}, "gd-tanh": {2}, "bc": {2}, "bnn-waq": {2}, "xnor": {2}, "ternary": {3}, "float": {None}}


@pytest.mark.parametrize("model", [one for one in models() if one.quantizer in LEVELS], ids=lambda model: model.name)
def test_the_weights_have_exactly_the_levels_that_the_name_claims(model):
    images = torch.rand(2, *SETS[model.data].shape)
    layers = inspect(load_model(model.name), images).layers
    skipped = card_of(model.name).skip
    assert {layer.weights for layer in layers if layer.name not in skipped} == LEVELS[model.quantizer]
    assert {layer.weights for layer in layers if layer.name in skipped} <= {None}


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
