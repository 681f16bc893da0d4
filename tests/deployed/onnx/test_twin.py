"""Derivatives, copies, fixed batches and integer ends of the ONNX twin."""

import copy
import pickle

import pytest
import torch
from torch import nn

from deployed.onnx import files
from quantattack.deployed.base import DeployedModel
from quantattack.deployed.onnx.ends import Levels, in_batches
from quantattack.deployed.onnx.grid import through, to_grid
from quantattack.deployed.onnx.load import load_onnx
from quantattack.deployed.onnx.surrogate import sign_through
from quantattack.deployed.pixels import Pixels
from quantattack.errors import InputError


def deployed(loaded):
    """The model as attacks see it, its pixels in [0, 1]."""
    return DeployedModel(loaded.twin, loaded.runtime, Pixels(loaded.layout), loaded.softmax)


def gradient(function, values):
    x = values.clone().requires_grad_()
    (grad,) = torch.autograd.grad(function(x).sum(), x)
    return grad


def test_rounding_has_derivative_one_inside_the_limits_and_at_its_ends_and_zero_outside():
    values = torch.tensor([-3.4, -0.4, 0.0, 1.6, 4.4, 4.6, 9.0])
    assert gradient(lambda x: to_grid(x, 0.0, 0.0, 4.0), values).tolist() == [0, 1, 1, 1, 1, 0, 0]
    scaled = gradient(lambda x: to_grid(x, 1.0, 0.0, 4.0, 0.5), values)
    assert scaled.tolist() == [0, 0.5, 0.5, 0.5, 0.5, 0.5, 0]
    channels = gradient(lambda x: to_grid(x, 0.0, 0.0, 4.0, torch.tensor(2.0)), values)
    assert channels.tolist() == [0, 0, 2, 2, 0, 0, 0]


def test_rounding_is_the_same_with_and_without_gradients():
    values = torch.randn(4, 3, 5) * 300
    zero = torch.tensor([3.0, -4.0, 0.0])[:, None]
    with_gradients = to_grid(values.clone().requires_grad_(), zero, -128.0, 127.0, 0.3)
    assert torch.equal(with_gradients, to_grid(values, zero, -128.0, 127.0, 0.3))
    assert torch.equal(with_gradients, ((values * 0.3).round() + zero).clamp(-128, 127))


def test_the_value_of_one_tensor_has_the_derivative_of_another():
    exact = torch.tensor([1e8, 3.0])
    values = torch.tensor([1e-3, 2.0], requires_grad=True)
    found = through(exact, values * 5)
    assert torch.equal(found, exact)
    assert torch.autograd.grad(found.sum(), values)[0].tolist() == [5, 5]


