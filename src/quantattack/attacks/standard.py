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
from quantattack.attacks.norms import L1, Linf
from quantattack.attacks.recipes import LinearDecay, pgd
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.sign_patterns import SignPatterns
from quantattack.attacks.signs import SmoothSigns
from quantattack.attacks.square import Square
from quantattack.attacks.starts import Blocks, Start, anywhere
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble, Restarts

_RIVALS = 9
_SHARES = (0.06, 0.05, 0.04, 0.01)  # of the clean margin, below which each part of `_climb` runs
_SPARSE_SHARES = (0.5, 0.4, 0.3, 0.3)  # under L1, where short attacks come less close to what long ones reach


def standard(threat: Threat) -> Ensemble:
    """The standard ensemble: short attacks of many kinds on every image, long ones where one of them came close.

    1. `gap`: log-odds of logits scaled by `Gap`, 20 steps with APGD's momentum and a step size that decays linearly
       from twice the radius to zero.
    2. `square`: Square that keeps ties, up to 1500 queries.
    3. `log_odds`: APGD on the log-odds, 30 steps; under L1 on those scaled by `Gap`.
    4. `rivals`: four decaying steps toward each of 9 target classes, from blocks of 4 x 4 pixels, and APGD on targeted
       DLR, 16 steps, toward the two that came nearest.
    5. `close`: up to 700 steps of the kinds above on the images whose margin fell below 6, 5, 4 and 1 percent of the
       clean one, under L1 with APGD's own step sizes and below 50, 40 and 30 percent; on those below 50 percent
       `HillClimbing`, up to 64,000 queries where an image lies on a plateau, and `SignPatterns`, up to 100,000 where
       the first activations are signs; then Square that keeps ties, up to 4000 queries, under Linf on those below 10
       percent.

    Square, `HillClimbing` and `SignPatterns` start from the closest image that the others returned.  Where activations
    are signs, the gradient members climb the derivative of `SmoothSigns`.

    `HillClimbing` and `SignPatterns` run under Linf.  The first gives an image up after 72 queries unless the margin
    stays exactly as it was under many changes, as in networks of signs or of k-bit activations; the second asks nothing
    of a model without `Sign` activations.  In small networks of this kind the suite still misses images; `certify`
    decides them by complete search, and an evaluation says so by the flag `search_pays`.

    Each member attacks only the images that the earlier ones did not fool, and is handed what they reached.  An image
    that none of them fools costs 118 backward passes where it stays far from falling, and at most 818 where it comes
    close; one that is fooled costs only the passes until then.  `passes` and `far_passes` return these with the forward
    passes, Square's included.

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
    """Return searches whose length follows from how close an image has come, and a long one without gradients."""
    members: dict[str, Attack] = {"climb": SmoothSigns(_climb(threat))}
    long = _square(threat, 4000, 400, schedule=2000)
    if isinstance(threat.norm, Linf):
        members["plateaus"] = WhileClose(HillClimbing(threat=threat), 0.5)
        members["patterns"] = WhileClose(SignPatterns(threat=threat), 0.5)
        members["long"] = WhileClose(long, 0.1)
    else:
        members["long"] = long  # all that is left for plateaus
    return Ensemble(members, tuple(name for name in members if name != "climb"))


def _climb(threat: Threat) -> Ensemble:
    """Return searches with gradients: 50 steps of a kind where an image came close, 100 where it came closer."""
    sparse = isinstance(threat.norm, L1)
    longer, toward = (_controlled, _dlr) if sparse else (_gap, _toward)
    nearest: dict[str, Attack] = {"rival": toward(threat, 2, 100, anywhere), "blocks": longer(threat, 100, Blocks(4))}
    touching: dict[str, Attack] = {
        "blocks": Restarts(longer(threat, 100, Blocks(2)), 2),
        "anywhere": longer(threat, 100, anywhere),
        "rival": toward(threat, 1, 100, anywhere),
    }
    members: tuple[tuple[str, Attack], ...] = (
        ("near", longer(threat, 50, Blocks(4))),
        ("nearer", _dlr(threat, 1, 50)),
        ("nearest", Ensemble(nearest)),
        ("touching", Ensemble(touching)),
    )
    shares = _SPARSE_SHARES if sparse else _SHARES
    return Ensemble({name: WhileClose(attack, share) for (name, attack), share in zip(members, shares, strict=True)})


def _decaying(threat: Threat, steps: int, start: Start, **parts: Any) -> Apgd:
    """Return APGD whose step size decays linearly from twice the radius to zero."""
    return Apgd(threat=threat, steps=steps, step_size=LinearDecay(2 * threat.radius, steps), start=start, **parts)


def _gap(threat: Threat, steps: int, start: Start = anywhere) -> Apgd:
    return _decaying(threat, steps, start, loss=log_odds, temperature=Gap(), progress=log_odds)


def _controlled(threat: Threat, steps: int, start: Start | None = None) -> Apgd:
    """Return the same with APGD's own step sizes, which under L1 follow how many pixels have changed."""
    return Apgd(threat=threat, steps=steps, loss=log_odds, start=start, temperature=Gap(), progress=log_odds)


def _toward(threat: Threat, rank: int, steps: int, start: Start) -> Apgd:
    """Return a search toward the class that came nearest, or the second."""
    return _decaying(threat, steps, start, loss=margin, pair=ClassPair(rank, by="reached"))


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
