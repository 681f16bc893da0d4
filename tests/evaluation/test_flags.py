"""Each flag is raised by a case made for it, and an honest network raises none."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks import Times
from quantattack import (
    Gap,
    Linf,
    Record,
    Threat,
    evaluate,
    fgsm,
    fgsm_plus,
    load_data,
    load_model,
    log_odds,
    pgd,
    pgd_plus,
    square,
)
from quantattack.evaluation.gradient_health import compare_gradients, health_of

THREAT = Threat(Linf(), 0.2)
CODES = {"masked", "black_box_wins", "zero_gradient", "wrong_direction", "outside_threat", "ties", "random_model"}


@cache
def data(count: int = 64) -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:count], labels[:count]


def flagged(model: Any, threat: Threat = THREAT, **attacks: Any) -> Record:
    images, labels = data()
    return evaluate(model, images, labels, attacks or {"pgd": pgd(threat, steps=5)}, threat)


class Rounded(nn.Module):
    """Rounds its input: the gradient is zero almost everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.network = load_model("digits-float")

    def forward(self, images: Tensor) -> Tensor:
        return self.network((images * 64).round() / 64)


class Misleading(nn.Module):
    """Computes one thing and differentiates as its opposite."""

    def __init__(self) -> None:
        super().__init__()
        self.network = load_model("digits-float")

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        return 2 * logits.detach() - logits


class Noisy(nn.Module):
    """Adds noise to its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.network = load_model("digits-float")

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        return logits + 1e-3 * torch.randn_like(logits)


class Tied(nn.Module):
    """Ten logits of which two are always equal and largest."""

    def __init__(self) -> None:
        super().__init__()
        self.network = load_model("digits-float")

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        top = logits.amax(1, keepdim=True)
        return torch.where(logits >= logits.topk(2, dim=1).values[:, 1:], top, logits)


def beyond(model: Any, images: Tensor, labels: Tensor, start: Any, rng: Any, radius: Any) -> Tensor:
    return pgd(Threat(Linf(), 0.4), steps=5)(model, images, labels, start, rng)


def saturated() -> nn.Module:
    return Times(load_model("digits-float"), 1024).eval()


CASES: dict[str, Callable[[], Record]] = {
    "masked": lambda: flagged(saturated(), pgd=pgd(THREAT, steps=5), gap=pgd_plus(THREAT, Gap(), steps=5)),
    "zero_gradient": lambda: flagged(saturated()),
    "wrong_direction": lambda: flagged(Times(load_model("digits-float"), 2).eval()),
    "black_box_wins": lambda: flagged(
        Misleading().eval(), pgd=pgd(THREAT, steps=5), square=square(Threat(Linf(), 0.2), 60)
    ),
    "outside_threat": lambda: flagged(load_model("digits-float"), beyond=beyond),
    "ties": lambda: flagged(Tied().eval()),
    "random_model": lambda: flagged(Noisy().eval()),
}


def test_every_flag_has_its_case():
    assert set(CASES) == CODES


@pytest.mark.parametrize("code", CASES)
def test_a_flag_is_raised_by_the_case_made_for_it(code: str):
    record = CASES[code]()
    assert code in record.codes, record
    assert f"{code}: {record.codes[code]}" in record.flags
    assert "\n" not in record.codes[code]


@cache
def honest() -> Record:
    attacks = {
        "pgd": pgd(THREAT),
        "log_odds": pgd(THREAT, loss=log_odds),
        "gap": pgd_plus(THREAT, Gap(), steps=40),
        "square": square(THREAT, 50),
    }
    images, labels = load_data("digits")
    return evaluate(load_model("digits-float"), images[:200], labels[:200], attacks, THREAT)


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_honest_network_raises_no_flag(code: str):
    assert code not in honest().codes


def test_the_evidence_is_in_the_sentence():
    record = CASES["masked"]()
    assert f"pgd says {100 * record.robust('pgd'):.1f}%" in record.codes["masked"]
    assert f"{100 * record.worst_case:.1f}%" in record.codes["masked"]
    assert "gap says" not in record.codes["masked"]
    outside = CASES["outside_threat"]()
    count = int((outside.column("beyond", "inside") == 0).sum())
    assert count > 50
    assert f"{count} of beyond" in outside.codes["outside_threat"]


def test_an_attack_of_one_step_is_weak_and_not_masked():
    """On a float network that masks nothing FGSM, with a temperature or without, leaves what PGD breaks."""
    images, labels = load_data("digits")
    attacks = {"fgsm": fgsm(THREAT), "fgsm_plus": fgsm_plus(THREAT, Gap()), "pgd": pgd(THREAT)}
    record = evaluate(load_model("digits-float"), images[:60], labels[:60], attacks, THREAT)
    assert record.robust("fgsm") - record.worst_case > 0.2
    assert "masked" not in record.codes


def test_a_gap_below_ten_points_is_no_masking():
    record = honest()
    assert record.robust("pgd") - record.worst_case < 0.1
    assert record.masking_gap == pytest.approx(record.robust("pgd") - record.worst_case)


def test_an_attack_outside_is_not_masked_and_breaks_nothing():
    record = CASES["outside_threat"]()
    assert record.robust("beyond") == record.clean


def test_the_look_is_the_same_in_parts():
    model = load_model("digits-bnn-waq")
    images, labels = data()
    whole = health_of([compare_gradients(model, images, labels)])
    parts = health_of(
        compare_gradients(model, *batch) for batch in zip(images.split(16), labels.split(16), strict=True)
    )
    assert whole == parts
    assert whole.images == 64
    assert whole.zero > 0.1
    assert whole.silent == 0.0


def test_a_model_that_passes_no_gradient_is_silent():
    images, labels = data(16)
    health = health_of([compare_gradients(lambda x: load_model("digits-float")(x.detach()), images, labels)])
    assert (health.zero, health.wrong, health.silent) == (0.0, 0.0, 1.0)
    assert health_of([compare_gradients(Rounded().eval(), images, labels)]).silent == 1.0
    assert health_of([]).images == 0
