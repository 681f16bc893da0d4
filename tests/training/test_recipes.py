from dataclasses import replace

import pytest
import torch

from quantattack.errors import InputError
from quantattack.nn.checkpoints import load
from quantattack.nn.zoo import card_of, models
from quantattack.training.recipes import RECIPES, network, recipe, train


def test_a_recipe_trains_saves_and_describes_its_network(tmp_path):
    short = recipe("digits-mdtanhs")
    short = replace(short, training=replace(short.training, epochs=2), options={"width": 4})
    epochs = []
    card = train(short, tmp_path / "net.safetensors", progress=epochs.append)
    model = load(tmp_path / "net.safetensors")
    assert epochs[-1].accuracy == card.clean
    assert set(model.head.weight.unique().tolist()) == {-1.0, 1.0}


def test_every_carried_network_has_the_recipe_that_made_it():
    for model in models():
        made, card = recipe(model.name), card_of(model.name)
        assert (made.data, made.architecture, dict(made.options)) == (card.data, card.architecture, card.settings)


def test_a_recipe_starts_from_the_same_weights_every_time():
    one, other = (network(recipe("digits-float")) for _ in range(2))
    assert torch.equal(one.head.weight, other.head.weight)


def test_an_unknown_recipe_is_refused():
    with pytest.raises(InputError, match="unknown recipe"):
        recipe("digits-mdtanh")
    assert set(RECIPES) == {one.name for one in RECIPES.values()}
