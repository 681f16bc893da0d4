"""Derivatives of a model: per-image gradients, input Jacobians, and the input Hessian's norm without forming it."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from quantattack.errors import InputError
from quantattack.types import Classes, Gram, Images, Jacobian, Logits, Model, PerImage

Among: TypeAlias = Callable[[Logits, slice], Classes]  # some classes of each image, with shape (n, r)

_CHUNK = 16  # rows of a Jacobian computed at once on a GPU: bounds the memory
_ELEMENTS = 1 << 23  # elements per block of Hessian norms: bounds the memory
_NUMBERS = 1 << 25  # numbers of Jacobians held at once, 128 MiB in float32, and of a block of their Gram matrices


class NoGradient(InputError):
    """The model has no gradient path from its logits to its input."""

    def __init__(self) -> None:
        super().__init__(
            "the model has no gradient path from its logits to its input; attack the float network, or use square"
        )


def gradient(model: Model, images: Images, objective: Callable[[Logits], PerImage]) -> tuple[Logits, Images]:
    """Return the logits and the per-image gradients of the objective.

    NaN in a gradient is replaced by 0, and an infinity by the largest number of its sign.

    The objectives are summed, not averaged: averaging would divide every gradient by the batch size, so that near
    underflow the result would depend on the batch size.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Images with shape (n, ...).
        objective: Maps logits with shape (n, k) to one value per image, with shape (n,).

    Raises:
        NoGradient: If the objective does not depend on the images through autograd.
    """
    with torch.enable_grad():
        x = ordinary(images).detach().requires_grad_()
        logits = called(model, x)
        (grad,) = _derivative(objective(logits).sum(), x)
    return logits.detach(), grad


def gradient_in_parts(
    model: Model, images: Images, objective: Callable[[Logits, slice], PerImage], at_once: int | None = None
) -> tuple[Logits, Images]:
    """Compute `gradient` in batches of at most `at_once` images.

    Pass only the images still under attack: batches are cut from what is passed, and so stay as full as possible.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Images with shape (n, ...).
        objective: Maps the logits of a batch, and the slice of `images` it covers, to one value per image.
        at_once: Largest batch size; None for no limit.

    Raises:
        NoGradient: If the objective does not depend on the images through autograd.
    """
    batches = [
        gradient(model, images[rows], lambda logits, at=rows: objective(logits, at))  # type: ignore[misc]
        for rows in parts_of(len(images), at_once)
    ]
    if len(batches) == 1:
        return batches[0]
    logits, grads = zip(*batches, strict=True)
    return torch.cat(logits), torch.cat(grads)


def logits_in_parts(model: Model, images: Images, at_once: int | None = None) -> Logits:
    """Return the logits without a gradient, computed in batches of at most `at_once` images."""
    with torch.no_grad():
        batches = [called(model, images[rows]) for rows in parts_of(len(images), at_once)]
    return batches[0] if len(batches) == 1 else torch.cat(batches)


def called(model: Model, images: Images) -> Logits:
    """Call a model that may do anything to what it is given, and keep what it returns.

    It gets a copy of the images, which it may change in place, and what it returns is copied, which it may use again.
    An output object gives its logits; whatever is no tensor comes back as it is, for the caller to refuse.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Images with shape (n, ...).
    """
    output: Any = model(images.clone())
    logits = output if isinstance(output, Tensor) else logits_in(output)
    return output if logits is None else logits.clone()


def logits_in(output: Any) -> Tensor | None:
    """Return the logits of an output object, its attribute `logits` or `value`; None if it has none."""
    held = (getattr(output, name, None) for name in ("logits", "value"))
    return next((value for value in held if isinstance(value, Tensor)), None)


def ordinary(tensor: Tensor) -> Tensor:
    """Return a tensor that autograd takes: a copy of one that was made in inference mode, others as they are."""
    return tensor.clone() if tensor.is_inference() else tensor


def parts_of(count: int, at_once: int | None = None) -> list[slice]:
    """Return slices that cut `count` images into even batches of at most `at_once`, multiples of 8 where possible."""
    width = at_once or count
    parts = max(1, -(-count // width)) if width else 1
    size = max(1, min(width, -(-count // parts // 8) * 8))
    return [slice(first, min(first + size, count)) for first in range(0, max(count, 1), size)]


def _derivative(value: Tensor, x: Images, keep: bool = False) -> tuple[Images]:
    if not value.requires_grad:
        raise NoGradient
    (grad,) = torch.autograd.grad(value, x, retain_graph=keep, allow_unused=True)
    if grad is None:
        raise NoGradient
    return (torch.nan_to_num(grad, nan=0.0),)


def jacobian(model: Model, images: Images, among: Among | None = None) -> tuple[Logits, Jacobian]:
    r"""Return the logits and :math:`J = \partial a / \partial x`, with shape (n, k, d), d pixels flattened.

    One forward pass and k backward passes: a loop on a CPU, batched in chunks on a GPU where the model allows it.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Images with shape (n, ...).
        among: Maps logits, and the slice of `images` that they are of, to the classes of each image that are wanted,
            with shape (n, r): the logits and the rows are then those of these classes.  None for all.
    """
    logits, x = _attached(model, images, among)
    return logits.detach(), _rows(logits, x)


def classes_of(model: Model, images: Images) -> int:
    """Return the model's number of classes, from one forward pass of some images."""
    with torch.no_grad():
        return int(called(model, images).shape[1])


