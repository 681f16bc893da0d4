"""Recipes: attacks whose images interact."""

from typing import Literal

from quantattack.attacks.base import Attack
from quantattack.attacks.particle_sets import ParticleSets
from quantattack.attacks.particles import Blob, Dgf
from quantattack.attacks.recipes.steps import check_linf, quantized_direction, repeated, walk_of
from quantattack.attacks.threat import Threat


def daa_blob(
    threat: Threat,
    c: int | float = 1.1,
    *,
    steps: int = 100,
    step_size: int | float | None = None,
    restarts: int = 1,
    particles: int = 200,
    kernel_sign: int = -1,
    normalized: bool = False,
    broken: Literal["update", "freeze"] = "update",
) -> Attack:
    """DAA-BLOB: PGD on sets of interacting images, with new random sets every 10 steps.

    Source: Zheng, Chen and Ren, 2019, https://arxiv.org/abs/1808.05537.

    Arguments:
        threat: Set of admissible images.
        c: Weight of the interaction.
        steps: Number of steps.
        step_size: Size of a step; by default as in `pgd`.
        restarts: Number of runs, merged image by image.
        particles: Number of images per set.
        kernel_sign: -1 as released (the images attract each other), 1 for repulsion.
        normalized: Whether gradient and interaction are each scaled to unit length, as in `Blob`.
        broken: "update" to keep moving the images that fool the model, as released; "freeze" to fix them.
    """
    walk = walk_of(threat, steps, step_size, transforms=(Blob(c, kernel_sign, normalized),))
    return repeated(ParticleSets(walk, particles, broken=broken), restarts)


def daa_dgf(
    threat: Threat,
    c: int | float = -0.001,
    *,
    steps: int = 100,
    step_size: int | float | None = None,
    restarts: int = 1,
    particles: int = 200,
    normalized: bool = False,
    broken: Literal["update", "freeze"] = "update",
) -> Attack:
    """DAA-DGF: like `daa_blob`, with the interaction `Dgf`.

    Source: Zheng, Chen and Ren, 2019, https://arxiv.org/abs/1808.05537.

    Arguments:
        threat: Set of admissible images.
        c: Weight of the force.
        steps: Number of steps.
        step_size: Size of a step; by default as in `pgd`.
        restarts: Number of runs, merged image by image.
        particles: Number of images per set.
        normalized: Whether gradient and force are each scaled to unit length, as in `Dgf`.
        broken: "update" to keep moving the images that fool the model, as released; "freeze" to fix them.
    """
    walk = walk_of(threat, steps, step_size, transforms=(Dgf(c, normalized),))
    return repeated(ParticleSets(walk, particles, broken=broken), restarts)


def blob_qg(
    threat: Threat,
    levels: int | float = 100,
    *,
    c: int | float = 1.1,
    steps: int = 100,
    step_size: int | float | None = None,
    restarts: int = 1,
    particles: int = 200,
    kernel_sign: int = -1,
    normalized: bool = False,
    rounding: str = "nearest",
    broken: Literal["update", "freeze"] = "update",
) -> Attack:
    """BLOB_QG: DAA-BLOB whose step is the quantized gradient in place of its sign.

    Source: Liu et al., 2020, https://arxiv.org/abs/2002.02372.

    Arguments:
        threat: Set of admissible images, under Linf.
        levels: The number b of levels.
        c: Weight of the interaction.
        steps: Number of steps.
        step_size: Change of a pixel per level; by default radius / 4.
        restarts: Number of runs, merged image by image.
        particles: Number of images per set.
        kernel_sign: -1 as released (the images attract each other), 1 for repulsion.
        normalized: Whether gradient and interaction are each scaled to unit length, as in `Blob`.
        rounding: As in `pqgd`.
        broken: "update" to keep moving the images that fool the model, as released; "freeze" to fix them.

    Raises:
        InputError: If the norm is not Linf, or there is no such rounding.
    """
    check_linf(threat, "blob_qg")
    transforms, direction = (Blob(c, kernel_sign, normalized),), quantized_direction(levels, rounding)
    walk = walk_of(threat, steps, step_size, transforms=transforms, direction=direction)
    return repeated(ParticleSets(walk, particles, broken=broken), restarts)
