"""Models from elsewhere: the same logits as their library says, with gradients, and one line where there are none."""

import os
from typing import ClassVar

import pytest
import torch
from torch import nn

import quantattack as qa
from attacks.adapters.peers import need
from networks import relu_network
from quantattack.attacks import adapters
from quantattack.diagnostics.diagnose import diagnose
from quantattack.gradients import gradient
from quantattack.nn.inspect import inspect

LINF = qa.Threat(qa.Linf(), 0.2)


def library(name):
    if os.environ.get("QUANTATTACK_MODELS") == "required":
        return __import__(name)
    return pytest.importorskip(
        name, reason=f"{name} is not installed; make test-extras brings it", exc_type=ImportError
    )


def attacked(model, images):
    """Run PGD on a model's own predictions and return the share that it fools."""
    with torch.no_grad():
        labels = model(images).argmax(1)
    record = qa.evaluate(model, images, labels, {"pgd": qa.pgd(LINF)}, LINF)
    assert record.clean == 1.0
    assert record.column("pgd", "backwards").sum() > 0
    return 1 - record.robust("pgd")


@pytest.fixture
def pixels():
    return torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_foolbox(pixels):
    need("foolbox")
    import foolbox

    inside = relu_network(0, (3, 8, 8))
    wrapped = foolbox.PyTorchModel(
        inside, bounds=(0, 255), preprocessing={"mean": [100.0, 90.0, 80.0], "std": [50.0, 60.0, 70.0], "axis": -3}
    )
    model = adapters.from_foolbox(wrapped)
    assert torch.equal(model(pixels), wrapped(pixels * 255))
    assert attacked(model, pixels) > 0.5
    assert set(map(id, model.parameters())) == set(map(id, inside.parameters()))


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_art(pixels):
    need("art")
    from art.estimators.classification import PyTorchClassifier

    settings = {"loss": nn.CrossEntropyLoss(), "input_shape": (3, 8, 8), "nb_classes": 10, "device_type": "cpu"}
    mean, std = [[[100.0]], [[90.0]], [[80.0]]], [[[50.0]], [[60.0]], [[70.0]]]
    wrapped = PyTorchClassifier(
        model=relu_network(0, (3, 8, 8)), clip_values=(0, 255), preprocessing=(mean, std), **settings
    )
    model = adapters.from_art(wrapped)
    said = torch.from_numpy(wrapped.predict((pixels * 255).numpy()))
    assert torch.allclose(model(pixels), said, atol=1e-4)
    assert attacked(model, pixels) > 0.5
    with pytest.raises(qa.InputError, match="clip_values"):
        adapters.from_art(PyTorchClassifier(model=relu_network(0, (3, 8, 8)), **settings))


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_hugging_face():
    transformers = library("transformers")
    settings = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=10
    )
    torch.manual_seed(0)
    inside = transformers.ResNetForImageClassification(settings).eval()
    images = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    class Processor:
        do_normalize, image_mean, image_std = True, [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]

    model = adapters.from_huggingface(inside, Processor())
    mean, std = (torch.tensor(part).reshape(1, 3, 1, 1) for part in ([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]))
    assert torch.equal(model(images), inside(pixel_values=(images - mean) / std).logits)
    assert torch.equal(adapters.from_huggingface(inside)(images), inside(pixel_values=images).logits)
    assert attacked(model, images) > 0.2


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_timm():
    timm = library("timm") if os.environ.get("QUANTATTACK_MODELS") != "required" else pytest.importorskip("timm")
    inside = timm.create_model("resnet10t", pretrained=False, num_classes=10).eval()
    images = torch.rand(4, 3, 64, 64)
    mean, std = (torch.tensor(inside.pretrained_cfg[key]).reshape(1, 3, 1, 1) for key in ("mean", "std"))
    assert torch.equal(adapters.from_timm(inside)(images), inside((images - mean) / std))


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_brevitas(pixels):
    library("brevitas")
    from brevitas.nn import QuantConv2d, QuantLinear, QuantReLU

    torch.manual_seed(0)
    inside = nn.Sequential(
        QuantConv2d(3, 8, 3, weight_bit_width=4),
        QuantReLU(bit_width=4, return_quant_tensor=True),
        nn.Flatten(),
        QuantLinear(8 * 36, 10, bias=True, weight_bit_width=4, return_quant_tensor=False),
    ).eval()
    model = adapters.from_quantized(inside, pixels[:1])
    assert torch.equal(model(pixels), inside(pixels))
    assert attacked(model, pixels) > 0.3


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_torchao(pixels):
    library("torchao")
    from torchao.quantization import quantize_
    from torchao.quantization.qat import FakeQuantizeConfig, IntXQuantizationAwareTrainingConfig

    inside = relu_network(0, (3, 8, 8))
    weight = FakeQuantizeConfig(torch.int4, group_size=32)
    quantize_(inside, IntXQuantizationAwareTrainingConfig(None, weight))
    model = adapters.from_quantized(inside, pixels[:1])
    assert not torch.equal(model(pixels), relu_network(0, (3, 8, 8))(pixels))
    assert attacked(model, pixels) > 0.5


