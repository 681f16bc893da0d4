"""Probabilities in place of logits are refused where that is certain, and told where it is likely."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from quantattack import InputError, Linf, Record, Threat, evaluate, load_data, load_model, pgd
from quantattack.evaluation.checks import are_probabilities, like_probabilities

THREAT = Threat(Linf(), 0.1)


def through(last: Callable[[Tensor], Tensor], count: int = 40) -> Record:
    images, labels = (part[:count] for part in load_data("digits"))
    network = load_model("digits-float")
    return evaluate(lambda x: last(network(x)), images, labels, {"pgd": pgd(THREAT, steps=2)}, THREAT)


CERTAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: logits.softmax(1),
    "bfloat16": lambda logits: logits.softmax(1).bfloat16().float(),
    "float16": lambda logits: logits.softmax(1).half().float(),
    "plus a little": lambda logits: logits.softmax(1) + 1e-3,
    "plus more": lambda logits: 0.8 * logits.softmax(1) + 0.1,
    "scaled": lambda logits: logits.softmax(1) * 0.9,
    "of 255 levels": lambda logits: (logits.softmax(1) * 255).round() / 255,
    "clamped": lambda logits: logits.softmax(1).clamp(1e-6, 1 - 1e-6),
    "warm": lambda logits: (logits / 20).softmax(1).bfloat16().float(),
    "of two classes": lambda logits: logits[:, :10].reshape(len(logits), 2, 5).sum(2).softmax(1).bfloat16().float(),
}
LIKELY: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "hard sigmoid": torch.nn.functional.hardsigmoid,
    "warm sigmoid": lambda logits: torch.sigmoid(logits / 20),
    "sigmoid in bfloat16": lambda logits: logits.sigmoid().bfloat16().float(),
}
LOGITS: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda logits: logits,
    "tiny": lambda logits: logits * 1e-6,
    "centered": lambda logits: logits - logits.mean(1, keepdim=True),
    "positive": torch.relu,
    "positive and long": lambda logits: torch.nn.functional.softplus(logits) * 2,
    "tanh": torch.tanh,
    "log-probabilities": lambda logits: logits.log_softmax(1),
    "unit length": lambda logits: logits / logits.norm(dim=1, keepdim=True),
}


@pytest.mark.parametrize("last", CERTAIN.values(), ids=CERTAIN)
def test_probabilities_are_refused_at_any_precision(last: Callable[[Tensor], Tensor]):
    with pytest.raises(InputError, match="leave the softmax out"):
        through(last)


@pytest.mark.parametrize("last", LIKELY.values(), ids=LIKELY)
def test_outputs_like_probabilities_are_told_and_taken(last: Callable[[Tensor], Tensor]):
    assert "between 0 and 1" in through(last).codes["probabilities"]


@pytest.mark.parametrize("last", LOGITS.values(), ids=LOGITS)
@pytest.mark.parametrize("count", [1, 40])
def test_logits_are_neither(last: Callable[[Tensor], Tensor], count: int):
    assert "probabilities" not in through(last, count).codes


@pytest.mark.parametrize(
    "logits",
    [
        torch.zeros(16, 10),
        torch.full((16, 10), 0.5),
        torch.tensor([[0.1, 0.2, 0.3]]),
        torch.rand(16, 10, generator=torch.Generator().manual_seed(0)),
        torch.rand(16, 3, generator=torch.Generator().manual_seed(0)),
        torch.tensor([[0.2, 0.4], [0.4, 0.2]]),
        torch.eye(4) * 2,
    ],
)
def test_small_or_equal_logits_are_not_refused(logits: Any):
    assert not are_probabilities(logits)


def test_few_outputs_say_nothing():
    assert like_probabilities(torch.full((10, 2), 0.5)) is None
    assert like_probabilities(torch.full((20, 2), 0.5)) is not None
