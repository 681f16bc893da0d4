"""Whole networks: a small one built here, and the files of MLPerf Tiny; twin against interpreter, and derivatives."""

import copy
import pickle

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from deployed.tflite.files import (
    convolved,
    flat,
    fully_connected,
    judged,
    random_rows,
    real,
    residual,
    steps_off,
    twin_of,
)
from deployed.tflite.writer import Writer
from quantattack.data.sets import load_data
from quantattack.deployed.base import DeployedModel, Outputs
from quantattack.deployed.pixels import Pixels
from quantattack.deployed.tflite.load import load_tflite

FILES = ["resnet8_cifar10_int8", "mobilenet_vww96_int8", "dscnn_kws_int8"]


def deployed(path, **settings):
    """The file as a model of images in [0, 1]."""
    file = load_tflite(path, **settings)
    return DeployedModel(file.twin, file.runtime, Pixels("nhwc", *(file.pixel_range or (0.0, 255.0))), file.softmax)


@pytest.mark.parametrize("kernels", ["xnnpack", "reference"])
@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("mean", [True, False])
def test_a_residual_network(mean, kind, kernels):
    data = residual(kind=kind, mean=mean, softmax=False)
    assert steps_off(data, kernels, count=64).max() < 0.01


def test_a_quantized_network_between_float_ends(tmp_path):
    path = tmp_path / "float-ends.tflite"
    path.write_bytes(residual(float_ends=True))
    file = load_tflite(path)
    x = torch.rand(32, 8, 8, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert (file.softmax, file.input_type, file.float_file, file.pixel_range) == (True, "float32", False, (0.0, 1.0))
    assert torch.equal(file.twin.outputs(x).detach(), file.runtime(x))
    assert (torch.softmax(file.twin(x), 1) - file.twin.outputs(x)).abs().max() < 0.51 / 256
    (slope,) = torch.autograd.grad(file.twin(x).sum(), x)
    assert (slope.flatten(1).abs().sum(1) > 0).all()


def test_groups_of_channels():
    rng, writer = np.random.default_rng(0), Writer()
    inputs = writer.tensor((1, 6, 6, 8), "int8", 0.5, 3)
    kernel = writer.tensor((6, 3, 3, 4), "int8", np.full(6, 0.25), data=rng.integers(-127, 128, (6, 3, 3, 4)))
    output = writer.tensor((1, 6, 6, 6), "int8", 64.0, 3)
    options = schema.Conv2DOptionsT(padding=0, strideW=1, strideH=1)
    biases = writer.tensor((6,), "int32", np.full(6, 0.125), data=rng.integers(-900, 900, 6))
    writer.operator("CONV_2D", [inputs, kernel, biases], [output], options, 3)
    assert steps_off(flat(writer, output, 216, "int8", 64.0, 3)).max() == 0


@pytest.mark.parametrize("name", FILES)
def test_twins_of_real_files_equal_the_interpreter_on_random_bytes(name, real_file):
    assert steps_off(real_file(f"{name}.tflite").read_bytes(), count=24).max() == 0


@pytest.mark.parametrize("name", FILES)
def test_twins_under_the_reference_kernels(name, real_file):
    off = steps_off(real_file(f"{name}.tflite").read_bytes(), "reference", count=8)
    assert off.max() < 1.01
    assert (off > 0.01).float().mean() < 0.02


def test_a_float_file_runs_as_it_is(real_file):
    path = real_file("resnet8_cifar10_float.tflite")
    assert load_tflite(path).float_file
    data = path.read_bytes()
    graph, _ = twin_of(data)
    rows = random_rows(graph, 16) * 60
    assert steps_off(data, rows=rows).max() < 1e-4


@pytest.mark.parametrize("name", [*FILES, "resnet8_cifar10_float"])
def test_real_files_load(name, real_file):
    file = load_tflite(real_file(f"{name}.tflite"))
    outputs = file.runtime(torch.full((2, *file.input_shape), 0.5))
    assert (file.softmax, file.layout, outputs.shape) == (True, "nhwc", (2, file.classes))
    assert torch.allclose(outputs.sum(1), torch.ones(2), atol=0.05)


def test_what_a_real_file_says_of_its_input(real_file):
    file = load_tflite(real_file("resnet8_cifar10_int8.tflite"))
    assert (file.input_shape, file.input_type, file.classes) == ((32, 32, 3), "int8", 10)
    assert (file.input_scale, file.input_zero, file.pixel_range) == (1.0, -128, (0.0, 255.0))
    assert load_tflite(real_file("mobilenet_vww96_int8.tflite")).pixel_range == (0.0, 1.0)
    assert load_tflite(real_file("dscnn_kws_int8.tflite")).pixel_range is None


def test_the_real_network_on_real_images(real_file):
    model = deployed(real_file("resnet8_cifar10_int8.tflite"))
    images, labels = load_data("cifar10")
    images, labels = images[:128], labels[:128]
    with torch.no_grad():
        outputs = model.runtime(model.pixels(images))
        assert torch.equal(model.twin.outputs(model.pixels(images)), outputs)
    assert 0.82 < (outputs.argmax(1) == labels).float().mean() < 0.95
    saturated = (outputs.amax(1) == 255 / 256).float().mean()
    assert 0.35 < saturated < 0.6
    x = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(Outputs(model)(x).amax(1).sum(), x)
    flat = slope.flatten(1).abs().sum(1) == 0
    assert torch.equal(flat & (outputs.amax(1) == 255 / 256), flat)
    assert flat.float().mean() > 0.3
    (slope,) = torch.autograd.grad(model(x).amax(1).sum(), x)
    assert (slope.flatten(1).abs().sum(1) > 0).all()


def test_the_derivative_is_that_of_the_smooth_network(small):
    """A network of few, wide steps climbs as its twin says: the loss grows along the twin's gradient."""
    file = load_tflite(small)
    x = torch.rand(32, *file.input_shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    logits = file.twin(x)
    label = logits.argmax(1)
    margin = logits.gather(1, label[:, None])[:, 0] - logits.scatter(1, label[:, None], -1e9).amax(1)
    (slope,) = torch.autograd.grad(margin.sum(), x)
    assert slope.abs().sum() > 0
    moved = (x - 0.06 * slope.sign()).clamp(0, 1).detach()
    with torch.no_grad():
        after = file.twin(moved)
    later = after.gather(1, label[:, None])[:, 0] - after.scatter(1, label[:, None], -1e9).amax(1)
    assert (later < margin.detach()).float().mean() > 0.9


def test_between_its_levels_a_network_has_the_derivative_of_its_real_weights():
    rng, writer = np.random.default_rng(0), Writer()
    inputs = writer.tensor((1, 6, 6, 2), "int8", 1 / 255, -128)
    hidden = convolved(writer, rng, inputs, 2, 4, 6, "int8", 1 / 255, 0.05, 0, "none")
    flattened, held = writer.tensor((1, 144), "int8", 0.05, 0), writer.tensor((2,), "int32", data=[1, 144])
    writer.operator("RESHAPE", [hidden, held], [flattened], schema.ReshapeOptionsT(newShape=[1, 144]))
    weight = rng.integers(-127, 128, (3, 144))
    layer = fully_connected(writer, flattened, weight, "int8", 0.05, 0, 0.5, 0)
    graph, twin = twin_of(writer.bytes([inputs], [layer]))
    kernel = graph.nodes[0].inputs[1]
    real_kernel = torch.from_numpy(kernel.data * kernel.scale[:, None, None, None]).permute(0, 3, 1, 2)

    def smooth(x):
        convolved_x = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), real_kernel, padding=1)
        return convolved_x.permute(0, 2, 3, 1).flatten(1) @ torch.from_numpy(weight).float().T * 0.01

    x = torch.full((1, 6, 6, 2), 0.5)
    measured = torch.autograd.functional.jacobian(twin, x)
    assert torch.allclose(measured, torch.autograd.functional.jacobian(smooth, x), atol=1e-6)
    assert measured.abs().max() > 0.01