def brevitas_after_steps() -> nn.Module:
    """A network in quantization-aware training with Brevitas, whose activation scales have seen data."""
    library("brevitas")
    from brevitas.nn import QuantConv2d, QuantLinear, QuantReLU

    torch.manual_seed(0)
    net = nn.Sequential(
        QuantConv2d(3, 8, 3, weight_bit_width=4),
        nn.BatchNorm2d(8),
        QuantReLU(bit_width=4, return_quant_tensor=True),
        nn.Flatten(),
        QuantLinear(8 * 36, 10, bias=True, weight_bit_width=4, return_quant_tensor=False),
    )
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    for _ in range(3):
        loss = nn.functional.cross_entropy(net(torch.rand(16, 3, 8, 8)), torch.arange(16) % 10)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def vision_transformer() -> nn.Module:
    """A Hugging Face vision transformer with random weights, made of its configuration."""
    transformers = library("transformers")
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 48}
    torch.manual_seed(0)
    settings = transformers.ViTConfig(image_size=8, patch_size=4, num_labels=10, initializer_range=0.3, **sizes)
    return transformers.ViTForImageClassification(settings).eval()


def torchao_training() -> nn.Module:
    """A network in quantization-aware training with torchao."""
    library("torchao")
    from torchao.quantization import quantize_
    from torchao.quantization.qat import FakeQuantizeConfig, IntXQuantizationAwareTrainingConfig

    net = relu_network(0, (3, 8, 8))
    quantize_(net, IntXQuantizationAwareTrainingConfig(None, FakeQuantizeConfig(torch.int4, group_size=32)))
    return net.eval()


def torchao_int8() -> nn.Module:
    """A network whose weights torchao has converted to tensors of its own, of 8 bits."""
    library("torchao")
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    net = relu_network(0, (3, 8, 8)).eval()
    quantize_(net, Int8WeightOnlyConfig())
    return net


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("config", ["Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig"])
def test_the_integers_of_torchao_s_tensors_are_inspected(config):
    library("torchao")
    from torchao import quantization

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 32), nn.Linear(32, 10))
    pixels, plain = torch.rand(64, 1, 8, 8), net.eval()
    before = inspect(plain, pixels)
    quantization.quantize_(net, getattr(quantization, config)())
    conv, *linear = inspect(net, pixels).layers
    assert conv == before.layers[0]
    assert conv.weights is None
    for layer, module in zip(linear, (net[3], net[4]), strict=True):
        assert layer.weights == len(module.weight.qdata.unique())
        assert 100 < layer.weights <= 256
        assert layer.values == ()
        assert layer.quantized == module.weight.numel()
        assert layer.parameters == module.weight.numel() + module.bias.numel()
    integers, floats = 512 * 32 + 32 * 10, 4 * (8 * 9 + 8 + 32 + 10)
    assert integers < inspect(net, pixels).bytes < integers + 2 * floats < before.bytes


