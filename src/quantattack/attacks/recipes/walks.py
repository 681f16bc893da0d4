"""Recipes: published gradient attacks under the names of their papers."""

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.arguments import check_threat
from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack
from quantattack.attacks.losses import Loss, cross_entropy, log_odds
from quantattack.attacks.recipes.steps import check_linf, loss_for, quantized_direction, repeated, walk_of
from quantattack.attacks.scaling.base import Temperature
from quantattack.attacks.success import criterion_for
from quantattack.attacks.threat import Threat
from quantattack.attacks.transforms import Momentum
from quantattack.errors import check_count


def fgsm(threat: Threat, *, loss: Loss = cross_entropy, random_start: bool = True) -> Ascent:
    """One step of the whole radius along the steepest direction.

    Source: Goodfellow, Shlens and Szegedy, 2015, https://arxiv.org/abs/1412.6572; with the random start of Gupta and
    Ajanthan, 2022, https://arxiv.org/abs/2003.13511.

    Arguments:
        threat: Set of admissible images.
        loss: Per-image loss to maximize; a targeted one takes the labels as targets, and succeeds where it hits them.
        random_start: Whether to start at a random point of the threat.
    """
    check_threat(threat)
    solved = criterion_for(loss)
    return Ascent(threat=threat, step_size=threat.radius, steps=1, loss=loss, solved=solved, random_start=random_start)


def pgd(
    threat: Threat,
    *,
    steps: int = 20,
    step_size: int | float | None = None,
    restarts: int = 1,
    loss: Loss = cross_entropy,
    random_start: bool = True,
) -> Attack:
    """Projected gradient descent (PGD), on cross entropy by default.

    Source: Madry et al., 2018, https://arxiv.org/abs/1706.06083.

    Arguments:
        threat: Set of admissible images.
        steps: Number of steps.
        step_size: Size of a step; by default radius / 4 under Linf, 2.5 radius / steps under L2 and L1.
        restarts: Number of runs, merged image by image.
        loss: Per-image loss to maximize; a targeted one takes the labels as targets, and succeeds where it hits them.
        random_start: Whether to start at a random point of the threat.
    """
    parts = {"loss": loss, "solved": criterion_for(loss)}
    return repeated(walk_of(threat, steps, step_size, random_start=random_start, **parts), restarts)


def fgsm_plus(threat: Threat, temperature: Temperature) -> Ascent:
    """FGSM++: one step of the whole radius, on logits scaled by a temperature.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511.

    Arguments:
        threat: Set of admissible images.
        temperature: `Njs.fit(model, probe)`, `Hns()`, `Gap()` or `Fixed(beta)`.
    """
    check_threat(threat)
    loss = loss_for(temperature)
    return Ascent(threat=threat, step_size=threat.radius, steps=1, loss=loss, temperature=temperature)


def mi_fgsm(
    threat: Threat, *, steps: int = 10, step_size: int | float | None = None, decay: int | float = 1.0
) -> Ascent:
    """MI-FGSM: steps along accumulated gradients, from the clean image.

    Source: Dong et al., 2018, https://arxiv.org/abs/1710.06081.

    Arguments:
        threat: Set of admissible images.
        steps: Number of steps.
        step_size: Size of a step; by default radius / steps.
        decay: Decay factor of the accumulated gradient.
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
    """PGD++: projected gradient descent on logits scaled by a temperature.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511.

    Arguments:
        threat: Set of admissible images.
        temperature: `Njs.fit(model, probe)`, `Hns()`, `Gap()` or `Fixed(beta)`; Gap uses the log-odds as its loss, the
            others cross entropy, as published.
        steps: Number of steps.
        step_size: Size of a step; by default radius / 4 under Linf, 2.5 radius / steps under L2 and L1.
        restarts: Number of runs, merged image by image.
    """
    walk = walk_of(threat, steps, step_size, loss=loss_for(temperature), temperature=temperature)
    return repeated(walk, restarts)


def pqgd(
    threat: Threat,
    levels: int | float = 100,
    *,
    steps: int = 20,
    step_size: int | float | None = None,
    restarts: int = 1,
    rounding: str = "nearest",
) -> Attack:
    """PQGD: projected gradient descent along the quantized gradient instead of its sign.

    Source: Liu et al., 2020, https://arxiv.org/abs/2002.02372.

    Arguments:
        threat: Set of admissible images, under Linf.
        levels: The number b of levels; 1 is the sign.
        steps: Number of steps.
        step_size: Change of a pixel per level; by default radius / 4.
        restarts: Number of runs, merged image by image.
        rounding: ``nearest``, or ``stochastic`` as in QSGD (Alistarh et al., 2017, https://arxiv.org/abs/1610.02132).

    Raises:
        InputError: If the norm is not Linf, or there is no such rounding.
    """
    check_linf(threat, "pqgd")
    return repeated(walk_of(threat, steps, step_size, direction=quantized_direction(levels, rounding)), restarts)


def apgd(
    threat: Threat, *, steps: int = 100, restarts: int = 1, loss: Loss = cross_entropy, momentum: int | float = 0.75
) -> Attack:
    """APGD: projected gradient ascent with momentum that halves its step when the loss stops rising.

    Source: Croce and Hein, 2020, https://arxiv.org/abs/2003.01690.

    Arguments:
        threat: Set of admissible images.
        steps: Number of steps.
        restarts: Number of runs, merged image by image.
        loss: Per-image loss to maximize; a targeted one takes the labels as targets, and succeeds where it hits them.
        momentum: Weight of the new step; the previous move has the rest.
    """
    walk = Apgd(threat=threat, steps=steps, loss=loss, momentum=momentum, solved=criterion_for(loss))
    return repeated(walk, restarts)


def apgd_plus(threat: Threat, temperature: Temperature, *, steps: int = 100, restarts: int = 1) -> Attack:
    """APGD on logits scaled by a temperature; its step control compares the log-odds of the unscaled logits.

    Source: Croce and Hein, 2020, https://arxiv.org/abs/2003.01690, with the temperatures of Gupta and Ajanthan, 2022,
    https://arxiv.org/abs/2003.13511.

    Arguments:
        threat: Set of admissible images.
        temperature: `Njs.fit(model, probe)`, `Hns()`, `Gap()` or `Fixed(beta)`; the losses as in `pgd_plus`.
        steps: Number of steps.
        restarts: Number of runs, merged image by image.
    """
    loss = loss_for(temperature)
    walk = Apgd(threat=threat, steps=steps, loss=loss, temperature=temperature, progress=log_odds)
    return repeated(walk, restarts)
