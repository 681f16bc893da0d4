"""A stranger's model stays what it was, and what changes, depends on its batch or trains on the quiet is said so."""

import copy
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.ao import quantization

from quantattack import InputError, Linf, Threat, evaluate, load_data, pgd
from quantattack.diagnostics.diagnose import diagnose
from quantattack.evaluation.checks import check_model
from quantattack.evaluation.reach import changed, modules_of, observing, state_of, training_layers

THREAT = Threat(Linf(), 0.1)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")


def images(count: int = 40) -> Tensor:
    return load_data("digits")[0][:count]


class Net(nn.Module):
    """A small CNN with its normalization inside, as timm's are used, in torch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 1, 1), 0.3))
        self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
        self.conv, self.norm, self.relu = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant((x - self.mean) / 0.5)
        x = self.relu(self.norm(self.conv(x)))
        return self.dequant(self.head(self.drop(torch.flatten(x, 1))))


def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def qat(*, observed: bool = False) -> nn.Module:
    model = net().train()
    model.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    prepared = quantization.prepare_qat(model)
    prepared(images(64))
    prepared.eval()
    return prepared if observed else prepared.apply(quantization.disable_observer)


def ptq_observed() -> nn.Module:
    model = net()
    model.qconfig = quantization.get_default_qconfig("fbgemm")
    return quantization.prepare(model)


def exported(model: nn.Module) -> Any:
    batch = torch.export.Dim("batch", min=2, max=4096)
    return torch.export.export(model, (images(16),), dynamic_shapes=({0: batch},)).module()


@cache
def observed_pt2e(*, trained: bool) -> Any:
    """Return a model that observes, for others to copy: preparing one takes seconds."""
    from torchao.quantization.pt2e import move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e
    from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

    if not trained:
        return move_exported_model_to_eval(copy.deepcopy(observed_pt2e(trained=True)))
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_qat=True))
    prepared = prepare_qat_pt2e(exported(net().train()), quantizer)
    prepared(images(64))
    return prepared


def pt2e(*, observed: bool = False, trained: bool = False) -> Any:
    pytest.importorskip("torchao")
    from torchao.quantization.pt2e import disable_observer

    prepared = copy.deepcopy(observed_pt2e(trained=trained))
    return prepared if observed else prepared.apply(disable_observer)


MODELS: dict[str, Callable[[], Any]] = {
    "plain": net,
    "qat": qat,
    "pt2e": pt2e,
    "exported": lambda: exported(net()),
    "scripted": lambda: torch.jit.script(net()),
    "frozen": lambda: torch.jit.freeze(torch.jit.script(net())),
    "traced": lambda: torch.jit.trace(net(), images(16)),
}


def bits(model: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in {**model.state_dict(), **dict(model.named_buffers())}.items()}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_is_bit_for_bit_what_it_was_and_its_verdicts_at_any_batch_size(make: Callable[[], Any]):
    model, x = make(), images()
    labels = model(x[:]).argmax(1)
    before, modes = bits(model), [getattr(module, "training", None) for module in model.modules()]
    verdicts = []
    for size in (1, 7, 64):
        record = evaluate(model, x, labels, {"pgd": pgd(THREAT, steps=3)}, THREAT, batch_size=size)
        verdicts.append(record.column("pgd", "prediction").tolist())
        assert not {"model_changed", "batch_dependent", "random_model"} & set(record.codes)
    assert verdicts[0] == verdicts[1] == verdicts[2]
    found = diagnose(model, x[:16], labels[:16], THREAT, budget=50)
    assert {finding.check: finding.verdict for finding in found.findings}["unchanged"] == "pass"
    after = bits(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert modes == [getattr(module, "training", None) for module in model.modules()]


def trained_lambda() -> Any:
    model = net().train()
    return lambda x: model(x)


def bound() -> Any:
    return net().train().forward


class Holder:
    """A callable that keeps a model."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, x: Tensor) -> Tensor:
        return self.model(x)


class Around(nn.Module):
    """A wrapper that is in train mode, around whatever it wraps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Functional(nn.Module):
    """Dropout without a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.model = net()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.model(x), 0.5, self.training)


_GLOBAL = net().train()


def by_global(x: Tensor) -> Tensor:
    return _GLOBAL(x)


