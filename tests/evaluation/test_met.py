"""Modules that looking at a model does not show are met on the first call: judged, watched, and left as they were."""

import gc
import sys
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evaluation.test_reach import Counting, bits, net, qat
from quantattack import InputError, Linf, Threat, evaluate, load_data, pgd
from quantattack.diagnostics.diagnose import diagnose
from quantattack.evaluation.checks import counted_model
from quantattack.evaluation.met import met_in

THREAT = Threat(Linf(), 0.1)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")

nets = ModuleType("nets_of_a_test")
sys.modules["nets_of_a_test"] = nets
_GLOBAL = SimpleNamespace(net=None)


class Keeps(nn.Module):
    """A module in eval mode that keeps another one where `nn.Module` does not look."""

    def __init__(self, held: Any, get: Callable[[Any], nn.Module]) -> None:
        super().__init__()
        object.__setattr__(self, "held", held)
        self.get = get
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.get(self.held)(x)


class Slotted:
    """Without `__dict__`."""

    __slots__ = ("__weakref__", "inner")

    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    def __call__(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def scores(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Plain:
    """No callable."""

    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    def scores(self, x: Tensor) -> Tensor:
        return self.inner(x)


def scoring(held: Any) -> Any:
    return lambda x, kept=held: kept.scores(x)


def of_a_class(inner: nn.Module) -> Any:
    class Held:
        network = inner

        @classmethod
        def scores(cls, x: Tensor) -> Tensor:
            return cls.network(x)

        def __call__(self, x: Tensor) -> Tensor:
            return type(self).network(x)

    return Held


def of_a_module(inner: nn.Module) -> Any:
    nets.net = inner
    return lambda x: nets.net(x)


def imported(inner: nn.Module) -> Any:
    nets.net = inner

    def call(x: Tensor) -> Tensor:
        from nets_of_a_test import net as held

        return held(x)

    return call


def nested(inner: nn.Module) -> Any:
    _GLOBAL.net = inner
    return lambda x: (lambda: _GLOBAL.net(x))()


def referred(inner: nn.Module) -> Any:
    nets.net, held = inner, weakref.ref(inner)
    return lambda x: held()(x)


def keyword(inner: nn.Module) -> Any:
    def call(x: Tensor, *, held: nn.Module = inner) -> Tensor:
        return held(x)

    return call


def deep(inner: nn.Module) -> Any:
    held: Any = inner
    for _ in range(8):
        held = [held]

    def call(x: Tensor) -> Tensor:
        found = held
        while isinstance(found, list):
            found = found[0]
        return found(x)

    return call


HIDDEN: dict[str, Callable[[nn.Module], Any]] = {
    "default": lambda inner: lambda x, held=inner: held(x),
    "keyword default": keyword,
    "list": lambda inner: Keeps([inner], lambda held: held[0]),
    "dict": lambda inner: Keeps({"net": inner}, lambda held: held["net"]),
    "set": lambda inner: Keeps({inner}, lambda held: next(iter(held))),
    "deque": lambda inner: Keeps(deque([inner]), lambda held: held[0]),
    "namespace": lambda inner: Keeps(SimpleNamespace(net=inner), lambda held: held.net),
    "object.__setattr__": lambda inner: Keeps(inner, lambda held: held),
    "lambda attribute": lambda inner: Keeps(None, lambda held: inner),
    "bound method": lambda inner: Keeps(Plain(inner), lambda held: held.scores),
    "slots": Slotted,
    "slots called": lambda inner: scoring(Slotted(inner)),
    "class attribute": lambda inner: of_a_class(inner)(),
    "class method": lambda inner: of_a_class(inner).scores,
    "no callable": lambda inner: scoring(Plain(inner)),
    "in a closure": lambda inner: partial(lambda held, x: held.scores(x), Plain(inner)),
    "global of a module": of_a_module,
    "import inside": imported,
    "nested lambda": nested,
    "weak reference": referred,
    "deep": deep,
    "forward alone": lambda inner: lambda x, held=inner: held.forward(x),
}


def called(model: Any) -> None:
    images, labels = load_data("digits")
    evaluate(model, images[:16], labels[:16], {"pgd": pgd(THREAT, steps=1)}, THREAT)


BAD: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "trains": (lambda: net().train(), "train mode"),
    "one layer trains": (lambda: one_trains(), "train mode"),
    "observes": (lambda: qat(observed=True), "observers are on"),
}


def one_trains() -> nn.Module:
    model = net()
    model.norm.train()
    return model


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("hide", HIDDEN.values(), ids=HIDDEN)
def test_a_hidden_module_is_refused_before_it_has_run(
    hide: Callable[[nn.Module], Any], bad: tuple[Callable[[], nn.Module], str]
):
    inner = bad[0]()
    model, before = hide(inner), bits(inner)
    for use in (called, lambda each: diagnose(each, *(part[:16] for part in load_data("digits")), THREAT, budget=20)):
        with pytest.raises(InputError) as said:
            use(model)
        assert bad[1] in str(said.value)
        assert "\n" not in str(said.value)
        assert all(torch.equal(value, before[name]) for name, value in bits(inner).items())


@pytest.mark.parametrize("hide", HIDDEN.values(), ids=HIDDEN)
def test_a_hidden_module_that_changes_is_told_and_gets_its_buffers_back(hide: Callable[[nn.Module], Any]):
    inner = Counting().eval()
    if hide is HIDDEN["forward alone"]:
        inner = nn.Sequential(inner).eval()
    model, before = hide(inner), bits(inner)
    images = load_data("digits")[0][:16]
    record = evaluate(model, images, net()(images).argmax(1), {"pgd": pgd(THREAT, steps=1)}, THREAT)
    assert "changed itself" in record.codes["model_changed"]
    assert all(torch.equal(value, before[name]) for name, value in bits(inner).items())


@pytest.mark.parametrize("hide", HIDDEN.values(), ids=HIDDEN)
def test_an_honest_hidden_module_is_taken_again_and_again(hide: Callable[[nn.Module], Any]):
    inner = net()
    model, images = hide(inner), load_data("digits")[0][:16]
    for _ in range(2):
        record = evaluate(model, images, inner(images).argmax(1), {"pgd": pgd(THREAT, steps=1)}, THREAT)
        assert "model_changed" not in record.codes
    assert met_in(model) == []
    inner.train()
    with pytest.raises(InputError, match="train mode"):
        called(model)


def test_modules_made_anew_at_each_call_are_no_change():
    inner, images = net(), load_data("digits")[0][:16]
    labels = inner(images).argmax(1)
    record = evaluate(lambda x: nn.Identity()(inner(x)), images, labels, {"pgd": pgd(THREAT, steps=1)}, THREAT)
    assert "model_changed" not in record.codes


def test_the_wrapper_around_a_model_is_not_met():
    model, images = net(), load_data("digits")[0][:16]
    counted_model(model, images)
    assert met_in(model) == []


def test_nothing_is_held_and_no_hook_stays():
    inner = net()
    gone, model = weakref.ref(inner), HIDDEN["default"](inner)
    called(model)
    assert not torch.nn.modules.module._global_forward_pre_hooks
    del inner, model
    gc.collect()
    assert gone() is None
