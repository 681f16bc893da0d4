"""What an attack costs at most, from its settings alone."""

from typing import Any

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.ascent import Ascent
from quantattack.attacks.black_box import Square
from quantattack.attacks.compose import Restarts, Strongest
from quantattack.attacks.nearest import Nearest
from quantattack.attacks.rounds import Rounds
from quantattack.attacks.temperature import Hns

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
    if isinstance(attack, Strongest):
        return sum(passes(part, classes) + 1 for part in attack.attacks.values())
    if isinstance(attack, Nearest):
        return attack.searches * (passes(attack.attack, classes) + 1)
    return _other(attack, classes)


def _other(attack: Any, classes: int) -> int:
    if isinstance(attack, Rounds | Apgd):
        return 2 * (attack.attack.steps if isinstance(attack, Rounds) else attack.steps + 1)
    if isinstance(attack, Square):
        return attack.queries
    if hasattr(attack, "attack"):
        return passes(attack.attack, classes)
    return 2 * int(getattr(attack, "steps", UNKNOWN // 2))