REFUSED: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "module": (lambda: net().train(), ("train mode", ".eval()")),
    "lambda": (trained_lambda, ("train mode", ".eval()")),
    "partial": (lambda: partial(torch.nn.Module.__call__, net().train()), ("train mode",)),
    "bound method": (bound, ("train mode",)),
    "object": (lambda: Holder(net().train()), ("train mode",)),
    "global": (lambda: by_global, ("train mode",)),
    "object of a list": (lambda: Holder([net(), net().train()]), ("train mode",)),
    "functional dropout": (lambda: Functional().train(), ("train mode",)),
    "script": (lambda: torch.jit.script(net().train()), ("train mode", ".eval()")),
    "exported in train mode": (lambda: exported(net().train()), ("exported in train mode", "move_exported")),
    "pt2e in train mode": (lambda: pt2e(trained=True), ("exported in train mode", "move_exported")),
    "qat that observes": (lambda: qat(observed=True), ("observers are on", "disable_observer")),
    "lambda over qat": (lambda: partial(qat(observed=True)), ("observers are on", "disable_observer")),
    "ptq that observes": (ptq_observed, ("observers are on", "convert")),
    "pt2e that observes": (lambda: pt2e(observed=True), ("observers are on", "disable_observer")),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_train_mode_and_observers_are_refused_where_they_matter(case: tuple[Callable[[], Any], tuple[str, ...]]):
    make, says = case
    model = make()
    with pytest.raises(InputError) as said:
        check_model(model)
    assert all(part in str(said.value) for part in says)
    assert "\n" not in str(said.value)
    if "exported" in says[0]:
        assert "call its .eval()" not in str(said.value)


TAKEN: dict[str, Callable[[], Any]] = {
    "wrapper in train mode": lambda: Around(net()),
    "sequential": lambda: nn.Sequential(net()),
    "exported": lambda: exported(net()),
    "lambda": lambda: lambda x: x.flatten(1),
    "pt2e": pt2e,
}


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN)
def test_a_flag_that_matters_to_no_layer_is_left(make: Callable[[], Any]):
    model = make()
    check_model(model)
    modes = [module.training for _, module in modules_of(model)]
    evaluate(model, images(16), torch.arange(16) % 10, {"pgd": pgd(THREAT, steps=1)}, THREAT)
    assert modes == [module.training for _, module in modules_of(model)]


class Counting(Around):
    """Counts its calls in a buffer, and shifts its logits by them."""

    def __init__(self, *, replaces: bool = False) -> None:
        super().__init__(net())
        self.register_buffer("calls", torch.zeros(()))
        self.replaces = replaces

    def forward(self, x: Tensor) -> Tensor:
        if self.replaces:
            self.calls = self.calls + 1
        else:
            self.calls.add_(1)
        return self.model(x) + 1e-9 * self.calls


class Drifting(Around):
    """Changes a weight each time."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.model.head.bias += 1e-4
        return self.model(x)


CHANGING = {"in place": Counting, "replaced": partial(Counting, replaces=True), "a weight": lambda: Drifting(net())}


@pytest.mark.parametrize("make", CHANGING.values(), ids=CHANGING)
def test_a_model_that_changes_itself_is_said_so_and_gets_its_buffers_back(make: Callable[[], Any]):
    model, x = make().eval(), images()
    labels = net()(x).argmax(1)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    record = evaluate(model, x, labels, {"pgd": pgd(THREAT, steps=2)}, THREAT)
    assert "changed itself" in record.codes["model_changed"]
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())
    found = diagnose(model, x, labels, THREAT, budget=50)
    assert "model_changed" in found.reasons
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())


def centered() -> Any:
    model = net()
    return lambda x: model(x - x.mean(0))


def untracked() -> Any:
    torch.manual_seed(0)
    parts = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(), nn.Linear(144, 10)
    return nn.Sequential(*parts).eval()


def rescaled() -> Any:
    model = net()

    def dynamic(x: Tensor) -> Tensor:
        scale = model.conv(x).detach().abs().amax() / 127
        return model((x / scale).round() * scale)

    return dynamic


def normed_logits() -> Any:
    model = net()
    return lambda x: model(x) / model(x).norm()


DEPENDENT = {"centered": centered, "batchnorm": untracked, "dynamic": rescaled, "norm": normed_logits}


@pytest.mark.parametrize("size", [1, 16, 64])
@pytest.mark.parametrize("make", DEPENDENT.values(), ids=DEPENDENT)
def test_logits_that_depend_on_the_batch_are_flagged(make: Callable[[], Any], size: int, tmp_path: Any):
    x, labels = images(), net()(images()).argmax(1)
    settings: Any = {"batch_size": size, "out": tmp_path}
    record = evaluate(make(), x, labels, {"pgd": pgd(THREAT, steps=2)}, THREAT, **settings)
    assert "batch_dependent" in record.codes
    assert "random_model" not in record.codes


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_an_honest_model_depends_on_no_batch(count: int):
    x = images(count)
    record = evaluate(qat(), x, qat()(x).argmax(1), {"pgd": pgd(THREAT, steps=2)}, THREAT)
    assert not {"batch_dependent", "model_changed", "random_model"} & set(record.codes)
    record = evaluate(centered(), x, qat()(x).argmax(1), {"pgd": pgd(THREAT, steps=2)}, THREAT)
    assert "batch_dependent" in record.codes


def test_a_state_is_compared_name_by_name():
    model = net()
    before = state_of(model)
    assert changed(before, state_of(copy.deepcopy(model))) == []
    with torch.no_grad():
        model.head.bias[0] += 1
        model.norm.running_mean += 1
        model.norm.num_batches_tracked += 1
    assert changed(before, state_of(model)) == ["head.bias", "norm.running_mean"]
    assert changed(before, state_of(lambda x: model(x))) != []
    assert training_layers(net()) == observing(net()) == []
