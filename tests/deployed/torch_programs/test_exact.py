"""A program's twin computes what the program computes, with a derivative, in any dtype and at any batch size."""

import copy
import os
import pickle

import pytest
import torch

import quantattack as qa
from deployed.torch_programs.programs import NETWORKS, exported, images, made, pt2e, qat, quiet
from quantattack.deployed import from_program

KINDS = {"x86": {}, "xnnpack": {"kind": "xnnpack"}, "per tensor": {"kind": "xnnpack", "per_channel": False}}
CASES = [(name, kind) for name in NETWORKS for kind in KINDS if kind != "per tensor" or name == "residual"]


@pytest.fixture(scope="module")
def programs():
    """Every network by every quantizer, as its tools leave it."""
    return {(name, kind): pt2e(made(name), **KINDS[kind]) for name, kind in CASES}


def attacked(model, clean):
    """Images after a step of the gradient's sign."""
    asked = clean.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(asked).amax(1).sum(), asked)
    return (clean + 0.05 * gradient.sign()).clamp(0, 1)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_twin_and_judge_give_the_program_s_own_logits(programs, name, kind):
    program = programs[name, kind]
    model, clean = from_program(program), images(200)
    for shown in (clean, (clean > 0.5).float(), attacked(model, clean)):
        with torch.no_grad():
            own = program(shown)
        assert torch.equal(model(shown), own)
        assert torch.equal(model(shown.clone().requires_grad_()), own)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_pixel_has_a_derivative_that_leads_down(programs, name, kind):
    model, clean = from_program(programs[name, kind]), images(64)
    labels = model(clean).argmax(1)
    asked = clean.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(asked).gather(1, labels[:, None]).sum(), asked)
    assert (gradient != 0).float().mean() > 0.5
    moved = (clean - 0.1 * gradient.sign()).clamp(0, 1)
    before, after = (model(shown).gather(1, labels[:, None]).mean() for shown in (clean, moved))
    assert after < before


@pytest.mark.peers
@pytest.mark.skipif(
    os.environ.get("QUANTATTACK_MODELS") != "required", reason="torchao prepares for a minute; make test-extras runs it"
)
@pytest.mark.parametrize("name", ["residual", "depthwise"])
def test_a_network_trained_with_quantization_is_exact_too(name):
    program = qat(made(name))
    with torch.no_grad():
        own = program(images(64))
    model = from_program(program)
    assert torch.equal(model(images(64)), own)
    assert torch.equal(model(images(64).requires_grad_()), own)


def test_a_copy_in_double_precision_has_a_twin_in_double_precision(programs):
    for (name, kind), program in programs.items():
        model = from_program(program)
        wide, clean = copy.deepcopy(model).double(), images(64)
        logits = wide(clean.double().requires_grad_())
        assert logits.dtype == torch.float64
        assert model.twin(clean).dtype == torch.float32
        apart = (logits - model(clean)).abs().mean()  # a value at a boundary of the grid may fall on its other side
        assert apart < 0.05 * logits.std(), (name, kind)
        assert wide(clean.double()).dtype == torch.float64


def test_copies_share_the_judge_and_a_pickle_has_its_own(programs):
    model = from_program(programs["attention", "x86"])
    assert copy.deepcopy(model).runtime is model.runtime
    sent = pickle.loads(pickle.dumps(model))
    assert torch.equal(sent(images(20)), model(images(20)))
    assert sent.artifact == model.artifact


@pytest.mark.parametrize(("name", "batch", "rows"), [("residual", 1, None), ("residual", 5, None), ("attention", 5, 5)])
def test_a_program_of_one_batch_size_takes_any_number_of_images(name, batch, rows):
    """The attention's graph has the batch written into its reshapes."""
    network = made(name)
    model, free = from_program(pt2e(network, batch=batch)), from_program(exported(network))
    assert model.runtime.rows == batch
    assert model.twin.rows == rows
    assert model(images(23)).shape == (23, 10)
    alone = torch.cat([model(image[None]) for image in images(23)])
    assert torch.allclose(model(images(23)), alone, atol=1e-5)
    assert torch.allclose(model(images(23).requires_grad_()), alone, atol=1e-5)
    assert free.twin.rows is None


def test_a_softmax_at_the_end_is_climbed_before_it_and_judged_behind_it():
    from deployed.torch_programs.programs import Concatenated

    torch.manual_seed(0)
    program = pt2e(Concatenated(softmax=True).eval())
    model = from_program(program)
    with torch.no_grad():
        own = program(images(50))
    assert model.softmax
    assert torch.equal(model.runtime(images(50)), own)
    assert torch.equal(model.twin.outputs(images(50)), own)
    logits = model(images(50).requires_grad_())
    assert torch.allclose(torch.softmax(logits, 1), own, atol=1e-6)
    assert not torch.allclose(logits, own)


def test_scales_of_the_batch_are_those_of_each_image_alone():
    network = made("attention")
    program = pt2e(network, kind="xnnpack", dynamic=True)
    model = from_program(program)
    assert model.twin.rows == 1
    with torch.no_grad():
        alone = torch.cat([program(image[None]) for image in images(12)])
        together = program(images(12))
    assert torch.equal(model(images(12)), alone)
    assert not torch.equal(together, alone)
    asked = images(12).requires_grad_()
    assert torch.allclose(model(asked), alone, atol=1e-5)
    (gradient,) = torch.autograd.grad(model(asked).sum(), asked)
    assert (gradient != 0).float().mean() > 0.5


@pytest.mark.parametrize("name", NETWORKS)
def test_a_float_program_is_attacked_as_it_is(name):
    network = made(name)
    model = from_program(exported(network))
    asked = images(30).requires_grad_()
    assert torch.allclose(model(asked), network(asked), atol=1e-5)
    found, own = (torch.autograd.grad(each(asked).sum(), asked)[0] for each in (model, network))
    assert torch.allclose(found, own, atol=1e-5)


def test_pixels_are_what_the_program_is_told_they_are():
    from quantattack.deployed.pixels import Pixels

    program = pt2e(made("residual"))
    model = from_program(program, Pixels(mean=(0.5,), std=(0.25,)))
    with torch.no_grad():
        assert torch.equal(model(images(8)), program((images(8) - 0.5) / 0.25))


def test_the_model_given_is_left_as_it_was(programs):
    program = programs["residual", "x86"]
    before = {name: tensor.clone() for name, tensor in program.state_dict().items()}
    threat = qa.Threat(qa.Linf(), 0.1)
    labels = from_program(program)(images(16)).argmax(1)
    qa.evaluate(program, images(16), labels, qa.pgd(threat, steps=5), threat)
    after = program.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    with torch.no_grad(), quiet():
        assert torch.equal(program(images(16)).argmax(1), labels)
