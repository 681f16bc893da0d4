import pytest
import torch
from torch import nn

from quantattack.data.sets import load_data
from quantattack.errors import InputError
from quantattack.nn.architectures import build
from quantattack.nn.convert import quantize
from quantattack.nn.inspect import inspect
from quantattack.nn.quantizers import BnnWaq, MdTanhS, Sign, Ternary, Uniform, UniformActivation, Xnor
from quantattack.nn.zoo import load_model, path_of

IMAGES = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def found(**quantizers):
    torch.manual_seed(0)
    return inspect(quantize(build("small", {"width": 16}), **quantizers), IMAGES)


def test_a_float_network_has_nothing_quantized():
    seen = found()
    assert [layer.weights for layer in seen.layers] == [None] * 3
    assert seen.quantized_parameters == seen.quantized_multiply_adds == 0.0


def test_a_binarized_network_has_everything_quantized():
    seen = found(weights=MdTanhS())
    assert [layer.values for layer in seen.layers] == [(-1.0, 1.0)] * 3
    assert [(layer.first, layer.last) for layer in seen.layers] == [(True, False), (False, False), (False, True)]
    assert seen.quantized_parameters == seen.quantized_multiply_adds == 1.0
    assert seen.integer_multiply_adds == 0.0


def test_binarized_activations_are_found_behind_the_first_layer():
    seen = found(weights=BnnWaq(), activations=Sign())
    assert [layer.inputs for layer in seen.layers] == [None, 2, 2]
    assert seen.quantized_parameters == pytest.approx(1 - (16 + 32 + 10) / seen.parameters)
    sums = [9 * 16 * 64, 9 * 16 * 32 * 64, 512 * 10]
    assert [layer.multiply_adds for layer in seen.layers] == sums
    assert seen.integer_multiply_adds == pytest.approx(sum(sums[1:]) / sum(sums))


@pytest.mark.parametrize(
    ("weights", "levels"), [(Ternary(), 3), (Uniform(2), 3), (Uniform(4), 15), (Uniform(8), 255), (Xnor(), 2)], ids=str
)
def test_the_levels_are_those_that_the_quantizer_claims(weights, levels):
    assert found(weights=weights).layers[1].weights == levels


def test_a_small_layer_of_8_bits_is_found_though_hardly_two_weights_are_equal():
    layer = found(weights=Uniform(8)).layers[0]
    assert layer.parameters == 9 * 16 + 16
    assert layer.weights > 9 * 16 / 2


def test_activations_on_a_grid_have_its_levels():
    assert found(activations=UniformActivation(2, 1.0)).layers[1].inputs == 4


def test_skipped_layers_are_float():
    seen = found(weights=Xnor(), skip=["features.0", "head"])
    assert [layer.weights for layer in seen.layers] == [None, 2, None]


def test_the_size_is_about_that_of_the_file():
    seen = inspect(load_model("digits-mdtanhs"), load_data("digits")[0][:8])
    assert seen.bytes < path_of("digits-mdtanhs").stat().st_size < seen.bytes + 3000


def test_a_network_without_layers_is_refused():
    with pytest.raises(InputError, match="nothing to inspect"):
        inspect(nn.Sequential(nn.Flatten()), IMAGES)
