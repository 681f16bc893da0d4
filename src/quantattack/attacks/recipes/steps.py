"""Helpers shared by the recipes: step sizes, and the ascent that most of them use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantattack.attacks.arguments import check_threat
from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack
from quantattack.attacks.directions import Direction, NoisyDirection, Quantized, Stochastic
from quantattack.attacks.losses import Loss, cross_entropy, log_odds
from quantattack.attacks.norms import Linf
from quantattack.attacks.scaling.base import Temperature
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Restarts
from quantattack.errors import InputError, check_count, unknown
from quantattack.record.description import tagged


@tagged("Falling")
@dataclass(frozen=True)
class LinearDecay:
    """A step size that decays linearly to zero: first * (1 - index / steps).

    Arguments:
        first: Size of the first step.
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


def loss_for(temperature: Temperature) -> Loss:
    """Return the loss to use with a temperature: log-odds for Gap, cross entropy for the others, as published."""
    return log_odds if isinstance(temperature, Gap) else cross_entropy


def quantized_direction(levels: int | float, rounding: str) -> Direction | NoisyDirection:
    """Return the direction that rounds gradients to integer levels, to the nearest one or stochastically."""
    kinds: Mapping[str, type[Quantized] | type[Stochastic]] = {"nearest": Quantized, "stochastic": Stochastic}
    if rounding not in kinds:
        raise unknown("rounding", rounding, kinds)
    return kinds[rounding](levels)


def walk_of(threat: Threat, steps: int, step_size: int | float | None, **parts: Any) -> Ascent:
    """Return an ascent, with `usual_step` if no step size is given; further arguments go to `Ascent`."""
    size = usual_step(threat, steps) if step_size is None else step_size
    return Ascent(threat=threat, step_size=size, steps=steps, **parts)


def check_linf(threat: Threat, name: str) -> None:
    """Raise InputError unless the norm is Linf, for attacks that step along the quantized gradient, not its sign."""
    check_threat(threat)
    if not isinstance(threat.norm, Linf):
        raise InputError(f"{name} works under linf, where the quantized gradient takes the sign's place; use pgd here")


def repeated(walk: Attack, restarts: int) -> Attack:
    """Return the attack wrapped in `Restarts`, or unchanged for one run."""
    return walk if restarts == 1 else Restarts(walk, restarts)
