"""Modules of torch.ao and torchao after their conversion to integers: a twin with a derivative, the module judges."""

import copy

import pytest
import torch
from torch import nn

import quantattack as qa
from deployed.torch_programs.programs import converted, images, made, need_torchao, quiet
from quantattack.deployed import adopted, from_program
from quantattack.evaluation.models import model_checksum

ENGINES = [
    engine for engine in ("x86", "fbgemm", "onednn", "qnnpack") if engine in torch.backends.quantized.supported_engines
]
NAMES = ("residual", "depthwise", "concatenated")
THREAT = qa.Threat(qa.Linf(), 0.1)


@pytest.fixture(autouse=True)
def _same_engine():
    before = torch.backends.quantized.engine
    yield
    torch.backends.quantized.engine = before


# qnnpack's ReLU6 takes a channels-last tensor for a contiguous one; the mean of a channels-last one rounds otherwise.
CASES = [(name, engine) for name in NAMES for engine in ENGINES if (name, engine) != ("depthwise", "qnnpack")]


@pytest.mark.parametrize(("name", "engine"), CASES)
def test_a_converted_module_s_twin_is_exact_but_for_rare_steps(name, engine):
    module = converted(name, engine)
    model = from_program(module)
    with torch.no_grad():
        own = module(images(300))
    assert torch.equal(model(images(300)), own)
    asked = images(300).requires_grad_()
    logits = model(asked)
    step = (logits - own).abs()
    assert (step > 1e-6).float().mean() <= (0.03 if name == "residual" or engine == "qnnpack" else 0.0)
    assert (logits.argmax(1) == own.argmax(1)).float().mean() >= 0.98
    (gradient,) = torch.autograd.grad(logits.sum(), asked)
    assert (gradient != 0).float().mean() > 0.5


class Stubs(nn.Module):
    """An eager network as torch.ao's convert wants it, with FloatFunctional, LeakyReLU, hard swish and ELU."""

    def __init__(self):
        super().__init__()
        from torch.ao.nn.quantized import FloatFunctional
        from torch.ao.quantization import DeQuantStub, QuantStub

        self.quant, self.dequant = QuantStub(), DeQuantStub()
        self.first, self.leaky, self.second = nn.Conv2d(1, 6, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv2d(6, 6, 1)
        self.swish, self.elu, self.sigmoid = nn.Hardswish(), nn.ELU(), nn.Sigmoid()
        self.sum, self.product, self.joined = FloatFunctional(), FloatFunctional(), FloatFunctional()
        self.pool, self.last = nn.AvgPool2d(2), nn.Linear(12 * 16, 10)

    def forward(self, shown):
        x = self.leaky(self.first(self.quant(shown)))
        y = self.swish(self.second(x))
        x = self.sum.add_relu(x, self.elu(y))
        x = self.joined.cat([x, self.product.mul(y, self.sigmoid(y))], 1)
        return self.dequant(self.last(self.pool(x).flatten(1)))


def eager():
    from torch.ao.quantization import convert, get_default_qconfig, prepare

    torch.manual_seed(0)
    network = Stubs().eval()
    network.qconfig = get_default_qconfig("x86")
    with quiet():
        torch.backends.quantized.engine = "x86"
        prepared = prepare(network)
        prepared(images(64))
        return convert(prepared)


def test_an_eager_module_has_a_twin_too():
    module = eager()
    model = from_program(module)
    with torch.no_grad():
        own = module(images(200))
    assert torch.equal(model(images(200)), own)
    asked = images(200).requires_grad_()
    logits = model(asked)
    assert ((logits - own).abs() > 1e-6).float().mean() < 0.05
    (gradient,) = torch.autograd.grad(logits.sum(), asked)
    assert (gradient != 0).float().mean() > 0.5


def test_a_dynamically_quantized_module_is_shown_one_image_at_a_time():
    from torch.ao.quantization import quantize_dynamic

    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).eval()
    with quiet():
        module = quantize_dynamic(network, {nn.Linear})
    model = from_program(module)
    with torch.no_grad():
        alone = torch.cat([module(image[None]) for image in images(20)])
        assert not torch.equal(module(images(20)), alone)
    assert torch.equal(model(images(20)), alone)
    assert torch.allclose(model(images(20).requires_grad_()), alone, atol=2e-3)


