"""What turns cross entropy's gradient away is named: rounding where it rounds, and else what it is."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks import Times
from quantattack import Linf, Threat, evaluate, load_data, load_model, pgd
from quantattack.evaluation.gradient_health import cause_of

from .test_slopes import Changed

THREAT = Threat(Linf(), 0.1)


class Side(nn.Module):
    """Logits without a gradient but for a small share of them."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.network, self.share = load_model("digits-float"), share

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        return logits.detach() + self.share * (logits - logits.detach())


def random(grad: Tensor) -> Tensor:
    return torch.randn_like(grad)


def noisy(grad: Tensor) -> Tensor:
    return grad + grad.abs().amax() * torch.randn_like(grad)


def cut(grad: Tensor) -> Tensor:
    """Drop what is small, as a clipped or quantized backward pass does."""
    return (grad * 64).round() / 64 + 1e-9


def shifted(grad: Tensor) -> Tensor:
    return grad + torch.linspace(-1, 1, grad[0].numel()).reshape(grad.shape[1:])


CAUSES: dict[str, tuple[Callable[[], Any], str]] = {
    "random": (lambda: Changed(random), "two backward passes"),
    "noisy": (lambda: Changed(noisy), "two backward passes"),
    "cut": (lambda: Changed(cut), "no linear map"),
    "shifted": (lambda: Changed(shifted), "no linear map"),
    "side path": (lambda: Side(1e-38), "next to no gradient"),
    "narrower side path": (lambda: Side(1e-39), "next to no gradient"),
    "saturated": (lambda: Times(load_model("digits-float"), 2), "rounding turns"),
    "more so": (lambda: Times(load_model("digits-float"), 4), "rounding turns"),
}


@pytest.mark.parametrize("case", CAUSES.values(), ids=CAUSES)
def test_the_reason_given_is_the_true_one(case: tuple[Callable[[], Any], str]):
    make, says = case
    images, labels = (part[:64] for part in load_data("digits"))
    record = evaluate(make().eval(), images, labels, {"pgd": pgd(THREAT, steps=2)}, THREAT)
    assert says in record.codes["wrong_direction"]
    assert ("rounding" in record.codes["wrong_direction"]) == (says == "rounding turns")


@pytest.mark.parametrize(
    "name", ["digits-mdtanhs", "digits-bnn-waq", "digits-bc", "digits-w8-bc", "digits-mlp-bnn-waq"]
)
def test_in_networks_of_the_package_it_is_rounding(name: str):
    images, labels = (part[:32] for part in load_data("digits"))
    assert cause_of(load_model(name), images, labels) == "rounding"
