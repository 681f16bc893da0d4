"""The suite that robust accuracy is reported with: its members in their order, and what they cost."""

from quantattack.attacks.apgd import Apgd, anywhere
from quantattack.attacks.base import Attack, check_threat
from quantattack.attacks.losses import log_odds
from quantattack.attacks.norms import L1
from quantattack.attacks.recipes import LinearDecay, apgd_targeted, pgd, square
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble, Restarts

_FALLING, _CONTROLLED, _RUNS, _RIVALS, _EACH, _QUERIES, _PATIENCE = 50, 75, 2, 9, 22, 2000, 500


def standard(threat: Threat) -> Ensemble:
    """Gap with falling steps, the log-odds under APGD's control, nine rivals one by one; PGD and Square as controls.

    1. `pgd`: 20 steps on cross entropy, the number that others report.
    2. `gap`: the log-odds scaled by `Gap`, 50 steps that fall from twice the radius to zero, with APGD's momentum.
    3. `log_odds`: the log-odds inside APGD's step control, two runs of 75 steps.
    4. `rivals`: targeted DLR inside APGD's step control, 9 rivals of 22 steps, started from blocks of 4 x 4 pixels.
    5. `square`: up to 2000 queries without a gradient, an image given up after 500 that gained nothing; in
       the suite it starts from the closest image that the others returned; none under L1.

    Each member attacks only what the earlier ones left, so an image that all of them leave costs 418 backward passes
    and at most 2455 forward ones, Square's among them; one that a member breaks costs what there was until then.  The
    members by name are `standard(threat).attacks`: hand these to `evaluate` for a number of each, on every image.

    Arguments:
        threat: Where it may walk.
    """
    check_threat(threat)
    members: dict[str, Attack] = {
        "pgd": pgd(threat),
        "gap": _falling(threat),
        "log_odds": Restarts(Apgd(threat=threat, steps=_CONTROLLED, loss=log_odds), _RUNS),
        "rivals": apgd_targeted(threat, rivals=_RIVALS, steps=_EACH, start="blocks"),
    }
    if not isinstance(threat.norm, L1):
        members["square"] = square(threat, _QUERIES, _PATIENCE)
    return Ensemble(members, tuple(name for name in members if name == "square"))


def _falling(threat: Threat) -> Apgd:
    size = LinearDecay(2 * threat.radius, _FALLING)
    return Apgd(
        threat=threat,
        steps=_FALLING,
        loss=log_odds,
        temperature=Gap(),
        progress=log_odds,
        step_size=size,
        start=anywhere,
    )