def test_the_sign_has_the_derivative_of_the_hard_tanh():
    values = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 2.0])
    assert sign_through(values).tolist() == [-1, -1, -1, 0, 1, 1]
    assert gradient(sign_through, values).tolist() == [0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("name", ["residual", "vgg", "depthwise", "dense", "transformer"])
def test_the_gradient_points_where_the_float_networks_does(quantized_file, name):
    loaded, network = load_onnx(quantized_file(name)), files.network(name)
    x = files.images(30, 2)
    labels = network(x).argmax(1)

    def loss(model):
        return lambda values: nn.functional.cross_entropy(model(values), labels, reduction="none")

    ours, theirs = gradient(loss(loaded.twin), x).flatten(1), gradient(loss(network), x).flatten(1)
    assert torch.cosine_similarity(ours, theirs).median() > 0.7


@pytest.mark.parametrize("name", ["residual", "transformer"])
def test_second_derivatives_exist(quantized_file, name):
    twin = load_onnx(quantized_file(name)).twin
    x = files.images(2).requires_grad_()
    (grad,) = torch.autograd.grad(twin(x).logsumexp(1).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(grad.square().sum(), x)
    assert torch.isfinite(second).all()
    assert second.abs().sum() > 0


@pytest.mark.parametrize("name", ["residual", "lenet", "transformer"])
def test_a_float64_copy_computes_in_float64_and_leaves_the_twin_as_it_is(quantized_file, name):
    twin = load_onnx(quantized_file(name)).twin
    wide = copy.deepcopy(twin).double()
    x = files.images(20)
    with torch.no_grad():
        assert wide(x.double()).dtype == torch.float64
        assert twin(x).dtype == torch.float32
        assert (wide(x.double()).argmax(1) == twin(x).argmax(1)).float().mean() > 0.9
    assert gradient(wide, x.double()).dtype == torch.float64


def test_a_copy_shares_the_runtime_and_a_pickled_one_opens_the_file_again(quantized_file):
    model = deployed(load_onnx(quantized_file("residual")))
    assert copy.deepcopy(model).runtime is model.runtime
    again = pickle.loads(pickle.dumps(model))
    x = files.images(10)
    assert again.runtime is not model.runtime
    assert again.artifact == model.artifact
    assert torch.equal(again.judge(x), model.judge(x))
    assert torch.equal(again.twin(x), model.twin(x))


def test_a_pickled_runtime_does_not_open_another_file(quantized_file, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(quantized_file("residual").read_bytes())
    kept = pickle.dumps(load_onnx(path).runtime)
    path.write_bytes(quantized_file("vgg").read_bytes())
    with pytest.raises(InputError, match="has changed"):
        pickle.loads(kept)


def test_the_model_searches_the_twin_and_asks_the_runtime(quantized_file):
    loaded = load_onnx(quantized_file("lenet"))
    model, x = deployed(loaded), files.images(20)
    assert torch.equal(model(x.clone().requires_grad_()).detach(), loaded.twin(x).detach())
    assert torch.equal(model(x), loaded.runtime(x).clamp_min(1 / 512).log())


def test_the_artifact_states_what_decides_its_numbers(quantized_file):
    artifact = load_onnx(quantized_file("vgg")).runtime.artifact
    assert artifact.format == "onnx"
    assert artifact.bytes == quantized_file("vgg").stat().st_size
    assert artifact.runtime.startswith("onnxruntime ")
    assert set(artifact.settings) == {"level", "provider", "processor"}


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", ["vgg", "transformer"])
def test_a_file_of_a_fixed_batch_takes_any_number_of_images(float_file, name, batch):
    path = files.quantize(float_file(name, batch), "qdq-u8s8", batch)
    loaded, x = load_onnx(path), files.images(11)
    assert loaded.input_shape[0] == batch
    with torch.no_grad():
        judged, found = loaded.runtime(x), loaded.twin.outputs(x)
    assert judged.shape == (11, 10)
    assert torch.equal(judged[3:4], loaded.runtime(x[3:4]))
    assert (judged - found).abs().max() < 2 * judged.std()
    assert (judged.argmax(1) == found.argmax(1)).all()


def test_batches_of_one_size_are_filled_with_copies():
    parts = in_batches(torch.arange(5.0), 3)
    assert [part.tolist() for part in parts] == [[0, 1, 2], [3, 4, 4]]


def integer_ends(path, target):
    """The same file without its first QuantizeLinear and last DequantizeLinear: bytes in, bytes out."""
    import onnx

    model = onnx.load(str(path))
    nodes, graph = list(model.graph.node), model.graph
    first = next(node for node in nodes if node.op_type == "QuantizeLinear" and node.input[0] == graph.input[0].name)
    last = next(node for node in nodes if graph.output[0].name in node.output)
    assert last.op_type == "DequantizeLinear"
    graph.input[0].name, graph.output[0].name = first.output[0], last.input[0]
    for end in (graph.input[0], graph.output[0]):
        end.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    graph.node.remove(first)
    graph.node.remove(last)
    onnx.save(model, str(target))
    return target


@pytest.mark.parametrize("variant", ["qdq-u8s8", "qoperator-u8s8"])
def test_integers_in_and_out_are_real_numbers_outside(quantized_file, tmp_path, variant):
    inside = load_onnx(quantized_file("residual", variant))
    loaded = load_onnx(integer_ends(quantized_file("residual", variant), tmp_path / "bytes.onnx"))
    x = files.images(40)
    assert loaded.integers
    assert not inside.integers
    assert loaded.levels == inside.levels
    assert torch.allclose(loaded.runtime(x), inside.runtime(x), atol=1e-6)
    with torch.no_grad():
        assert torch.equal(loaded.twin.outputs(x), loaded.runtime(x))
    assert gradient(loaded.twin, x).abs().sum() > 0


def test_what_the_file_tells_of_its_pixels(quantized_file, float_file):
    loaded = load_onnx(quantized_file("residual"))
    assert (loaded.layout, loaded.input_shape, loaded.classes) == ("nchw", (None, 3, files.SIZE, files.SIZE), 10)
    assert loaded.levels.kind == "uint8"
    assert loaded.levels.low == pytest.approx(0, abs=1e-6)
    assert loaded.levels.high == pytest.approx(1, abs=0.05)
    assert load_onnx(float_file("residual")).levels is None


def test_levels_are_where_the_grid_says():
    levels = Levels("int8", 0.5, -10.0)
    assert (levels.low, levels.high) == (-59, 68.5)
    assert levels.quantize(torch.tensor([-100.0, 0.25, 0.75, 100.0])).tolist() == [-128, -10, -8, 127]
    assert levels.dequantize(torch.tensor([-10.0, -8.0])).tolist() == [0, 1]


class Chosen(nn.Module):
    """A network with jumps: the sign, and a choice between constants."""

    def __init__(self, jump):
        super().__init__()
        self.first, self.last, self.jump = nn.Linear(files.SIZE**2 * 3, 20), nn.Linear(20, 4), jump

    def forward(self, x):
        return self.last(self.jump(self.first(x.flatten(1))))


def chosen(x):
    return torch.where(x >= 0, 1.0, -1.0)


def cast(x):
    return (x >= 0).to(x.dtype) * 2 - 1


def written_relu(x):
    return torch.where(x > 0, x, torch.zeros_like(x))


@pytest.mark.parametrize("jump", [torch.sign, chosen, cast])
def test_jumps_have_a_surrogate_derivative(tmp_path, jump):
    torch.manual_seed(1)
    network = Chosen(jump).requires_grad_(False)
    loaded, x = load_onnx(files.export(network, tmp_path / "jumps.onnx")), files.images(10)
    with torch.no_grad():
        assert torch.allclose(loaded.twin(x), loaded.runtime(x), atol=1e-5)
        before = network.first(x.flatten(1))
    inside = (before.abs() <= 1).float()
    expected = (network.last.weight.sum(0) * inside) @ network.first.weight
    assert torch.allclose(gradient(loaded.twin, x).flatten(1), expected, atol=1e-5)


def test_a_choice_between_computed_tensors_has_its_own_derivative(tmp_path):
    torch.manual_seed(1)
    network = Chosen(written_relu).requires_grad_(False)
    loaded, x = load_onnx(files.export(network, tmp_path / "relu.onnx")), files.images(10)
    assert torch.allclose(gradient(loaded.twin, x), gradient(network, x), atol=1e-5)
