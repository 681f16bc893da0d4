"""What misleads is said: gradients that are no numbers, black boxes that win, and accuracy at chance."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from quantattack import Ensemble, Linf, Record, Restarts, Threat, Transfer, evaluate, fgsm, load_data, load_model, pgd
from quantattack.diagnostics.diagnose import diagnose
from quantattack.evaluation.chance import at_chance
from quantattack.record.statistics import above, mcnemar

THREAT = Threat(Linf(), 0.15)


def data(count: int = 64) -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:count], labels[:count]


class First(nn.Module):
    """The carried network behind a function of the pixels."""

    def __init__(self, first: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.first = load_model("digits-float"), first

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.first(images))


class OnlyNan(torch.autograd.Function):
    """The identity, with NaN in one entry of the gradient of every second image."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        return images.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.clone()
        grad[::2, 0, 3, 3] = torch.nan
        return grad


def rooted(images: Tensor) -> Tensor:
    return images + 0 * images.sqrt()


def divided(images: Tensor) -> Tensor:
    return torch.where(images == 0, images, images * images / images)


NAN = {
    "square root at black": rooted,
    "zero by zero": divided,
    "backward": OnlyNan.apply,
    "logarithm": lambda images: images + 0 * images.clamp_min(0).pow(0.5),
}


def same(first: Callable[[Tensor], Tensor]) -> bool:
    images = data(8)[0]
    return torch.allclose(first(images), images, equal_nan=False)


@pytest.mark.parametrize("first", NAN.values(), ids=NAN)
def test_a_gradient_that_is_no_number_is_flagged_and_counted(first: Callable[[Tensor], Tensor]):
    assert same(first)
    record = evaluate(First(first).eval(), *data(), {"pgd": pgd(THREAT, steps=3)}, THREAT)
    assert "NaN" in record.codes["nan_gradient"]
    assert "zero_gradient" not in record.codes
    found = diagnose(First(first).eval(), *data(), THREAT, budget=60)
    assert found.reasons[0] == "nan"


def test_a_gradient_of_numbers_is_not_flagged():
    record = evaluate(First(lambda images: images).eval(), *data(), {"pgd": pgd(THREAT, steps=3)}, THREAT)
    assert record.codes == {}


class Misleading(First):
    """Computes one thing and differentiates as its opposite."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return 2 * logits.detach() - logits


def asking(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    """A black box: breaks as `pgd` on the undefended network does, and asks the model once."""
    with torch.no_grad():
        model(images)
    return pgd(THREAT)(load_model("digits-float"), images, labels)


BLACK: dict[str, Callable[[], Any]] = {
    "black box": lambda: asking,
    "transfer": lambda: Transfer(pgd(THREAT), load_model("digits-float")),
    "restarts of a transfer": lambda: Restarts(Transfer(pgd(THREAT), load_model("digits-float")), 2),
    "ensemble": lambda: Ensemble({"fgsm": fgsm(THREAT), "transfer": Transfer(pgd(THREAT), load_model("digits-float"))}),
}


@pytest.mark.parametrize("make", BLACK.values(), ids=BLACK)
def test_a_transfer_is_no_gradient_attack_on_the_model(make: Callable[[], Any]):
    misled = Misleading(lambda images: images).eval()
    record = evaluate(misled, *data(), {"pgd": pgd(THREAT), "other": make()}, THREAT)
    assert record.codes["black_box_wins"].startswith("other breaks")
    honest = evaluate(load_model("digits-float"), *data(), {"pgd": pgd(THREAT), "other": make()}, THREAT)
    assert "black_box_wins" not in honest.codes
    alone = evaluate(misled, *data(), {"other": make()}, THREAT)
    assert "black_box_wins" not in alone.codes


class Breaking:
    """An attack that breaks given images, by replacing them, with or without the gradient."""

    def __init__(self, rows: range, *, climbs: bool) -> None:
        self.rows, self.climbs = rows, climbs

    def trace(self, model: Any, images: Tensor) -> None:
        with torch.set_grad_enabled(self.climbs):
            logits = model(images.requires_grad_(self.climbs))
            if self.climbs:
                torch.autograd.grad(logits.sum(), images)

    def __call__(self, model: Any, images: Tensor, labels: Tensor, start: Any = None, rng: Any = None) -> Tensor:
        self.trace(model, images.clone())
        broken = torch.isin(images[:, 0, 0, 0], torch.tensor(list(self.rows)) / 1000)
        return torch.where(broken[:, None, None, None], 1 - images, images)


class Marked(nn.Module):
    """Right on every image whose last pixel is dark."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([0.5 - images[:, 0, -1, -1], images[:, 0, -1, -1] - 0.5], 1)


