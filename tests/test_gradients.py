"""Derivatives against autograd's explicit Jacobian and Hessian."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev, vmap
from torch.nn import functional

from networks import relu_network
from quantattack.attacks.losses import cross_entropy, log_odds
from quantattack.attacks.scaling.hns import Hns
from quantattack.gradients import (
    NoGradient,
    differences,
    gradient,
    gradient_in_parts,
    gram,
    hessian_norm,
    jacobian,
    logits_in_parts,
    parts_of,
    singular_values,
)

SEEDS = pytest.mark.parametrize("seed", range(4))


def case(seed: int, count: int = 12, pixels: int = 10):
    """A float64 ReLU network with 10 classes and images for it."""
    network = relu_network(seed, (pixels,), width=24, dtype=torch.float64)
    images = torch.rand(count, pixels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        labels = network(images).argmax(1)
    labels[:2] = (labels[:2] + 3) % 10  # two are misclassified
    return network, images, labels


def explicit_norms(network, images, labels, beta):
    """The Frobenius norm of autograd's input Hessian of cross entropy, for each image and each of its betas."""
    parameters = dict(network.named_parameters())

    def loss(x, label, scale):
        logits = functional_call(network, parameters, (x[None],))
        return functional.cross_entropy(scale * logits, label[None])

    one_image = vmap(jacrev(jacrev(loss)), in_dims=(None, None, 0))
    with torch.no_grad():
        return vmap(one_image)(images, labels, beta).square().sum((-1, -2)).sqrt()


@SEEDS
def test_the_gram_form_is_the_explicit_hessian_norm(seed):
    network, images, labels = case(seed)
    logits, rows = jacobian(network, images)
    top = logits.topk(2, dim=1).values
    beta = torch.tensor([0.01, 0.3, 1.0, 2.4, 5.0, 10.0], dtype=torch.float64) / (top[:, :1] - top[:, 1:])
    exact = explicit_norms(network, images, labels, beta)
    assert torch.allclose(hessian_norm(differences(rows, logits), logits, beta), exact, rtol=1e-8, atol=0)
    common = hessian_norm(gram(rows), logits, beta)  # a common row is not taken out: cancels where one class takes all
    assert torch.allclose(common[:, :4], exact[:, :4], rtol=1e-8, atol=0)


@SEEDS
def test_the_chosen_temperature_reaches_the_largest_hessian(seed):
    network, images, labels = case(seed, count=24)
    chosen = Hns()(network, images, labels).beta[:, None]
    logits = network(images).detach()
    top = logits.topk(2, dim=1).values
    dense = torch.logspace(-3, 2.5, 500, dtype=torch.float64) / (top[:, :1] - top[:, 1:])
    largest = explicit_norms(network, images, labels, dense).amax(1)
    reached = explicit_norms(network, images, labels, chosen)[:, 0]
    assert (reached >= 0.99 * largest).all()


def test_the_hessian_norm_is_cut_into_blocks_without_a_trace(monkeypatch):
    network, images, _ = case(0)
    logits, rows = jacobian(network, images)
    beta = torch.rand(12, 33, dtype=torch.float64)
    whole = hessian_norm(gram(rows), logits, beta)
    monkeypatch.setattr("quantattack.gradients._ELEMENTS", 5000)
    assert torch.allclose(hessian_norm(gram(rows), logits, beta), whole, rtol=1e-14)


def test_the_hessian_norm_survives_confident_float32_logits():
    logits = torch.tensor([[5000.0, 0.0, -3.0], [90.0, 0.0, 0.0]])
    rows = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    norms = hessian_norm(differences(rows, logits), logits, torch.tensor([[1e-4, 1e-3, 1.0], [0.01, 0.1, 1.0]]))
    assert torch.isfinite(norms).all()
    assert (norms[:, :2] > 0).all()
    assert norms[1, 2] > 0  # e^-90 is zero in float32


