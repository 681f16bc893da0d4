import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, hardtanh

from quantattack.errors import InputError
from quantattack.nn.architectures import ARCHITECTURES, build
from quantattack.nn.architectures.binary import Block
from quantattack.nn.architectures.wide import Standardize, Unit
from quantattack.nn.convert import freeze, quantize
from quantattack.nn.quantizers import BnnWaq, MdTanhS, Sign, sign

NETWORKS = [
    ("small", {"width": 4}, (1, 8, 8)),
    ("coarse", {"width": 2}, (1, 28, 28)),
    ("perceptron", {"hidden": 16}, (1, 8, 8)),
    ("lenet", {"width": 0.1}, (1, 28, 28)),
    ("madry-mnist", {"width": 0.1}, (1, 28, 28)),
    ("daa-fashion", {"width": 0.1}, (1, 28, 28)),
    ("vgg", {"depth": 5, "width": 0.1}, (3, 32, 32)),
    ("vgg", {"depth": 16, "width": 0.1}, (3, 32, 32)),
    ("resnet-8", {"width": 0.1}, (3, 32, 32)),
    ("resnet-18", {"width": 0.1}, (3, 32, 32)),
    ("resnet-50", {"width": 0.1}, (3, 32, 32)),
    ("densenet-121", {"width": 0.1}, (3, 32, 32)),
    ("densenet-121", {"width": 0.1, "stem_stride": 2}, (3, 32, 32)),
    ("mobilenet-v2", {"width": 0.1, "stem_stride": 2}, (3, 32, 32)),
    ("resnet-50", {"width": 0.05, "stem_stride": 2}, (3, 32, 32)),
    ("mobilenet-v2", {"width": 0.25}, (3, 32, 32)),
    ("resnet-binary", {"width": 0.1}, (3, 32, 32)),
    ("vgg-binary", {"width": 0.05}, (3, 32, 32)),
    ("madry-wide", {"width": 0.1}, (3, 32, 32)),
]
IDS = [f"{name}-{settings}" for name, settings, _ in NETWORKS]


def test_the_list_has_every_architecture():
    assert {name for name, _, _ in NETWORKS} == set(ARCHITECTURES)


@pytest.mark.parametrize(("name", "settings", "shape"), NETWORKS, ids=IDS)
def test_every_architecture_runs_learns_and_binarizes(name, settings, shape):
    torch.manual_seed(0)
    images = torch.rand(4, *shape)
    model = quantize(build(name, settings | {"classes": 7}), weights=MdTanhS(), activations=Sign())
    model.train()(images).square().sum().backward()
    idle = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert idle <= {"layer3.1.bn2.weight", "layer3.1.bn2.bias"}  # as published: there, and never used
    binary = freeze(model)
    assert torch.equal(binary(images), model.eval()(images))
    assert binary(images).shape == (4, 7)
    for module in binary.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert module.weight.abs().unique().tolist() == [1.0]


@pytest.mark.parametrize(
    ("name", "settings", "parameters"),
    [
        # Counted by hand from the published layers: weights, biases, and BatchNorm parameters where there are any.
        ("madry-mnist", {}, 832 + 51264 + 3136 * 1024 + 1024 + 10250),
        ("resnet-18", {}, 11_173_962 - 2 * 4800),  # the usual CIFAR ResNet-18 less its BatchNorms' parameters
        ("vgg", {"depth": 16}, 14_714_688 + 2 * (512 * 512 + 512) + 512 * 10 + 10),
        ("resnet-50", {}, 23_520_842 - 2 * 26_560),
        ("mobilenet-v2", {"affine": True}, 2_296_922),
        ("densenet-121", {"affine": True}, 6_956_298),
    ],
)
def test_full_width_networks_have_the_published_sizes(name, settings, parameters):
    assert sum(parameter.numel() for parameter in build(name, settings).parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("resnet-18", {"conv1.weight", "bn1.running_mean", "layer4.1.bn2.running_var", "layer2.0.shortcut.0.weight",
                       "layer2.0.shortcut.1.running_mean", "linear.weight", "linear.bias"}),
        ("vgg", {"features.0.weight", "features.0.bias", "features.1.running_mean", "features.40.weight",
                 "classifier.fc1.weight", "classifier.bn2.running_var", "classifier.fc3.bias"}),
        ("resnet-binary", {"conv1.weight", "layer1.0.bn2.running_mean", "layer2.0.downsample.0.weight",
                           "layer3.1.conv2.weight", "bn2.weight", "fc.weight", "fc.bias"}),
        ("vgg-binary", {"features.0.weight", "features.3.bias", "features.5.weight", "features.7.weight",
                        "classifier.0.weight", "classifier.1.running_mean", "classifier.6.bias"}),
    ],
)  # fmt: skip
def test_names_are_those_of_the_published_networks(name, keys):
    settings = {"resnet-binary": {"width": 0.1}, "vgg-binary": {"width": 0.05}}.get(name, {"width": 0.1})
    state = build(name, settings).state_dict()
    assert keys <= state.keys()
    assert not any(key.startswith("normalize") for key in state)


def test_the_residual_of_a_binary_block_stays_real():
    torch.manual_seed(0)
    block = quantize(Block(4, 4, 1, finish=False), weights=BnnWaq(), activations=Sign()).eval()
    x = torch.rand(2, 4, 5, 5) * 0.8 - 0.4
    w1, w2 = (sign(conv.weight) for conv in (block.conv1, block.conv2))
    inside = sign(hardtanh(block.bn1(conv2d(sign(x), w1, padding=1))))
    torch.testing.assert_close(block(x), conv2d(inside, w2, padding=1) + x)


def test_standardized_images_have_zero_mean_and_unit_deviation_and_grey_ones_stay_finite():
    x = torch.rand(3, 3, 8, 8, dtype=torch.float64)
    out = Standardize()(x).flatten(1)
    assert out.mean(1).tolist() == pytest.approx([0] * 3, abs=1e-12)
    assert out.std(1, correction=0).tolist() == pytest.approx([1] * 3)
    assert Standardize()(torch.full((1, 3, 8, 8), 0.5)).abs().max() == 0


def test_a_wide_unit_pads_its_shortcut_on_both_sides():
    unit = Unit(2, 6, 2, first=False).eval()
    nn.init.zeros_(unit.conv2.weight)
    x = torch.rand(1, 2, 4, 4)
    out = unit(x)
    assert torch.equal(out[:, 2:4], avg_pool2d(x, 2))
    assert out[:, :2].abs().max() == out[:, 4:].abs().max() == 0


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("resnet-19", {}, "did you mean 'resnet-18'"),
        ("vgg", {"depht": 16}, "did you mean 'depth'"),
        ("vgg", {"depth": 11}, "unknown depth"),
        ("vgg", {"width": 0}, "cannot be built"),
    ],
)
def test_bad_settings_are_refused(name, settings, message):
    with pytest.raises(InputError, match=message):
        build(name, settings)