def test_a_copy_in_double_precision_follows_its_inputs():
    model = from_program(converted("residual"))
    wide = copy.deepcopy(model).double()
    logits = wide(images(50).double().requires_grad_())
    assert logits.dtype == torch.float64
    assert (logits - model(images(50))).abs().mean() < 0.01


def test_an_operator_without_a_twin_is_named_in_one_line():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = converted("residual")

        def forward(self, shown):
            quantized = torch.quantize_per_tensor(shown, 0.01, 0, torch.quint8)
            return self.inside(torch.ops.quantized.celu(quantized, 0.01, 0).dequantize())

    model = from_program(Odd().eval())
    assert model(images(4)).shape == (4, 10)
    with pytest.raises(qa.InputError, match=r"quantized\.celu.*no twin"):
        model(images(4).requires_grad_())


def with_torchao(config):
    need_torchao()
    import torchao.quantization as ao

    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).eval()
    with quiet():
        ao.quantize_(network, config(ao))
    return network


def test_torchao_s_quantized_weights_have_a_derivative_of_their_own(unchecked):
    network = with_torchao(lambda ao: ao.Int8WeightOnlyConfig())
    assert adopted(network) is network
    labels = network(images(32)).argmax(1)
    record = qa.evaluate(network, images(32), labels, qa.pgd(THREAT), THREAT)
    assert record.clean == 1.0
    assert record.worst_case < 0.9


@pytest.mark.parametrize("grain", ["PerRow", "PerTensor"])
def test_torchao_s_quantized_inputs_get_one(grain, unchecked):
    network = with_torchao(lambda ao: ao.Int8DynamicActivationInt8WeightConfig(granularity=getattr(ao, grain)()))
    model = from_program(network)
    assert model.twin.rows == (1 if grain == "PerTensor" else None)
    with torch.no_grad():
        alone = torch.cat([network(image[None]) for image in images(20)])
    asked = images(20).requires_grad_()
    logits = model(asked)
    assert torch.allclose(logits, alone, atol=1e-6)
    (gradient,) = torch.autograd.grad(logits.sum(), asked)
    assert (gradient != 0).float().mean() > 0.5
    labels = alone.argmax(1)
    record = qa.evaluate(network, images(20), labels, qa.pgd(THREAT, steps=5), THREAT)
    assert record.clean == 1.0
    assert record.worst_case < 1.0


@pytest.mark.parametrize("make", [lambda: with_torchao(lambda ao: ao.Int8WeightOnlyConfig()), eager])
def test_checksums_see_the_numbers_inside_of_quantized_tensors(make):
    one, same = make(), make()
    assert model_checksum(one) == model_checksum(same) == model_checksum(copy.deepcopy(one))
    torch.manual_seed(1)
    if isinstance(one, nn.Sequential):
        one[1].weight.qdata[0, 0] += 1
    else:
        one.last.set_weight_bias(*other_weight(one.last))
    assert model_checksum(one) != model_checksum(same)


def other_weight(layer):
    weight, bias = layer.weight(), layer.bias()
    numbers = weight.int_repr().clone()
    numbers[0, 0] += 1
    scales, zeros = weight.q_per_channel_scales(), weight.q_per_channel_zero_points()
    return torch._make_per_channel_quantized_tensor(numbers, scales, zeros, weight.q_per_channel_axis()), bias


def test_a_float_module_is_not_converted():
    network = made("residual")
    assert adopted(network) is network
    with pytest.raises(qa.InputError, match=r"from_program takes a program.*torch\.export"):
        from_program(network)