@pytest.mark.parametrize("shape", [(6,), (2, 3), (3, 2, 2)], ids=str)
def test_the_jacobian_is_autograds(shape):
    network = relu_network(3, shape, classes=4, width=8)
    images = torch.rand(5, *shape, generator=torch.Generator().manual_seed(0))
    logits, rows = jacobian(network, images)
    assert rows.shape == (5, 4, 6 if len(shape) < 3 else 12)
    assert torch.allclose(logits, network(images))
    for image, row in zip(images, rows, strict=True):
        explicit = torch.autograd.functional.jacobian(lambda x: network(x[None])[0], image)
        assert torch.allclose(row, explicit.flatten(1), atol=1e-6)


def test_gradients_are_summed_so_that_no_batch_size_divides_them():
    network, images, labels = case(1)
    logits, whole = gradient(network, images, lambda a: cross_entropy(a, labels))
    assert torch.allclose(logits, network(images))
    assert not logits.requires_grad
    for i in range(len(images)):
        _, alone = gradient(network, images[i : i + 1], lambda a, i=i: cross_entropy(a, labels[i : i + 1]))
        assert torch.allclose(alone[0], whole[i], rtol=1e-12, atol=1e-15)


def test_gradients_are_taken_where_gradients_are_switched_off():
    network, images, labels = case(1)
    with torch.no_grad():
        _, grad = gradient(network, images, lambda a: log_odds(a, labels))
        _, rows = jacobian(network, images)
    assert grad.abs().max() > 0
    assert rows.abs().max() > 0
    assert not images.requires_grad


def test_singular_values_are_those_of_the_jacobian():
    _, rows = jacobian(*case(2)[:2])
    assert torch.allclose(singular_values(rows).flip(1), torch.linalg.svdvals(rows), atol=1e-6)


@pytest.mark.parametrize("derivative", [lambda m, x: gradient(m, x, lambda a: a.sum(1)), jacobian])
@pytest.mark.parametrize(
    "model",
    [
        lambda x: torch.ones(len(x), 3),
        lambda x: x.detach().repeat(1, 2),
        lambda x: torch.zeros(len(x), 3, requires_grad=True) * 2,
    ],
    ids=["constant", "detached", "unconnected"],
)
def test_a_model_without_a_gradient_path_is_said_to_have_none(model, derivative):
    with pytest.raises(NoGradient, match="no gradient path"):
        derivative(model, torch.rand(2, 3))


def test_what_is_not_a_number_counts_as_flat():
    model = nn.Module()
    model.forward = lambda x: torch.stack([(x - x).sqrt().sum(1) * 0 + x.sum(1), x[:, 0]], 1)
    _, grad = gradient(model, torch.rand(3, 2), lambda a: a.sum(1))
    assert (grad == 0).any()
    assert torch.isfinite(grad).all()


def test_no_images_have_no_derivatives():
    network = relu_network(0, (4,))
    logits, rows = jacobian(network, torch.zeros(0, 4))
    assert rows.shape == (0, 10, 4)
    assert hessian_norm(differences(rows, logits), logits, torch.zeros(0, 7)).shape == (0, 7)
    assert Hns()(network, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)).beta.shape == (0,)


@pytest.mark.parametrize(("count", "at_once"), [(0, 8), (1, 8), (12, 8), (100, 16), (100, None), (100, 33), (7, 100)])
def test_a_count_is_cut_into_even_parts_within_what_is_shown_at_once(count, at_once):
    parts = parts_of(count, at_once)
    assert [at for part in parts for at in range(count)[part]] == list(range(count))
    assert all(part.stop - part.start <= (at_once or count) for part in parts)
    assert all((part.stop - part.start) % 8 == 0 for part in parts[:-1])


def test_what_is_shown_at_once_changes_no_logit_and_no_gradient():
    network, images, labels = case(3)
    shown = []

    def model(x):
        shown.append(len(x))
        return network(x)

    logits, grads = gradient_in_parts(model, images, lambda a, rows: cross_entropy(a, labels[rows]), 8)
    assert shown == [8, 4]
    assert torch.allclose(logits_in_parts(model, images, 8), logits)
    assert shown == [8, 4, 8, 4]
    whole = gradient(network, images, lambda a: cross_entropy(a, labels))
    assert torch.allclose(logits, whole[0])
    assert torch.allclose(grads, whole[1])