def paired(black: range, white: range, count: int = 100) -> Record:
    images = torch.zeros(count, 1, 2, 2)
    images[:, 0, 0, 0] = torch.arange(count) / 1000
    threat = Threat(Linf(), 1.0)
    attacks = {"white": Breaking(white, climbs=True), "black": Breaking(black, climbs=False)}
    return evaluate(Marked().eval(), images, torch.zeros(count, dtype=torch.long), attacks, threat)


@pytest.mark.parametrize(
    ("black", "white", "flagged"),
    [
        (range(1), range(0), False),  # one of a hundred
        (range(5), range(0), False),
        (range(6), range(0), True),
        (range(50, 60), range(8), False),  # each wins some
        (range(50, 90), range(8), True),
        (range(40), range(60), False),
        (range(0), range(30), False),
    ],
)
def test_a_paired_test_decides_whether_gradients_mislead(black: range, white: range, flagged: bool):
    record = paired(black, white)
    assert int(record.broken("black").sum()) == len(black)
    assert int(record.broken("white").sum()) == len(white)
    assert ("black_box_wins" in record.codes) == flagged


def test_images_in_another_range_than_the_model_expects_are_at_chance():
    images, labels = data()
    threat = Threat(Linf(), 8.0, high=255.0)
    bytes_model = First(lambda x: x / 255).eval()
    dark = evaluate(bytes_model, images, labels, {"pgd": pgd(threat, steps=2)}, threat)
    assert "no more than by chance" in dark.codes["chance"]
    bright = evaluate(bytes_model, images * 255, labels, {"pgd": pgd(threat, steps=2)}, threat)
    assert "chance" not in bright.codes


SHUFFLED = np.random.default_rng(0).permutation(np.arange(200) % 10)


@pytest.mark.parametrize(
    ("labels", "predictions", "told"),
    [
        (np.arange(200) % 10, np.arange(200) % 10, False),
        (np.arange(200) % 10, SHUFFLED, True),
        (np.arange(200) % 10, np.zeros(200, int), True),
        (np.arange(200) % 10, np.where(np.arange(200) < 40, np.arange(200) % 10, 3), False),
        (np.where(np.arange(100) < 80, 0, 1), np.zeros(100, int), True),  # always the usual class: 80 % by chance
        (np.where(np.arange(100) < 80, 0, 1), np.where(np.arange(100) < 85, 0, 1), False),
        (np.zeros(50, int), np.zeros(50, int), False),  # all of one class, all right
        (np.zeros(50, int), np.arange(50) % 10, True),
        (np.array([3]), np.array([3]), False),
        (np.array([3, 4]), np.array([3, 4]), False),
        (np.arange(20) % 10, (np.arange(20) + 1) % 10, True),
    ],
)
def test_chance_is_what_labels_and_predictions_agree_by_alone(labels: Any, predictions: Any, told: bool):
    assert (at_chance(labels, predictions) is not None) == told


def test_above_is_the_exact_binomial_tail():
    assert above(3, 3, 0.5) == pytest.approx(0.125)
    assert above(0, 5, 0.1) == 1.0
    assert above(0, 0, 0.1) == 1.0
    assert mcnemar(6, 0) < 0.05 <= mcnemar(5, 0)
