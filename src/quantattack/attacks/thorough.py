"""A suite of attacks that spends by closeness: little on images that stay far from falling, much on the others."""

from dataclasses import replace

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.arguments import check_threat
from quantattack.attacks.base import Attack
from quantattack.attacks.class_pair import ClassPair
from quantattack.attacks.closeness import WhileClose
from quantattack.attacks.losses import log_odds, margin
from quantattack.attacks.norms import L1
from quantattack.attacks.recipes import pgd
from quantattack.attacks.square import Square
from quantattack.attacks.standard import decaying, decaying_gap
from quantattack.attacks.starts import Blocks, Start, anywhere
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble, Restarts

_RIVALS = 9


def thorough(threat: Threat) -> Ensemble:
    """A suite that spends by closeness: cheap attacks of many kinds, then a long search where an image nearly fell.

    1. `pgd`: PGD with 20 steps on cross entropy, a common baseline.
    2. `gap`: log-odds of logits scaled by `Gap`, 20 steps with APGD's momentum and a step size that decays linearly
       from twice the radius to zero.
    3. `square`: Square that keeps ties, up to 1500 queries, from the closest image so far.  Omitted under L1.
    4. `log_odds`: APGD on the log-odds, 30 steps.
    5. `rivals`: four decaying steps toward each of 9 target classes, from blocks of 4 x 4 pixels, and APGD on targeted
       DLR, 16 steps, toward the two that came nearest.
    6. `close`: up to 750 steps of the kinds above on the images whose margin fell below 15, 10 and 4 percent of the
       clean one.
    7. `close_square`: Square from the closest image: up to 4000 queries, and 6000 fine ones below 8 percent.  Omitted
       under L1.

    Each member attacks only the images that the earlier ones did not fool, and is handed what they reached.  An image
    that none of them fools costs 138 backward passes where it stays far from falling, and at most 888 where it comes
    close; one that is fooled costs only the passes until then.

    Arguments:
        threat: Set of admissible images.
    """
    check_threat(threat)
    asks = not isinstance(threat.norm, L1)
    members: dict[str, Attack] = {"pgd": pgd(threat), "gap": decaying_gap(threat, 20)}
    if asks:
        members["square"] = _square(threat, 1500, 120, schedule=600)
    members |= {"log_odds": _log_odds(threat, 30), "rivals": _rivals(threat), "close": _close(threat)}
    if asks:
        members["close_square"] = _close_square(threat)
    return Ensemble(members, ("square", "close_square") if asks else ())


def _rivals(threat: Threat) -> Ensemble:
    """Return a few steps toward each rival, then a longer search toward the two that came nearest."""
    probe = decaying(threat, 4, Blocks(4), loss=margin)
    probes: dict[str, Attack] = {
        f"probe {rank}": replace(probe, pair=ClassPair(rank)) for rank in range(1, _RIVALS + 1)
    }
    return Ensemble(probes | {f"nearest {rank}": _dlr(threat, rank, 16, Blocks(4)) for rank in (1, 2)})


def _close(threat: Threat) -> Ensemble:
    """Return searches whose length follows from how close an image has come."""
    nearer = Ensemble({"log_odds": _log_odds(threat, 50), "rival": _dlr(threat, 1, 50)})
    nearest = Ensemble(
        {
            "blocks": Restarts(decaying_gap(threat, 100, Blocks(4)), 2),
            "anywhere": Restarts(decaying_gap(threat, 100), 2),
            "rival 1": _toward(threat, 1, 100),
            "rival 2": _toward(threat, 2, 100),
        }
    )
    return Ensemble(
        {
            "near": WhileClose(decaying_gap(threat, 50, Blocks(4)), 0.15),
            "nearer": WhileClose(nearer, 0.1),
            "nearest": WhileClose(nearest, 0.04),
        }
    )


def _close_square(threat: Threat) -> Ensemble:
    """Return a long search without gradients, and a fine one of the images that are close."""
    fine = _square(threat, 6000, 1500, schedule=3000, share=0.05)
    members: dict[str, Attack] = {
        "long": _square(threat, 4000, 400, schedule=2000),
        "fine": WhileClose(fine, 0.08),
    }
    return Ensemble(members, ("long", "fine"))


def _toward(threat: Threat, rank: int, steps: int) -> Apgd:
    """Return a search toward the class that came nearest, or the second."""
    return decaying(threat, steps, anywhere, loss=margin, pair=ClassPair(rank, by="reached"))


def _log_odds(threat: Threat, steps: int) -> Apgd:
    return Apgd(threat=threat, steps=steps, loss=log_odds)


def _dlr(threat: Threat, rank: int, steps: int, start: Start | None = None) -> Apgd:
    """Return APGD on targeted DLR toward the class that came nearest, or the second."""
    pair = ClassPair(rank, ratio=True, by="reached")
    return Apgd(threat=threat, steps=steps, loss=margin, start=start, pair=pair)


def _square(threat: Threat, queries: int, patience: int, schedule: int, share: float = 0.8) -> Square:
    return Square(threat=threat, queries=queries, share=share, patience=patience, ties=True, schedule=schedule)
