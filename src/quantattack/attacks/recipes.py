"""Recipes: compositions under the names that their papers gave them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from quantattack.attacks.apgd import Apgd, Blocks
from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack, check_threat
from quantattack.attacks.directions import Direction, Quantized, Stochastic
from quantattack.attacks.losses import Loss, cross_entropy, log_odds, margin
from quantattack.attacks.norms import Linf
from quantattack.attacks.particle_sets import ParticleSets
from quantattack.attacks.particles import Blob, Dgf
from quantattack.attacks.rivals import Rival
from quantattack.attacks.scaling.base import Temperature
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.square import Square
from quantattack.attacks.threat import Threat
from quantattack.attacks.transforms import Momentum
from quantattack.attacks.wrappers import Ensemble, Restarts
from quantattack.errors import InputError, check_count, unknown
from quantattack.record.description import tagged


def fgsm(threat: Threat, *, loss: Loss = cross_entropy, random_start: bool = True) -> Ascent:
    """One step of the whole radius along the steepest direction.

    Source: Goodfellow, Shlens and Szegedy, 2015, https://arxiv.org/abs/1412.6572; with the random start of Gupta and
    Ajanthan, 2022, https://arxiv.org/abs/2003.13511.

    Arguments:
        threat: Where it may walk.
        loss: What to climb.
        random_start: Whether to start at a random point of the threat.
    """
    check_threat(threat)
    return Ascent(threat=threat, step_size=threat.radius, steps=1, loss=loss, random_start=random_start)


def pgd(
    threat: Threat,
    *,
    steps: int = 20,
    step_size: int | float | None = None,
    restarts: int = 1,
    loss: Loss = cross_entropy,
    random_start: bool = True,
) -> Attack:
    """Projected gradient descent on cross entropy, as every library has it.

    Source: Madry et al., 2018, https://arxiv.org/abs/1706.06083.

    Arguments:
        threat: Where it may walk.
        steps: Number of steps.
        step_size: Length of a step; by default radius / 4 under Linf, 2.5 radius / steps under L2 and L1.
        restarts: Number of runs, merged image by image.
        loss: What to climb.
        random_start: Whether to start at a random point of the threat.
    """
    return _repeated(_walk(threat, steps, step_size, loss=loss, random_start=random_start), restarts)


def fgsm_plus(threat: Threat, temperature: Temperature) -> Ascent:
    """FGSM++: one step of the whole radius, on logits at another temperature.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511.

    Arguments:
        threat: Where it may walk.
        temperature: `Njs.fit(model, probe)`, `Hns()`, `Gap()` or `Fixed(beta)`.
    """
    check_threat(threat)
    loss = _climbed(temperature)
    return Ascent(threat=threat, step_size=threat.radius, steps=1, loss=loss, temperature=temperature)


def mi_fgsm(
    threat: Threat, *, steps: int = 10, step_size: int | float | None = None, decay: int | float = 1.0
) -> Ascent:
    """MI-FGSM: steps along accumulated gradients, from the clean image.

    Source: Dong et al., 2018, https://arxiv.org/abs/1710.06081.

    Arguments:
        threat: Where it may walk.
        steps: Number of steps.
        step_size: Length of a step; by default radius / steps.
        decay: Share of the past that is kept.
    """
    check_threat(threat)
    check_count("steps", steps)
    size = threat.radius / steps if step_size is None else step_size
    return Ascent(threat=threat, step_size=size, steps=steps, transforms=(Momentum(decay),), random_start=False)


def pgd_plus(
    threat: Threat,
    temperature: Temperature,
    *,
    steps: int = 20,
    step_size: int | float | None = None,
    restarts: int = 1,
) -> Attack:
    """PGD++: projected gradient descent on logits at another temperature.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511.

    Arguments:
        threat: Where it may walk.
        temperature: `Njs.fit(model, probe)`, `Hns()`, `Gap()` or `Fixed(beta)`; Gap climbs the log-odds, the others
            cross entropy as published.
        steps: Number of steps.
        step_size: Length of a step; by default radius / 4 under Linf, 2.5 radius / steps under L2 and L1.
        restarts: Number of runs, merged image by image.
    """
    walk = _walk(threat, steps, step_size, loss=_climbed(temperature), temperature=temperature)
    return _repeated(walk, restarts)


def pqgd(
    threat: Threat,
    levels: int | float = 100,
    *,
    steps: int = 20,
    step_size: int | float | None = None,
    restarts: int = 1,
    rounding: str = "nearest",
) -> Attack:
    """PQGD: projected gradient descent whose step is the quantized gradient in place of its sign.

    Source: Liu et al., 2020, https://arxiv.org/abs/2002.02372.

    Arguments:
        threat: Where it may walk; Linf.
        levels: The number b of levels; 1 is the sign.
        steps: Number of steps.
        step_size: What one level moves a pixel; by default radius / 4.
        restarts: Number of runs, merged image by image.
        rounding: ``nearest``, or ``stochastic`` as in QSGD (Alistarh et al., 2017, https://arxiv.org/abs/1610.02132).

    Raises:
        InputError: If the norm is not Linf, or there is no such rounding.
    """
    _only_linf(threat, "pqgd")
    return _repeated(_walk(threat, steps, step_size, direction=_rounded(levels, rounding)), restarts)


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
    """DAA-BLOB: PGD on sets of images that move each other, mixed anew every 10 steps.

    Source: Zheng, Chen and Ren, 2019, https://arxiv.org/abs/1808.05537.

    Arguments:
        threat: Where it may walk.
        c: Weight of the interaction.
        steps: Number of steps.
        step_size: Length of a step; by default as in `pgd`.
        restarts: Number of runs, merged image by image.
        particles: Images in a set.
        kernel_sign: -1 as released (images draw each other), 1 the other way.
        normalized: Whether gradient and interaction are each scaled to unit length, as in `Blob`.
        broken: Whether fooled images go on being updated, as released, or stand still.
    """
    walk = _walk(threat, steps, step_size, transforms=(Blob(c, kernel_sign, normalized),))
    return _repeated(ParticleSets(walk, particles, broken=broken), restarts)


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
    """DAA-DGF: the same as `daa_blob` with the force of `Dgf`.

    Source: Zheng, Chen and Ren, 2019, https://arxiv.org/abs/1808.05537.

    Arguments:
        threat: Where it may walk.
        c: Weight of the force.
        steps: Number of steps.
        step_size: Length of a step; by default as in `pgd`.
        restarts: Number of runs, merged image by image.
        particles: Images in a set.
        normalized: Whether gradient and force are each scaled to unit length, as in `Dgf`.
        broken: Whether fooled images go on being updated, as released, or stand still.
    """
    walk = _walk(threat, steps, step_size, transforms=(Dgf(c, normalized),))
    return _repeated(ParticleSets(walk, particles, broken=broken), restarts)


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
        threat: Where it may walk; Linf.
        levels: The number b of levels.
        c: Weight of the interaction.
        steps: Number of steps.
        step_size: What one level moves a pixel; by default radius / 4.
        restarts: Number of runs, merged image by image.
        particles: Images in a set.
        kernel_sign: -1 as released, 1 the other way.
        normalized: Whether gradient and interaction are each scaled to unit length, as in `Blob`.
        rounding: As in `pqgd`.
        broken: Whether fooled images go on being updated, as released, or stand still.

    Raises:
        InputError: If the norm is not Linf, or there is no such rounding.
    """
    _only_linf(threat, "blob_qg")
    transforms, direction = (Blob(c, kernel_sign, normalized),), _rounded(levels, rounding)
    walk = _walk(threat, steps, step_size, transforms=transforms, direction=direction)
    return _repeated(ParticleSets(walk, particles, broken=broken), restarts)


def apgd(
    threat: Threat, *, steps: int = 100, restarts: int = 1, loss: Loss = cross_entropy, momentum: int | float = 0.75
) -> Attack:
    """APGD: ascent that halves its own step where the loss stops rising.

    Source: Croce and Hein, 2020, https://arxiv.org/abs/2003.01690.

    Arguments:
        threat: Where it may walk.
        steps: Number of steps.
        restarts: Number of runs, merged image by image.
        loss: What to climb.
        momentum: Weight of the new step against the last move.
    """
    return _repeated(Apgd(threat=threat, steps=steps, loss=loss, momentum=momentum), restarts)


def apgd_plus(threat: Threat, temperature: Temperature, *, steps: int = 100, restarts: int = 1) -> Attack:
    """APGD on logits at another temperature, whose progress is judged by the log-odds of the logits as they are.

    Source: Croce and Hein, 2020, https://arxiv.org/abs/2003.01690, with the temperatures of Gupta and Ajanthan, 2022,
    https://arxiv.org/abs/2003.13511.

    Arguments:
        threat: Where it may walk.
        temperature: `Njs.fit(model, probe)`, `Hns()`, `Gap()` or `Fixed(beta)`; the losses as in `pgd_plus`.
        steps: Number of steps.
        restarts: Number of runs, merged image by image.
    """
    loss = _climbed(temperature)
    walk = Apgd(threat=threat, steps=steps, loss=loss, temperature=temperature, progress=log_odds)
    return _repeated(walk, restarts)


def apgd_targeted(threat: Threat, *, rivals: int = 9, steps: int = 100, start: str = "farthest") -> Ensemble:
    """APGD on targeted DLR toward one rival after the other, each run on what the earlier ones left.

    Source: Croce and Hein, 2020, https://arxiv.org/abs/2003.01690.

    Arguments:
        threat: Where it may walk.
        rivals: How many rivals, from the nearest on.
        steps: Number of steps for each.
        start: A random point at the radius, or blocks of 4 x 4 pixels of random sign.

    Raises:
        InputError: If there is no such start.
    """
    if start not in ("farthest", "blocks"):
        raise unknown("start", start, ("farthest", "blocks"))
    check_count("rivals", rivals)
    walk = Apgd(threat=threat, steps=steps, loss=margin, start=Blocks(4) if start == "blocks" else None)
    walks = {rank: replace(walk, temperature=Rival(rank, ratio=True)) for rank in range(1, rivals + 1)}
    return Ensemble({f"rival {rank}": walk for rank, walk in walks.items()})


def multi_targeted(
    threat: Threat, *, rivals: int = 9, steps: int = 20, step_size: int | float | None = None, restarts: int = 1
) -> Ensemble:
    """Climb the logit difference to one rival after the other, each run on what the earlier ones left.

    Source: Gowal et al., 2019, https://arxiv.org/abs/1910.09338; the Surrogate baseline of Liu et al., 2020.

    Arguments:
        threat: Where it may walk.
        rivals: How many rivals, from the nearest on.
        steps: Number of steps for each.
        step_size: Length of a step; by default as in `pgd`.
        restarts: Number of runs for each, merged image by image.
    """
    walks = {
        rank: _walk(threat, steps, step_size, loss=margin, temperature=Rival(rank)) for rank in range(1, rivals + 1)
    }
    return Ensemble({f"rival {rank}": _repeated(walk, restarts) for rank, walk in walks.items()})


def square(threat: Threat, queries: int = 5000, patience: int | None = None) -> Square:
    """Square: random search over squares, which needs no gradient.

    Source: Andriushchenko et al., 2020, https://arxiv.org/abs/1912.00049.

    Arguments:
        threat: Where it may search; Linf or L2.
        queries: Forward passes an image, at most.
        patience: Queries in a row without a better proposal after which an image is given up; None for never.
    """
    return Square(threat=threat, queries=queries, patience=patience)


@tagged("Falling")
@dataclass(frozen=True)
class LinearDecay:
    """A step size that falls linearly to zero: first (1 - index / steps).

    Arguments:
        first: Length of the first step.
        steps: Number of steps.
    """

    first: int | float
    steps: int

    def __call__(self, index: int) -> float:
        return self.first * (1 - index / self.steps)


def usual_step(threat: Threat, steps: int) -> float:
    """Return the step size of Gupta and Ajanthan (2022, table 6): radius / 4 under Linf, else 2.5 radius / steps."""
    check_threat(threat)
    check_count("steps", steps)
    return threat.radius / 4 if isinstance(threat.norm, Linf) else 2.5 * threat.radius / steps


def _climbed(temperature: Temperature) -> Loss:
    """Gap is the temperature of the log-odds; the published temperatures are those of cross entropy."""
    return log_odds if isinstance(temperature, Gap) else cross_entropy


def _rounded(levels: int | float, rounding: str) -> Direction:
    kinds: dict[str, Callable[[int | float], Direction]] = {"nearest": Quantized, "stochastic": Stochastic}
    if rounding not in kinds:
        raise unknown("rounding", rounding, kinds)
    return kinds[rounding](levels)


def _walk(threat: Threat, steps: int, step_size: int | float | None, **parts: Any) -> Ascent:
    size = usual_step(threat, steps) if step_size is None else step_size
    return Ascent(threat=threat, step_size=size, steps=steps, **parts)


def _only_linf(threat: Threat, name: str) -> None:
    check_threat(threat)
    if not isinstance(threat.norm, Linf):
        raise InputError(f"{name} works under linf, where the quantized gradient takes the sign's place; use pgd here")


def _repeated(walk: Attack, restarts: int) -> Attack:
    return walk if restarts == 1 else Restarts(walk, restarts)
