"""ScaledLogits: the same decisions, and a slope that another toolkit's cross entropy can climb."""

import pytest
import torch
from torch.nn.functional import cross_entropy

import quantattack as qa
from networks import Times
from quantattack.attacks.scaling.gap import Mifpe
from quantattack.attacks.scaling.logits import ScaledLogits
from quantattack.errors import InputError


@pytest.mark.parametrize(
    ("temperature", "silent"),
    [(qa.Fixed(0.01), True), (qa.Fixed(1e-5), False), (qa.Gap(), False), (Mifpe(), False), (qa.Njs(0.1), False)],
    ids=repr,
)
def test_no_prediction_changes_and_the_gradient_comes_back(network, images, temperature, silent):
    """Every temperature that follows the logits brings all gradients back; a fixed one must be small enough."""
    large = Times(network, 1e5)
    scaled = ScaledLogits(large, temperature)
    y = large(images).argmax(1)
    assert torch.equal(scaled(images).argmax(1), y)
    x = images.clone().requires_grad_()
    (plain,) = torch.autograd.grad(cross_entropy(large(x), y, reduction="sum"), x)
    (ours,) = torch.autograd.grad(cross_entropy(scaled(x), y, reduction="sum"), x)
    zero = [(part.flatten(1).abs().amax(1) == 0).float().mean() for part in (plain, ours)]
    assert zero[0] > 0.5
    assert bool(zero[1] > 0) == silent


def test_hns_is_frozen_for_a_batch(network, images):
    scaled = ScaledLogits(network, qa.Hns())
    with pytest.raises(InputError, match="at\\(images\\)"):
        scaled(images)
    frozen = scaled.at(images)
    ratio = frozen(images) / network(images)
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-4)
    beta = qa.Hns()(network, images, network(images).argmax(1)).beta
    assert torch.allclose(ratio[:, 0], beta, rtol=1e-4)


def test_mifpe_brings_the_margin_to_t(network, images):
    logits = network(images)
    largest = Mifpe(3.0)(network, images, logits.argmax(1))(logits, logits.argmax(1)).topk(2, dim=1).values
    assert torch.allclose(largest[:, 0] - largest[:, 1], torch.full((len(images),), 3.0), rtol=1e-3)
