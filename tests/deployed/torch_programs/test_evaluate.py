"""Programs and converted modules given as the model of an evaluation, and what cannot be attacked in one line."""

import pytest
import torch
from torch import fx, nn

import quantattack as qa
from deployed.torch_programs.programs import converted, exported, images, made, need_torchao, pt2e, quantizer, quiet
from quantattack.attacks.adapters import from_quantized
from quantattack.deployed import adopted, from_program
from quantattack.diagnostics.diagnose import diagnose

THREAT = qa.Threat(qa.Linf(), 0.08)
SUITE = {"pgd": qa.pgd(THREAT, steps=4)}


@pytest.fixture(scope="module")
def subjects(digits):
    """The digits' network as a PT2E graph, an exported program, and a converted module; 24 images and labels."""
    network, shown, labels = digits
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    tools = need_torchao()
    free = ({0: torch.export.Dim("n", min=1, max=4096)},)
    with quiet():
        graph = torch.export.export(network, (shown[:4].clone(),), dynamic_shapes=free)
        prepared = tools.prepare_pt2e(graph.module(), quantizer("x86"))
        prepared(shown)
        made_fx = prepare_fx(network, get_default_qconfig_mapping("x86"), (shown[:4],))
        made_fx(shown)
        models = {"pt2e": tools.convert_pt2e(prepared), "exported": graph, "fx": convert_fx(made_fx)}
    return models, shown[:24], labels[:24]


@pytest.mark.parametrize("kind", ["pt2e", "exported", "fx"])
def test_evaluate_takes_it_and_its_verdict_is_that_of_the_model_alone(subjects, kind, unchecked):
    models, shown, labels = subjects
    model = models[kind]
    plain = model.module() if kind == "exported" else model
    records = {
        size: qa.evaluate(model, shown, labels, SUITE, THREAT, batch_size=size, return_images=True)
        for size in (1, 7, 24)
    }
    record, attacked = records[24]
    with torch.no_grad():
        assert record.clean == (plain(shown).argmax(1) == labels).double().mean()
        assert record.robust("pgd") == (plain(attacked["pgd"]).argmax(1) == labels).double().mean()
    assert record.robust("pgd") < record.clean - 0.2
    for other, images_of in (records[1], records[7]):
        assert other.clean == record.clean
        assert torch.equal(images_of["pgd"], attacked["pgd"])


def test_diagnose_takes_it(subjects):
    models, shown, labels = subjects
    found = diagnose(models["pt2e"], shown[:16], labels[:16], THREAT, budget=200)
    assert found.clean > 0.5
    assert "no_gradient" not in found.reasons
    assert "probabilities" not in found.reasons


def prepared():
    tools = need_torchao()
    with quiet():
        return tools.prepare_pt2e(exported(made("residual")).module(), quantizer("x86"))


class Two(nn.Module):
    def forward(self, one, two):
        return (one + two).flatten(1)


class Twice(nn.Module):
    def forward(self, shown):
        return shown.flatten(1), shown.flatten(1)


class Cut(nn.Module):
    def forward(self, shown):
        return shown.detach().flatten(1)[:, :10].round()


class Branched(nn.Module):
    def forward(self, shown):
        flat = shown.flatten(1)
        return torch.cond(flat.sum() > 0, lambda x: x + 1, lambda x: x - 1, (flat,))


def export(network, *inputs):
    with quiet():
        return torch.export.export(network, tuple(each.clone() for each in inputs))


def in_training():
    with quiet():
        return exported(made("residual").train())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: export(Two(), images(4), images(4)), "takes 2 inputs"),
        (lambda: export(Twice(), images(4)), "returns 2 values"),
        (lambda: export(Cut(), images(4)), "passes no derivative"),
        (lambda: export(nn.Identity(), images(4)), r"must return \(n, classes\)"),
        (lambda: export(Branched(), images(4)), "control flow|no operator"),
        (in_training, r"model\.eval\(\)"),
        (prepared, "convert_pt2e"),
        (lambda: fx.symbolic_trace(made("residual")), "from_program takes"),
        (lambda: made("residual"), r"torch\.export\.export"),
        (lambda: 3, "not int"),
    ],
)
def test_what_is_no_program_to_attack_is_one_line(make, words):
    with pytest.raises(qa.InputError, match=words) as refusal:
        from_program(make())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("path", ["model.tflite", "model.onnx"])
def test_a_path_in_place_of_a_model_says_how_to_load_it(path, unchecked):
    labels = torch.zeros(8, dtype=torch.long)
    for call in (
        lambda: qa.evaluate(path, images(8), labels, SUITE, THREAT),
        lambda: diagnose(path, images(8), labels, THREAT),
    ):
        with pytest.raises(qa.InputError, match=rf"qa\.load_model\('{path}'\)"):
            call()


def test_from_quantized_takes_what_was_converted():
    module = converted("residual")
    model = from_quantized(module, images(4), mean=[0.5], std=[0.25])
    with torch.no_grad():
        assert torch.equal(model(images(8)), module((images(8) - 0.5) / 0.25))
    asked = images(8).requires_grad_()
    assert torch.autograd.grad(model(asked).sum(), asked)[0].abs().sum() > 0
    program = from_quantized(pt2e(made("residual")), images(4))
    assert program.twinned


def test_a_graph_traced_by_fx_is_an_ordinary_model():
    """As onnx2torch makes them: graph modules that call modules."""
    traced = fx.symbolic_trace(made("residual")).eval()
    assert adopted(traced) is traced
    labels = traced(images(16)).argmax(1)
    assert qa.evaluate(traced, images(16), labels, qa.pgd(THREAT, steps=3), THREAT).clean == 1.0