def jacobians_at_once(classes: int, images: Images) -> int:
    """Return how many images' Jacobians come to 2^25 numbers; 0 where a single one has more."""
    return _NUMBERS // max(1, classes * images[:1].numel())


def _attached(model: Model, images: Images, among: Among | None) -> tuple[Logits, Images]:
    """Return the logits that are wanted, with their graph, and the images that it begins with."""
    with torch.enable_grad():
        x = ordinary(images).detach().requires_grad_()
        logits = called(model, x)
        return logits if among is None else logits.gather(1, among(logits.detach(), slice(None))), x


@torch.enable_grad()
def _rows(logits: Logits, x: Images) -> Jacobian:
    rows = _batched(logits, x) if x.is_cuda else None
    if rows is None:
        rows = x.new_empty(len(x), logits.shape[1], *x.shape[1:])
        for k in range(logits.shape[1]):  # each is written where it belongs, so that none is held twice
            (rows[:, k],) = _derivative(logits[:, k].sum(), x, keep=True)
    return rows.flatten(2)


def _batched(logits: Logits, x: Images) -> Tensor | None:
    count = logits.shape[1]
    basis = torch.eye(count, dtype=logits.dtype, device=logits.device)[:, None].expand(-1, len(x), -1)
    try:
        parts = [
            torch.autograd.grad(logits, x, chunk, retain_graph=True, is_grads_batched=True)[0]
            for chunk in torch.split(basis, _CHUNK)
        ]
    except RuntimeError:  # an operation of the model has no vmap rule: the caller falls back to a loop
        return None
    return torch.cat(parts).transpose(0, 1)


def gram(rows: Jacobian) -> Gram:
    """Return J Jᵀ in float64, with shape (n, k, k)."""
    return _products(rows, lambda block: block)


