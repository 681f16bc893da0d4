"""The standard suite of attacks for reporting robust accuracy: it spends by closeness, at a cost known beforehand."""

from dataclasses import replace
from typing import Any

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.arguments import check_threat
from quantattack.attacks.base import Attack, passes
from quantattack.attacks.class_pair import ClassPair
from quantattack.attacks.closeness import Probe, WhileClose
from quantattack.attacks.hill_climbing import HillClimbing
from quantattack.attacks.losses import log_odds, margin
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import LinearDecay, pgd
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.sign_patterns import SignPatterns
from quantattack.attacks.signs import SmoothSigns
from quantattack.attacks.square import Square
from quantattack.attacks.squeezed import Squeezed
from quantattack.attacks.stairs import OnStairs
from quantattack.attacks.starts import Blocks, Start, anywhere
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble, Restarts

_RIVALS = 9
_SHARES = (0.06, 0.05, 0.04, 0.01)  # of the clean margin, below which each part of `_climb` runs
_SQUEEZED = 6  # rivals that are searched for from outside under L1
_SPARSE_SHARES = (0.5, 0.2)  # under L1, where short attacks come less close to what long ones reach


def standard(threat: Threat) -> Ensemble:
    """The standard ensemble: short attacks of many kinds on every image, long ones where one of them came close.

    1. `gap`: log-odds of logits scaled by `Gap`, 20 steps with APGD's momentum and a step size that decays linearly
       from twice the radius to zero.
    2. `stripes`: Square that keeps ties, up to 450 queries, from its own start.
    3. `square`: the same with smaller windows, from the closest image that the others returned, up to 1500 queries.
    4. `log_odds`: APGD on the log-odds, 30 steps; under L1 on those scaled by `Gap`.
    5. `rivals`: four decaying steps toward each of 9 target classes, from blocks of 4 x 4 pixels, and APGD on targeted
       DLR, 16 steps, toward the two that came nearest.
    6. `close`: up to 700 steps of the kinds above on the images whose margin fell below 6, 5, 4 and 1 percent of the
       clean one.  Then, from the closest images, `HillClimbing`, up to 24,000 queries where an image below 50 percent
       lies on a plateau; `SignPatterns`, up to 30,000 where there the first activations are signs; and a local
       `HillClimbing`, up to 4000 on those below 7 percent that lie `OnStairs`.

    Under L1 `close` has up to 1600 steps with APGD's own step sizes, on images below 50 and 20 percent: each search is
    polished by steps along L2, and six of them, toward one rival each, are `Squeezed`.  Under L1 and L2 Square follows,
    up to 4000 queries, in place of the searches without gradients.

    Where activations are signs, the gradient members climb the derivative of `SmoothSigns`.

    `HillClimbing` gives an image up after 72 queries unless the margin stays exactly as it was under many changes, as
    in networks of signs or of 2-bit activations; `SignPatterns` asks nothing of a model without `Sign` activations;
    `OnStairs` asks 17 queries.  In small networks of these kinds the suite still misses images; `certify` decides them
    by complete search, and an evaluation says so by the flag `search_pays`.

    Each member attacks only the images that the earlier ones did not fool, and is handed what they reached.  An image
    that none of them fools costs 118 backward passes where it stays far from falling, and at most 818 where it comes
    close, under L1 1,718; one that is fooled costs only the passes until then.  `passes` and `far_passes` return these
    with the forward passes, Square's included.

    To evaluate every member on every image, pass `standard(threat).attacks` to `evaluate`.  They contain the control
    `pgd`, PGD with 20 steps on cross entropy, which the ensemble does not run.  `close` is then run after the others,
    on what all of them left, with a probe of 88 backward passes that tells how close an image is.

    Arguments:
        threat: Set of admissible images.
    """
    check_threat(threat)
    members: dict[str, Attack] = {
        "pgd": pgd(threat),
        "gap": SmoothSigns(_gap(threat, 20)),
        "stripes": _square(threat, 450, 120, schedule=2000),
        "square": _square(threat, 1500, 120, schedule=600),
        "log_odds": SmoothSigns(_log_odds(threat, 30)),
        "rivals": SmoothSigns(_rivals(threat)),
        "close": Probe(_close(threat), SmoothSigns(_probe(threat))),
    }
    return Ensemble(members, ("square",), controls=("pgd",))


def far_passes(attack: Attack, classes: int) -> int:
    """Return the most forward plus backward passes that an attack spends on an image that nothing brings close.

    `passes` counts those of an image that every `WhileClose` attacks.

    Arguments:
        attack: An attack or a suite.
        classes: Number of classes.
    """
    if isinstance(attack, WhileClose):
        return 1
    if isinstance(attack, SmoothSigns | Probe):
        return far_passes(attack.attack, classes)
    if isinstance(attack, Ensemble):
        return sum(far_passes(member, classes) + 1 for member in attack.members.values())
    return passes(attack, classes)


def _rivals(threat: Threat) -> Ensemble:
    """Return a few steps toward each rival, then a longer search toward the two that came nearest."""
    probe = _decaying(threat, 4, Blocks(4), loss=margin)
    probes: dict[str, Attack] = {
        f"probe {rank}": replace(probe, pair=ClassPair(rank)) for rank in range(1, _RIVALS + 1)
    }
    return Ensemble(probes | {f"nearest {rank}": _dlr(threat, rank, 16, Blocks(4)) for rank in (1, 2)})