def test_the_end_of_a_quantized_softmax_is_flat():
    data = residual()
    graph, twin = twin_of(data)
    x = real(random_rows(graph, 64), graph.input).requires_grad_()
    outputs = twin.outputs(x)
    logits = twin(x)
    probabilities = torch.softmax(logits, 1)
    for scale in (1.0, 8.0):  # as it is, and sharpened so that it saturates
        twin.parts[-1].beta = scale
        twin.parts[-1].table = torch.exp(-scale * twin.parts[-1].taken.scale * torch.arange(256))
        outputs, sharp = twin.outputs(x), torch.softmax(scale * logits, 1)
        (slope,) = torch.autograd.grad(outputs.amax(1).sum(), x, retain_graph=True)
        beyond = sharp.amax(1) * 256 > 255.01
        assert (slope[beyond] == 0).all()
    assert beyond.sum() > 5
    assert probabilities.amax(1).min() > 0.2


def test_a_float64_twin_gives_the_same_levels(small):
    file = load_tflite(small)
    x = torch.rand(8, *file.input_shape, generator=torch.Generator().manual_seed(0))
    wide = copy.deepcopy(file.twin).double()
    y = x.double().requires_grad_()
    assert wide(y).dtype == torch.float64
    assert torch.allclose(wide(y).detach().float(), file.twin(x).detach(), atol=1e-6)
    assert torch.allclose(wide.outputs(y).float(), file.twin.outputs(x), atol=1e-6)
    (slope,) = torch.autograd.grad(wide(y).sum(), y)
    assert slope.dtype == torch.float64
    assert slope.abs().sum() > 0
    assert next(file.twin.buffers()).dtype == torch.float32  # the original is as it was


def test_copies_and_pickles_of_a_twin_give_the_same(small):
    file = load_tflite(small)
    x = torch.rand(8, *file.input_shape)
    for other in (copy.deepcopy(file.twin), pickle.loads(pickle.dumps(file.twin))):
        assert torch.equal(other(x), file.twin(x))


def test_a_twin_makes_the_same_numbers_with_and_without_a_derivative(small):
    twin = load_tflite(small).twin
    x = torch.rand(8, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone = twin(x), twin.outputs(x)
    searched = x.clone().requires_grad_()
    assert torch.equal(twin(searched), alone[0])
    assert torch.equal(twin.outputs(searched), alone[1])


def test_the_logits_are_what_enters_the_softmax(small):
    file = load_tflite(small)
    x = torch.rand(16, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (torch.softmax(file.twin(x), 1) - file.twin.outputs(x)).abs().max() < 0.51 / 256
        assert torch.equal(file.twin.outputs(x), file.runtime(x))


def test_a_file_without_a_softmax_gives_its_outputs(tmp_path):
    path = tmp_path / "logits.tflite"
    path.write_bytes(residual(softmax=False))
    file = load_tflite(path)
    x = torch.rand(8, 8, 8, 3)
    with torch.no_grad():
        assert not file.softmax
        assert torch.equal(file.twin(x), file.twin.outputs(x))
        assert torch.equal(file.twin(x), file.runtime(x))


def test_the_kernels_disagree_and_each_twin_follows_its_own(real_file):
    data = real_file("resnet8_cifar10_int8.tflite").read_bytes()
    graph, _ = twin_of(data)
    rows = random_rows(graph, 40)
    assert (judged(data, rows, "xnnpack") != judged(data, rows, "reference")).mean() > 0.01
