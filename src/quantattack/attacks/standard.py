"""The standard suite of attacks for reporting robust accuracy, with its cost."""

from typing import Any

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.arguments import check_threat
from quantattack.attacks.base import Attack
from quantattack.attacks.losses import log_odds
from quantattack.attacks.norms import L1
from quantattack.attacks.recipes import LinearDecay, apgd_targeted, pgd, square
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.starts import Start, anywhere
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble, Restarts

_FALLING, _CONTROLLED, _RUNS, _RIVALS, _EACH, _QUERIES, _PATIENCE = 50, 75, 2, 9, 22, 2000, 500


def standard(threat: Threat) -> Ensemble:
    """The standard ensemble: PGD, Gap, APGD on the log-odds, APGD toward nine target classes, and Square.

    1. `pgd`: PGD with 20 steps on cross entropy, a common baseline.
    2. `gap`: log-odds of logits scaled by `Gap`, 50 steps with APGD's momentum and a step size that decays linearly
       from twice the radius to zero.
    3. `log_odds`: APGD on the log-odds, two runs of 75 steps.
    4. `rivals`: APGD on targeted DLR, 22 steps for each of 9 target classes, started from blocks of 4 x 4 pixels.
    5. `square`: Square with up to 2000 queries; an image is given up after 500 without improvement.  It starts from
       the best image that the other members returned.  Omitted under L1.

    In small networks of signs or of k-bit activations it misses many images; `certify` decides them by complete search,
    and an evaluation says so by the flag `search_pays`.

    Each member attacks only the images that the earlier ones did not fool.  An image that none of them fools costs 418
    backward passes and at most 2455 forward passes, including Square's; one that is fooled costs only the passes until
    then.  To evaluate every member alone on every image, pass `standard(threat).attacks` to `evaluate`.

    Arguments:
        threat: Set of admissible images.
    """
    check_threat(threat)
    members: dict[str, Attack] = {
        "pgd": pgd(threat),
        "gap": decaying_gap(threat, _FALLING),
        "log_odds": Restarts(Apgd(threat=threat, steps=_CONTROLLED, loss=log_odds), _RUNS),
        "rivals": apgd_targeted(threat, rivals=_RIVALS, steps=_EACH, start="blocks"),
    }
    if not isinstance(threat.norm, L1):
        members["square"] = square(threat, _QUERIES, _PATIENCE)
    return Ensemble(members, tuple(name for name in members if name == "square"))


def decaying_gap(threat: Threat, steps: int, start: Start = anywhere) -> Apgd:
    """APGD on the log-odds of logits scaled by `Gap`, whose step size decays linearly from twice the radius to zero."""
    return decaying(threat, steps, start, loss=log_odds, temperature=Gap(), progress=log_odds)


def decaying(threat: Threat, steps: int, start: Start, **parts: Any) -> Apgd:
    """APGD whose step size decays linearly from twice the radius to zero; further arguments go to `Apgd`."""
    return Apgd(threat=threat, steps=steps, step_size=LinearDecay(2 * threat.radius, steps), start=start, **parts)
