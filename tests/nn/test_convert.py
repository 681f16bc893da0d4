import pytest
import torch
from torch import nn

from quantattack.errors import InputError
from quantattack.nn.architectures import Small
from quantattack.nn.convert import freeze, quantize, with_surrogate
from quantattack.nn.quantizers import (
    BinaryConnect,
    BnnWaq,
    GdTanh,
    MdTanhS,
    Sign,
    Ternary,
    Uniform,
    UniformActivation,
    Xnor,
)

IMAGES = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
PAIRS = [
    (MdTanhS(3.0), None),
    (GdTanh(3.0), None),
    (BinaryConnect(), None),
    (BnnWaq(), Sign()),
    (Xnor(), Sign()),
    (Ternary(), UniformActivation(4)),
    (Uniform(4), UniformActivation(2)),
    (None, Sign()),
]


def small():
    torch.manual_seed(0)
    model = Small(width=4)
    model(IMAGES)  # moves the running statistics away from their start
    return model.eval()


@pytest.mark.parametrize(("weights", "activations"), PAIRS, ids=str)
def test_freezing_changes_no_logit(weights, activations):
    model = quantize(small(), weights=weights, activations=activations).eval()
    frozen = freeze(model)
    assert torch.equal(frozen(IMAGES), model(IMAGES))
    assert not any("parametrizations" in name for name in frozen.state_dict())
    assert not frozen.training


def test_the_frozen_values_stay_in_train_mode():
    model = quantize(small(), weights=MdTanhS(), activations=UniformActivation(1, 1.0))
    frozen = freeze(model).train()
    assert set(frozen.features[0].weight.unique().tolist()) == {-1.0, 1.0}
    assert set(frozen.features[2](torch.linspace(-2, 2, 9)).unique().tolist()) == {0.0, 1.0}


def test_train_mode_has_the_soft_value_and_eval_mode_the_hard_one():
    model = quantize(small(), weights=MdTanhS(0.5))
    latent = model.head.parametrizations["weight"].original
    assert torch.equal(model.train().head.weight, torch.tanh(0.5 * latent))
    assert set(model.eval().head.weight.unique().tolist()) == {-1.0, 1.0}
    assert set(model.head.bias.unique().tolist()) == {-1.0, 1.0}


def test_biases_stay_float_where_the_quantizer_says_so():
    model = quantize(small(), weights=BnnWaq())
    assert torch.equal(model.head.bias, small().head.bias)


def test_the_given_model_is_left_alone():
    model = small()
    before = model(IMAGES)
    quantize(model, weights=MdTanhS(), activations=Sign())
    assert torch.equal(model(IMAGES), before)


def test_a_sign_takes_the_activation_s_place_and_a_grid_follows_it():
    assert not any(isinstance(module, nn.ReLU) for module in quantize(small(), activations=Sign()).modules())
    followed = quantize(small(), activations=UniformActivation(4)).features[2]
    assert isinstance(followed[0], nn.ReLU)


def test_one_module_under_two_names_is_replaced_in_both_places():
    relu = nn.ReLU()
    model = quantize(nn.Sequential(relu, nn.Linear(2, 2), relu), activations=Sign())
    assert model(torch.rand(3, 2)).abs().unique().tolist() == [1.0]


@pytest.mark.parametrize("skip", [["head"], lambda name, module: name == "head"])
def test_skipped_modules_stay_float(skip):
    model = quantize(small(), weights=MdTanhS(), skip=skip)
    assert torch.equal(model.head.weight, small().head.weight)
    assert set(model.features[0].weight.unique().tolist()) == {-1.0, 1.0}


def test_a_name_covers_what_is_inside():
    model = quantize(small(), weights=MdTanhS(), activations=Sign(), skip="features")
    assert torch.equal(model.features(IMAGES), small().features(IMAGES))
    assert set(model.head.weight.unique().tolist()) == {-1.0, 1.0}


def test_an_unknown_name_to_skip_is_refused():
    with pytest.raises(InputError, match="no module 'tail'"):
        quantize(small(), weights=MdTanhS(), skip=["tail"])


def test_quantizing_twice_is_refused():
    with pytest.raises(InputError, match="quantized already"):
        quantize(quantize(small(), weights=MdTanhS()), weights=MdTanhS())


@pytest.mark.parametrize("finish", [lambda model: model, freeze])
def test_another_surrogate_changes_the_gradient_and_no_logit(finish):
    model = finish(quantize(small(), weights=BnnWaq(), activations=Sign()).eval())
    other = with_surrogate(model, torch.tanh)
    images = IMAGES.clone().requires_grad_()
    gradients = [torch.autograd.grad(net(images).sum(), images)[0] for net in (model, other)]
    assert torch.equal(model(IMAGES), other(IMAGES))
    assert not torch.equal(*gradients)


def test_a_network_without_quantized_activations_has_no_surrogate_to_swap():
    with pytest.raises(InputError, match="no quantized activations"):
        with_surrogate(small(), torch.tanh)
