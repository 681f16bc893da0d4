"""Cross entropy's gradient is held against the exact one: where it vanishes, underflows, or is none at all."""

from typing import Any

import pytest
import torch
from torch import Tensor

from networks import Times
from quantattack import load_data, load_model
from quantattack.evaluation.gradient_health import alignment, compare_gradients, health_of, raw_gradient
from quantattack.gradients import NoGradient

COUNT = 64


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:COUNT], labels[:COUNT]


def test_a_modest_network_has_aligned_gradients(data: Any):
    compared = compare_gradients(load_model("digits-float"), *data)
    assert compared.path
    assert compared.common.shape == compared.exact.shape == data[0].shape
    assert not bool((compared.zero | compared.silent | compared.nan).any())
    assert float(compared.cosine.median()) > 0.999
    assert float(compared.agreement.median()) > 0.99


def test_a_large_scale_makes_the_gradient_vanish(data: Any):
    compared = compare_gradients(Times(load_model("digits-float"), 1024).eval(), *data)
    assert float(compared.zero.double().mean()) > 0.5
    assert not bool(compared.silent.any())
    assert bool(compared.cosine[compared.zero].isnan().all())
    assert not bool((compared.wrong & compared.zero).any())


def test_an_entry_that_is_no_number_is_told_and_counts_as_zero(data: Any):
    def model(images: Tensor) -> Tensor:
        logits = load_model("digits-float")(images)
        return logits + 0 * (images.flatten(1)[:, :1] - images.detach().flatten(1)[:, :1]).sqrt()

    compared = compare_gradients(model, *data)
    assert bool(compared.nan.all())
    assert bool(torch.isfinite(compared.common).all())
    assert bool(torch.isfinite(compared.exact).all())


def test_without_a_path_every_gradient_is_zero(data: Any):
    def raising(images: Tensor) -> Tensor:
        raise NoGradient

    for model in (lambda images: load_model("digits-float")(images.detach()), raising):
        compared = compare_gradients(model, *data)
        assert not compared.path
        assert bool(compared.silent.all())
        assert health_of([compared]).silent == 1.0
        assert raw_gradient(model, data[0], lambda logits: logits.sum(1)) is None


def test_alignment_is_one_for_a_multiple_and_minus_one_for_the_opposite():
    grad = torch.tensor([[1e-30, -2e-30], [3.0, 4.0], [0.0, 0.0]])
    cosine, agreement = alignment(grad, grad * torch.tensor([[1e20], [-2.0], [1.0]]))
    assert cosine[:2].tolist() == pytest.approx([1.0, -1.0])
    assert bool(cosine[2].isnan())
    assert agreement.tolist() == [1.0, 0.0, 1.0]
