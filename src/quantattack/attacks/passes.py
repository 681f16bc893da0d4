"""What an attack costs at most, from its settings alone."""

from typing import Any

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.ascent import Ascent
from quantattack.attacks.minimum_norm import MinimumNorm
from quantattack.attacks.particle_sets import ParticleSets
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.square import Square
from quantattack.attacks.wrappers import Ensemble, Restarts

UNKNOWN = 2_000  # of an attack from elsewhere, an image: 1000 steps


def passes(attack: Any, classes: int) -> int:
    """Return the forward and backward passes that an attack spends on an image, at most.

    Arguments:
        attack: The attack.
        classes: Number of classes, which is what a Jacobian costs.
    """
    if isinstance(attack, Ascent):
        return 2 * attack.steps + (classes + 1) * isinstance(attack.temperature, Hns)
    if isinstance(attack, Restarts):
        return attack.restarts * (passes(attack.attack, classes) + 1)
    if isinstance(attack, Ensemble):
        return sum(passes(part, classes) + 1 for part in attack.attacks.values())
    if isinstance(attack, MinimumNorm):
        return attack.searches * (passes(attack.attack, classes) + 1)
    return _other(attack, classes)


def _other(attack: Any, classes: int) -> int:
    if isinstance(attack, ParticleSets | Apgd):
        return 2 * (attack.attack.steps if isinstance(attack, ParticleSets) else attack.steps + 1)
    if isinstance(attack, Square):
        return attack.queries
    if hasattr(attack, "attack"):
        return passes(attack.attack, classes)
    return 2 * int(getattr(attack, "steps", UNKNOWN // 2))
