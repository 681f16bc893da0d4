"""Latent weights: their temperature, bounds and gradients, and the quantized network that they define."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from quantattack.nn.convert import projections
from quantattack.nn.layers import Projection

STARVED = 0.5


def set_beta(model: nn.Module, beta: float) -> None:
    """Set the temperature of every quantizer that has one."""
    for _, projection in projections(model):
        if projection.tempered:
            projection.beta.fill_(beta)


def latents(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, Projection]]:
    """Every latent weight with its name and its projection."""
    for name, module in model.named_modules():
        if isinstance(module, parametrize.ParametrizationList) and isinstance(module[0], Projection):
            yield name.replace("parametrizations.", ""), module.original, module[0]  # type: ignore[misc]


@torch.no_grad()
def clamp_latents(model: nn.Module) -> None:
    """Clamp every latent weight to its quantizer's bound, and the layer's float bias too."""
    for module in model.modules():
        if not parametrize.is_parametrized(module, "weight"):
            continue
        step = module.parametrizations["weight"][0]  # type: ignore[index]
        bound = step.quantizer.bound if isinstance(step, Projection) else None
        if bound is not None:
            for latent in module.parameters():
                latent.clamp_(-bound, bound)


@contextmanager
def projected(model: nn.Module) -> Iterator[nn.Module]:
    """Put the network into the adversary's mode: eval mode, but with the projected weights of this update."""
    training = model.training
    model.eval()
    for _, projection in projections(model):
        projection.train()
    try:
        yield model
    finally:
        model.train(training)


def starved(model: nn.Module) -> dict[str, float]:
    """Return for each latent weight the share of entries whose surrogate has no slope there, 0 to 1."""
    return {name: _flat(latent.detach(), projection) for name, latent, projection in latents(model)}


def warn_starved(model: nn.Module) -> None:
    """Warn where most of a tensor's latent weights get no gradient from their quantizer."""
    shares = starved(model)
    worst = max(shares, key=lambda name: shares[name], default=None)
    if worst is not None and shares[worst] > STARVED:
        warnings.warn(
            f"{shares[worst]:.0%} of the latent weights of {worst} get no gradient from their quantizer; "
            "start from smaller weights or a lower beta",
            stacklevel=2,
        )


@torch.no_grad()
def recalibrate(model: nn.Module, images: Tensor, batch_size: int = 256) -> None:
    """Set every BatchNorm's running statistics to the average over images under the final weights.

    Arguments:
        model: The network; left in eval mode.
        images: Images (n, channels, height, width) with pixels in [0, 1].
        batch_size: Images at a time.

    """
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    device = next(model.parameters()).device
    for batch in torch.split(images, batch_size):
        if len(batch) > 1 and norms:
            model(batch.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def _flat(latent: Tensor, projection: Projection) -> float:
    with torch.enable_grad():
        w = latent.clone().requires_grad_()
        (slope,) = torch.autograd.grad(projection.current().surrogate(w).sum(), w)
    return float((slope.abs() < 1e-6).float().mean())
