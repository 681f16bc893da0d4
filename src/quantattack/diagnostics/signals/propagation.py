"""How much of an error reaches the input: the error signal, the input gradient and its sign, against temperature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from quantattack.attacks.losses import cross_entropy
from quantattack.attacks.scaling.base import Rescale, Temperature
from quantattack.diagnostics.signals.spectrum import images_at_once, linearize, per_pixel, probabilities, scale_of
from quantattack.gradients import NoGradient, gradient, singular_values
from quantattack.types import Images, Jacobian, Labels, Logits, Model, PerImage


@dataclass(frozen=True, eq=False)
class Propagation:
    """The cross entropy's error signal and input gradient of n images, at one temperature.

    Arguments:
        beta: What the logits are multiplied by, with shape (n,).
        error: Norm of the error signal, with shape (n,).
        gradient: Norm of the input gradient, in exact arithmetic.
        sign: Norm of the sign of the input gradient, in exact arithmetic.
        gradient_float: Norm of the input gradient as the model's own arithmetic gives it.
        sign_float: Norm of the sign of that gradient; 0 where it vanished.
    """

    beta: PerImage
    error: PerImage
    gradient: PerImage
    sign: PerImage
    gradient_float: PerImage
    sign_float: PerImage


@dataclass(frozen=True, eq=False)
class Measured:
    """The signals of a network over n images.

    Arguments:
        logits: Logits with shape (n, k).
        singular: Singular values of the unscaled Jacobian with shape (n, k).
        at: For each temperature by name, what arrives at the input.
    """

    logits: Logits
    singular: Tensor
    at: Mapping[str, Propagation]


def error_signal(logits: Logits, labels: Labels, beta: Tensor) -> Tensor:
    r"""Return the error signal :math:`\psi = \mathrm{softmax}(\beta a) - e_y`, in float64, with shape (n, b, k).

    The true class's entry is minus the sum of the others, so that no confidence makes it zero.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (section 4).

    Arguments:
        logits: Logits with shape (n, k).
        labels: True classes with shape (n,).
        beta: Inverse temperatures with shape (n, b).
    """
    p = probabilities(logits, beta)
    true = labels.long()[:, None, None].expand(-1, p.shape[1], 1)
    others = p.scatter(-1, true, 0.0)
    return others.scatter(-1, true, -others.sum(-1, keepdim=True))


def error_norm(logits: Logits, labels: Labels, beta: Tensor) -> Tensor:
    """Return the error signal's L2 norm, with shape (n, b)."""
    return stretched_norm(error_signal(logits, labels, beta))


def input_gradient(rows: Jacobian, logits: Logits, labels: Labels, beta: Tensor) -> Tensor:
    r"""Return :math:`\partial \ell / \partial x = \beta J^\top \psi`, in float64, with shape (n, b, d).

    Computed from differences to the true class's row, which is exact where the softmax has saturated.

    Arguments:
        rows: Jacobians of the logits with shape (n, k, d).
        logits: Logits with shape (n, k).
        labels: True classes with shape (n,).
        beta: Inverse temperatures with shape (n, b).
    """
    true = labels.long()[:, None, None]
    rows = rows.double()
    apart = rows - rows.gather(1, true.expand(-1, 1, rows.shape[2]))
    p = probabilities(logits, beta).scatter(-1, true.expand(-1, beta.shape[1], 1), 0.0)
    return beta.double()[:, :, None] * (p @ apart)


def gradient_norms(
    rows: Jacobian, logits: Logits, labels: Labels, beta: Tensor, exact: bool = True
) -> tuple[Tensor, Tensor]:
    """Return the L2 norms of the input gradient and of its sign, each with shape (n, b).

    Arguments:
        rows: Jacobians of the logits with shape (n, k, d).
        logits: Logits with shape (n, k).
        labels: True classes with shape (n,).
        beta: Inverse temperatures with shape (n, b).
        exact: Whether the error signal is exact, or float32's softmax minus one, as a library computes it.
    """
    if exact:
        grad = input_gradient(rows, logits, labels, beta)
    else:
        scaled = beta.float()[:, :, None] * logits.float()[:, None]
        p = torch.softmax(scaled, -1)
        error = p - torch.nn.functional.one_hot(labels.long(), p.shape[-1]).to(p)[:, None]
        grad = (beta.float()[:, :, None] * error) @ rows.float()
    return stretched_norm(grad), grad.sign().norm(dim=-1)


def stretched_norm(grad: Tensor) -> Tensor:
    """Return the L2 norm over the last axis, where the squares of tiny numbers would underflow."""
    largest = grad.abs().amax(-1, keepdim=True)
    unit = grad / largest.where(largest > 0, 1.0)
    length: Tensor = torch.linalg.vector_norm(unit, dim=-1)
    return largest[..., 0] * length


def propagate(
    model: Model,
    images: Images,
    labels: Labels,
    temperatures: Mapping[str, Temperature],
    std: Sequence[float] | None = None,
) -> Measured:
    """Measure the Jacobian's singular values, the error signal and the input gradient at several temperatures.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (table 12).

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Images with shape (n, ...), correctly classified in the paper.
        labels: True classes with shape (n,).
        temperatures: Temperatures by name.
        std: The channels' standard deviations, for the paper's normalized pixels; pixels of [0, 1] where None.
    """
    at_once = images_at_once(model, images)
    batches = zip(torch.split(images, at_once), torch.split(labels, at_once), strict=True)
    measured = [_batch(model, some, known, temperatures, std) for some, known in batches]
    at = {name: _joined([batch.at[name] for batch in measured]) for name in temperatures}
    return Measured(
        torch.cat([batch.logits for batch in measured]), torch.cat([batch.singular for batch in measured]), at
    )


def _batch(
    model: Model,
    images: Images,
    labels: Labels,
    temperatures: Mapping[str, Temperature],
    std: Sequence[float] | None,
) -> Measured:
    logits, rows = linearize(model, images, std)
    weight = None if std is None else per_pixel(images, std)
    at = {}
    for name, temperature in temperatures.items():
        rescale = temperature(model, images, labels)
        seen = float_gradient(model, images, labels, rescale).flatten(1)
        beta = scale_of(rescale, logits, labels)
        at[name] = _at(rows, logits, labels, beta, seen if weight is None else seen * weight.to(seen))
    return Measured(logits, singular_values(rows), at)


def _at(rows: Jacobian, logits: Logits, labels: Labels, beta: PerImage, seen: Tensor) -> Propagation:
    once = beta[:, None]
    exact, sign = gradient_norms(rows, logits, labels, once)
    error = error_norm(logits, labels, once)
    return Propagation(
        beta, error[:, 0], exact[:, 0], sign[:, 0], stretched_norm(seen.double()), seen.double().sign().norm(dim=-1)
    )


def _joined(batches: Sequence[Propagation]) -> Propagation:
    return Propagation(*(torch.cat([vars(batch)[field.name] for batch in batches]) for field in fields(Propagation)))


def float_gradient(model: Model, images: Images, labels: Labels, rescale: Rescale) -> Images:
    """Return the gradient of cross entropy that an attack sees: in the model's own arithmetic, zero without a path."""
    try:
        return gradient(model, images, lambda logits: cross_entropy(rescale(logits, labels), labels))[1]
    except NoGradient:
        return torch.zeros_like(images)