def _products(rows: Jacobian, prepared: Callable[[Tensor], Tensor]) -> Gram:
    """Return the Gram matrices of prepared rows, summed over blocks of pixels, so that few numbers are in float64."""
    width = max(1, _NUMBERS // max(1, rows[:, :, 0].numel()))
    blocks = (prepared(block.double()) for block in torch.split(rows, width, dim=2))
    first, *rest = (block @ block.mT for block in blocks)
    return sum(rest, first)


def singular_values(rows: Jacobian) -> Tensor:
    """Return the singular values of each Jacobian through its Gram matrix, ascending, with shape (n, k)."""
    values: Tensor = torch.linalg.eigvalsh(gram(rows))
    return values.clamp_min(0).sqrt()


def differences(rows: Jacobian, logits: Logits) -> Gram:
    """Return the Gram matrix of the Jacobian's rows minus the predicted class's row, with shape (n, k, k).

    Adding one row to all others leaves the softmax's derivative unchanged; subtracting the predicted class's row avoids
    cancellation when the softmax saturates.
    """
    top = logits.argmax(1)[:, None, None]
    return _products(rows, lambda block: block - block.gather(1, top.expand(-1, 1, block.shape[2])))


def difference_products(model: Model, images: Images, among: Among | None = None) -> tuple[Logits, Gram]:
    """Return the logits and the `differences` of a batch, in parts whose Jacobians hold at most 2^25 numbers.

    The Jacobian of one image is held whole.  A batch that must be cut costs one more forward pass, which shows it.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Images with shape (n, ...).
        among: The classes of each image that are wanted, as for `jacobian`.
    """
    logits, x = _attached(model, images, among)
    at_once = max(1, jacobians_at_once(logits.shape[1], x))
    if at_once >= len(images):
        return logits.detach(), differences(_rows(logits, x), logits.detach())
    del logits, x
    parts = [
        difference_products(model, images[rows], None if among is None else lambda a, _, at=rows: among(a, at))  # type: ignore[misc]
        for rows in parts_of(len(images), at_once)
    ]
    logits, products = (torch.cat(column) for column in zip(*parts, strict=True))
    return logits, products


def hessian_norm(products: Gram, logits: Logits, beta: Tensor) -> Tensor:
    r"""Return the Frobenius norm of the input Hessian of cross entropy at several temperatures, never forming it.

    For a network that is piecewise linear in its input :math:`H = \beta^2 J^\top S J` with
    :math:`S = \mathrm{diag}(p) - p p^\top`, so that

    .. math:: \|H\|_F^2 = \beta^4 \sum_{ij} p_i p_j K_{ij}^2,\quad K_{ij} = G_{ij} - u_i - u_j + p^\top u,\quad u = G p.

    Every term is positive, so nothing cancels.  Computed in float64.

    Arguments:
        products: Gram matrices of the logits' Jacobians (see `differences`), with shape (n, k, k).
        logits: Logits with shape (n, k).
        beta: Inverse temperatures with shape (n, b).
    """
    rows = max(1, _ELEMENTS // max(1, products.numel()))
    norms = [_norms(products.double(), logits.double(), some) for some in torch.split(beta.double(), rows, dim=1)]
    return torch.cat(norms, 1)


def _norms(products: Tensor, logits: Tensor, beta: Tensor) -> Tensor:
    p = torch.softmax(beta[:, :, None] * (logits - logits.amax(1, keepdim=True))[:, None], -1)
    u = torch.einsum("nij,nbj->nbi", products, p)
    s = (p * u).sum(-1)[:, :, None, None]
    kernel = products[:, None] - u[:, :, :, None] - u[:, :, None, :] + s
    return beta**2 * torch.einsum("nbi,nbj,nbij->nb", p, p, kernel**2).sqrt()


def placement(model: Model) -> tuple[torch.device, torch.dtype]:
    """Return the device and the floating-point type of a model's parameters; the CPU and float32 where it has none."""
    tensors = [*model.parameters(), *model.buffers()] if isinstance(model, nn.Module) else []
    for tensor in tensors:
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def is_twinned(model: Model) -> bool:
    """Return whether a model's gradient and verdict come from two implementations, as its property `twinned` says.

    With gradients enabled and images that require them such a model runs its twin, otherwise what judges; see
    `deployed.DeployedModel`.
    """
    return bool(getattr(model, "twinned", False))  # read at every step


def climbed_logits(model: Model, images: Images, at_once: int | None = None) -> Logits:
    """Return the logits that an attack climbs, without a gradient: those of the twin where the model has one.

    Whatever prepares a search (temperatures, rivals) looks at these; whatever judges looks at `logits_in_parts`.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Images with shape (n, ...).
        at_once: Largest batch size; None for no limit.
    """
    if not is_twinned(model):
        return logits_in_parts(model, images, at_once)
    with torch.enable_grad():
        parts = (images[rows].detach().requires_grad_() for rows in parts_of(len(images), at_once))
        batches = [called(model, part).detach() for part in parts]
    return batches[0] if len(batches) == 1 else torch.cat(batches)