MADE = (brevitas_after_steps, vision_transformer, torchao_training, torchao_int8)


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all parameters and buffers, those of tensor subclasses by their values."""
    held = {**model.state_dict(), **dict(model.named_buffers())}
    plain = {name: value.dequantize() if hasattr(value, "qdata") else value for name, value in held.items()}
    return {name: value.detach().clone() for name, value in plain.items() if isinstance(value, torch.Tensor)}


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
def test_a_model_is_what_it_was_and_its_verdicts_know_no_batch(make):
    model, images = make(), torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    before, verdicts = state(model), []
    assert before
    with torch.no_grad():
        labels = getattr(model(images), "logits", None)
        labels = (model(images) if labels is None else labels).argmax(1)
    for size in (1, 7, 64):
        record = qa.evaluate(model, images, labels, {"pgd": qa.pgd(LINF, steps=5)}, LINF, batch_size=size)
        assert not {"model_changed", "batch_dependent", "random"} & {flag.code for flag in record.flags}
        verdicts.append([record.column("pgd", name).tolist() for name in ("clean_prediction", "prediction", "step")])
    assert verdicts[0] == verdicts[1] == verdicts[2]
    assert record.clean == 1.0
    assert record.robust("pgd") < 1.0
    diagnosis = diagnose(model, images[:16], labels[:16], LINF, budget=100)
    assert diagnosis.clean == 1.0
    after = state(model)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not model.training


def test_an_output_is_reduced_to_its_logits(pixels):
    class Output:
        def __init__(self, **parts):
            self.__dict__.update(parts)

    logits = torch.rand(2, 3)
    found = [adapters.models.logits_of(one) for one in (logits, Output(logits=logits), Output(value=logits))]
    assert all(one is logits for one in found)
    with pytest.raises(qa.InputError, match="must return logits"):
        adapters.models.logits_of([logits])


def test_normalized_is_the_model_on_normalized_images(pixels):
    inside = relu_network(0, (3, 8, 8))
    model = adapters.from_quantized(inside, pixels, mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])
    mean, std = (torch.tensor(part).reshape(1, 3, 1, 1) for part in ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7]))
    assert torch.equal(model(pixels), inside((pixels - mean) / std))
    _, grad = gradient(model, pixels, lambda logits: logits[:, 0])
    assert grad.abs().sum() > 0


class Configured(nn.Module):
    """A model as timm makes it: with a configuration."""

    pretrained_cfg: ClassVar = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}

    def forward(self, images):
        return images.flatten(1)[:, :10]


def test_a_configuration_s_means_normalize(pixels):
    found = adapters.from_timm(Configured())(pixels)
    assert torch.equal(found, ((pixels - 0.5) / 0.25).flatten(1)[:, :10])


class Rounding(nn.Module):
    """A module after its conversion: nothing flows back."""

    def forward(self, images):
        return images.detach().flatten(1)[:, :10].round()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: adapters.from_foolbox(relu_network(0, (4,))), "foolbox.PyTorchModel"),
        (lambda: adapters.from_art(3), "PyTorchClassifier"),
        (lambda: adapters.from_huggingface(relu_network(0, (4,))), "ForImageClassification"),
        (lambda: adapters.from_timm(relu_network(0, (4,))), "pretrained_cfg"),
        (lambda: adapters.from_quantized(print, torch.rand(1, 4)), "torch.nn.Module"),
        (lambda: adapters.from_quantized(Rounding(), torch.rand(1, 3, 4, 4)), "no gradient"),
    ],
)
def test_what_is_no_such_model_is_refused_in_one_line(call, words):
    with pytest.raises(qa.InputError, match=words) as refusal:
        call()
    assert "\n" not in str(refusal.value)