def _probe(threat: Threat) -> Ensemble:
    """Return a short attack of two kinds, from other starts than those of the members."""
    return Ensemble({"gap": _gap(threat, 20, Blocks(4)), "rivals": _rivals(threat)})


def _close(threat: Threat) -> Ensemble:
    """Return searches whose length follows from how close an image has come, and long ones without gradients."""
    climb = _climb_sparse(threat) if isinstance(threat.norm, L1) else _climb(threat)
    members: dict[str, Attack] = {"climb": SmoothSigns(climb)}
    if isinstance(threat.norm, Linf):
        local = HillClimbing(threat=threat, queries=4_000, chains=2, local=True)
        members["plateaus"] = WhileClose(HillClimbing(threat=threat, queries=24_000), 0.5)
        members["patterns"] = WhileClose(SignPatterns(threat=threat, queries=30_000), 0.5)
        members["stairs"] = WhileClose(OnStairs(local, threat), 0.07)
    else:
        members["long"] = _square(threat, 4_000, 400, schedule=2_000)  # all that is left for plateaus
    return Ensemble(members, tuple(name for name in members if name != "climb"))


def _climb(threat: Threat) -> Ensemble:
    """Return searches with gradients: 50 steps of a kind where an image came close, 100 where it came closer."""
    nearest: dict[str, Attack] = {"rival": _toward(threat, 2, 100), "blocks": _gap(threat, 100, Blocks(4))}
    touching: dict[str, Attack] = {
        "blocks": Restarts(_gap(threat, 100, Blocks(2)), 2),
        "anywhere": _gap(threat, 100),
        "rival": _toward(threat, 1, 100),
    }
    members: dict[str, Attack] = {
        "near": _gap(threat, 50, Blocks(4)),
        "nearer": _dlr(threat, 1, 50),
        "nearest": Ensemble(nearest),
        "touching": Ensemble(touching),
    }
    return Ensemble(
        {name: WhileClose(attack, share) for (name, attack), share in zip(members.items(), _SHARES, strict=True)}
    )


def _climb_sparse(threat: Threat) -> Ensemble:
    """Return the searches under L1, each polished: a long one, others from many starts, and some from outside."""
    starts: dict[str, Apgd] = {
        "rival": _dlr(threat, 1, 50),
        "blocks": _controlled(threat, 50, Blocks(4)),
        "rival anywhere": _dlr(threat, 1, 100, anywhere),
        "small blocks": _controlled(threat, 100, Blocks(2)),
        "long": _controlled(threat, 200, Blocks(4)),
    }
    nearer = {name: _polished(threat, attack) for name, attack in starts.items()}
    for rank in range(1, _SQUEEZED + 1):
        nearer[f"squeezed {rank}"] = _polished(threat, _dlr(threat, rank, 30, anywhere), (3, 2))
    near = _polished(threat, _controlled(threat, 200))
    parts = (("near", near, _SPARSE_SHARES[0]), ("nearer", Ensemble(nearer), _SPARSE_SHARES[1]))
    return Ensemble({name: WhileClose(attack, share) for name, attack, share in parts})


def _decaying(threat: Threat, steps: int, start: Start, first: float = 2, **parts: Any) -> Apgd:
    """Return APGD whose step size decays linearly to zero, from twice the radius or another multiple of it."""
    return Apgd(threat=threat, steps=steps, step_size=LinearDecay(first * threat.radius, steps), start=start, **parts)


def _gap(threat: Threat, steps: int, start: Start = anywhere) -> Apgd:
    return _decaying(threat, steps, start, loss=log_odds, temperature=Gap(), progress=log_odds)


def _controlled(threat: Threat, steps: int, start: Start | None = None) -> Apgd:
    """Return the same with APGD's own step sizes, which under L1 follow how many pixels have changed."""
    return Apgd(threat=threat, steps=steps, loss=log_odds, start=start, temperature=Gap(), progress=log_odds)


def _polished(threat: Threat, attack: Apgd, factors: tuple[int, ...] = ()) -> Squeezed:
    """Return a search under L1, and after it one that moves all pixels a little, where others choose which move."""
    polish = _decaying(threat, 30, anywhere, 0.25, loss=log_odds, temperature=Gap(), progress=log_odds, along=L2())
    return Squeezed(attack, threat, polish, factors)


def _toward(threat: Threat, rank: int, steps: int) -> Apgd:
    """Return a search toward the class that came nearest, or the second."""
    return _decaying(threat, steps, anywhere, loss=margin, pair=ClassPair(rank, by="reached"))


def _log_odds(threat: Threat, steps: int) -> Apgd:
    if isinstance(threat.norm, L1):
        return _controlled(threat, steps)
    return Apgd(threat=threat, steps=steps, loss=log_odds)


def _dlr(threat: Threat, rank: int, steps: int, start: Start | None = None) -> Apgd:
    """Return APGD on targeted DLR toward the class that came nearest, or the second."""
    pair = ClassPair(rank, ratio=True, by="reached")
    return Apgd(threat=threat, steps=steps, loss=margin, start=start, pair=pair)


def _square(threat: Threat, queries: int, patience: int, schedule: int, share: float = 0.8) -> Square:
    return Square(threat=threat, queries=queries, share=share, patience=patience, ties=True, schedule=schedule)
