"""Faster relatives of a model: the model as given confirms every success, and float32 has the last word."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from quantattack import InputError, Linf, Threat, evaluate, load_data, load_model, margin, pgd
from quantattack.evaluation.fast_search import ChannelsLast, FastSearch, InBfloat16, faster_models, fold, last_layer
from quantattack.evaluation.run import run
from quantattack.evaluation.task import Task, prepare
from quantattack.nn.architectures import build
from quantattack.nn.convert import quantize
from quantattack.nn.quantizers import Ternary
from quantattack.record.record import Record
from quantattack.record.store import Store

THREAT = Threat(Linf(), 0.1)
ATTACKS = {"pgd": pgd(THREAT, steps=8), "margin": pgd(THREAT, steps=8, loss=margin)}


def resnet() -> nn.Module:
    torch.manual_seed(0)
    model = build("resnet-18", {"width": 0.125}).train()
    model(torch.rand(64, 3, 32, 32))  # so that BatchNorm has something to fold
    return model.eval()


def sample(model: nn.Module | None = None) -> Tensor:
    return torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_batchnorm_goes_into_the_convolutions():
    model = resnet()
    folded = copy.deepcopy(model)
    norms = sum(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    assert fold(folded, sample()) == norms > 10
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    with torch.no_grad():
        assert torch.allclose(folded(sample()), model(sample()), rtol=1e-3, atol=1e-4)


class Shared(nn.Module):
    """A convolution whose output is also used before BatchNorm, and one that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.norm.running_mean = torch.tensor([1.0, 2.0, 3.0])
        self.head = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head((x + self.norm(x)).mean((2, 3)))


def test_a_rearranged_network_that_is_another_one_is_refused():
    with pytest.raises(InputError, match="returns different logits"):
        faster_models(Shared().eval(), FastSearch(fold=True), sample())
    with pytest.raises(InputError, match=r"must be a torch\.nn\.Module"):
        faster_models(lambda images: images.flatten(1), FastSearch(fold=True), sample())


def test_quantized_weights_are_made_once():
    model = quantize(load_model("digits-float"), weights=Ternary()).eval()
    images = load_data("digits")[0][:16]
    (fast,) = faster_models(model, FastSearch(fold=True), images)
    assert any(hasattr(part, "parametrizations") for part in model.modules())
    assert not any(hasattr(part, "parametrizations") for part in fast.modules())
    with torch.no_grad():
        assert torch.allclose(fast(images), model(images), rtol=1e-4, atol=1e-3)


def test_bfloat16_ends_before_the_last_layer():
    model, seen = resnet(), dict[str, torch.dtype]()
    low = InBfloat16(copy.deepcopy(model), sample())
    for name, part in low.named_modules():
        part.register_forward_hook(lambda module, given, out, at=name: seen.update({at: out.dtype}))
    assert low(sample()).dtype == torch.float32
    last = last_layer(model, sample())
    assert isinstance(model.get_submodule(last), nn.Linear)
    assert seen[f"model.{last}.layer"] == torch.float32
    assert torch.bfloat16 in seen.values()
    with pytest.raises(InputError, match="no layer of this network has weights"):
        last_layer(nn.Flatten(), sample())


def evaluated(model: nn.Module, speed: FastSearch | None = None) -> Record:
    images, labels = (part[:64] for part in load_data("digits"))
    job = prepare(model, images, labels, ATTACKS, THREAT, speed=speed)
    store = Store.open(None, {"subjects": [job.identity.to_json()], "seed": 0})
    return run([job], store, [lambda name, done, total: None])[0]


@pytest.fixture(scope="module")
def plain() -> Record:
    images, labels = (part[:64] for part in load_data("digits"))
    return evaluate(load_model("digits-mdtanhs"), images, labels, ATTACKS, THREAT)


@pytest.mark.parametrize("option", ["fold", "channels_last", "bfloat16"])
def test_an_option_finds_about_as_much_and_the_same_again(option: str, plain: Record):
    speed = FastSearch.named([option])
    first, second = (evaluated(load_model("digits-mdtanhs"), speed) for _ in range(2))
    for name in ATTACKS:
        assert first.column(name, "prediction").tolist() == second.column(name, "prediction").tolist()
        assert abs(first.robust(name) - plain.robust(name)) <= 0.05
    assert (first.robust("margin") < first.clean) == (plain.robust("margin") < plain.clean)


def broken(record: Record) -> Any:
    return {name: record.broken(name).tolist() for name in ATTACKS}


def test_no_image_is_called_robust_before_a_float32_search(plain: Record, monkeypatch: pytest.MonkeyPatch):
    """A bfloat16 search that finds nothing costs time alone: float32 has the last word."""
    monkeypatch.setattr(InBfloat16, "forward", lambda self, images: 0 * self.model(images) + torch.eye(10)[0])
    record = evaluated(load_model("digits-mdtanhs"), FastSearch(bfloat16=True))
    assert broken(record) == broken(plain)


def test_a_success_that_the_model_does_not_confirm_is_searched_again(plain: Record, monkeypatch: pytest.MonkeyPatch):
    """A relative that takes everything for fooled ends every walk at once; the model as given walks them all."""
    monkeypatch.setattr("quantattack.evaluation.fast_search._check_same", lambda *given: None)
    monkeypatch.setattr(ChannelsLast, "forward", lambda self, images: -self.model(images))
    record = evaluated(load_model("digits-mdtanhs"), FastSearch(channels_last=True))
    assert broken(record) == broken(plain)


def test_compiled_code_is_faster_models(plain: Record, monkeypatch: pytest.MonkeyPatch):
    compiled: list[nn.Module] = []

    def stand_in(model: nn.Module, **settings: Any) -> nn.Module:
        compiled.append(model)
        return model

    monkeypatch.setattr(torch, "compile", stand_in)
    record = evaluated(load_model("digits-mdtanhs"), FastSearch(compile=True))
    assert len(compiled) == 1
    assert broken(record) == broken(plain)


def test_options_are_part_of_the_run(tmp_path: Any):
    images, labels = (part[:20] for part in load_data("digits"))

    def job(*names: str) -> Task:
        speed = FastSearch.named(list(names))
        return prepare(load_model("digits-float"), images, labels, ATTACKS, THREAT, speed=speed)

    identities = [{"subjects": [job(*names).identity.to_json()], "seed": 0} for names in ((), ("channels-last",))]
    assert "speed" not in identities[0]["subjects"][0]
    Store.open(tmp_path, identities[0]).close()
    with pytest.raises(InputError, match="its speed differ"):
        Store.open(tmp_path, identities[1])
    with pytest.raises(InputError, match="unknown speed option"):
        FastSearch.named(["fast"])


def test_a_model_is_left_as_it_is():
    model, images = resnet(), sample()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    faster_models(model, FastSearch(fold=True, channels_last=True, bfloat16=True), images)
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(part.is_contiguous() for part in after.values())
    assert np.all([parameter.requires_grad for parameter in model.parameters()])
