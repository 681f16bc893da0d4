"""The lists from which every member is tested: one line here, and an attack inherits every contract."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack
from quantattack.attacks.class_pair import ClassPair
from quantattack.attacks.closeness import Probe, WhileClose
from quantattack.attacks.deployed import OnOutputs
from quantattack.attacks.directions import Stochastic
from quantattack.attacks.eot import Eot
from quantattack.attacks.hill_climbing import HillClimbing
from quantattack.attacks.losses import dlr, log_odds, margin, targeted
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import (
    LinearDecay,
    apgd,
    apgd_plus,
    apgd_targeted,
    blob_qg,
    daa_blob,
    daa_dgf,
    fgsm,
    fgsm_plus,
    mi_fgsm,
    multi_targeted,
    pgd,
    pgd_plus,
    pqgd,
    square,
)
from quantattack.attacks.scaling.confidence import MaxConfidence
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.sign_patterns import SignPatterns
from quantattack.attacks.signs import SmoothSigns
from quantattack.attacks.square import Square
from quantattack.attacks.squeezed import Squeezed
from quantattack.attacks.stairs import OnStairs
from quantattack.attacks.success import hits
from quantattack.attacks.threat import Threat
from quantattack.attacks.transforms import Momentum
from quantattack.attacks.wrappers import AgainstRival, Ensemble, InFloat64, Restarts, Transfer
from quantattack.types import Images, Model

Make = Callable[[Threat, Model, Images, int], Attack]  # threat, model to be attacked, probe for what is fitted, steps

THREATS = (Threat(Linf(), 8 / 255), Threat(L2(), 0.3), Threat(L1(), 0.7))


STEPS = 6  # enough for a contract that counts no success


@dataclass(frozen=True)
class Member:
    """An attack and what it promises beside the contracts that hold for all.

    Arguments:
        name: Name in the tests' ids.
        make: Builds the attack for a threat, a model and a probe.
        norms: Norms under which it works.
        invariant: Multiplying the logits by a power of two changes no adversarial image.
        optimal: It reaches the optimum on a linear model.
        general: It searches on any network; another returns the start where it cannot work, and has tests of its own.
        whole: It mixes the images that it is given, so it is given the whole data set; order still changes nothing.
    """

    name: str
    make: Make
    norms: tuple[type, ...] = (Linf, L2, L1)
    invariant: bool = False
    optimal: bool = True
    general: bool = True
    whole: bool = False


def momentum(threat: Threat, steps: int) -> Ascent:
    size = LinearDecay(2 * threat.radius, steps)
    return Ascent(threat=threat, step_size=size, steps=steps, loss=log_odds, transforms=(Momentum(0.75),))


def against_rival(threat: Threat, steps: int) -> AgainstRival:
    walk = Ascent(threat=threat, step_size=threat.radius / 4, steps=steps, loss=targeted(margin), solved=hits)
    return AgainstRival(walk, 1)


def strongest(threat: Threat, steps: int) -> Ensemble:
    """The standard ensemble's kinds of member, short."""
    members: dict[str, Attack] = {
        "pgd": pgd(threat, steps=steps),
        "gap": pgd_plus(threat, Gap(), steps=steps, restarts=2),
        "hns": fgsm_plus(threat, Hns()),
    }
    if not isinstance(threat.norm, L1):
        members["square"] = square(threat, 10)
    return Ensemble(members)


def by_closeness(threat: Threat, steps: int) -> Ensemble:
    """Kinds of member of the standard suite that see what the earlier ones reached, short."""
    walk = Apgd(threat=threat, steps=steps, loss=margin)
    members: dict[str, Attack] = {"pgd": pgd(threat, steps=steps)}
    if not isinstance(threat.norm, L1):
        members["square"] = Square(threat=threat, queries=10, ties=True, schedule=5, patience=3)
    members["rival"] = replace(walk, pair=ClassPair(1, by="reached"))
    members["close"] = WhileClose(replace(walk, pair=ClassPair(2, ratio=True, by="reached")), 0.5)
    return Ensemble(members, tuple(name for name in members if name == "square"))


def squeezed(threat: Threat, steps: int) -> Squeezed:
    """A search from twice the radius, and one along L2 that finishes it."""
    finish = Apgd(threat=threat, steps=steps, loss=margin, step_size=LinearDecay(threat.radius, steps), along=L2())
    return Squeezed(Apgd(threat=threat, steps=steps, loss=margin), threat, finish, (2,))


ATTACKS = (
    Member("by_closeness", lambda threat, model, probe, steps: by_closeness(threat, steps)),
    Member("fgsm", lambda threat, model, probe, steps: fgsm(threat), optimal=False),
    Member("fgsm_clean", lambda threat, model, probe, steps: fgsm(threat, random_start=False)),
    Member("fgsm_margin", lambda threat, model, probe, steps: fgsm(threat, loss=margin), invariant=True, optimal=False),
    Member("pgd", lambda threat, model, probe, steps: pgd(threat, steps=steps)),
    Member("pgd_clean", lambda threat, model, probe, steps: pgd(threat, steps=steps, random_start=False)),
    Member("pgd_restarts", lambda threat, model, probe, steps: pgd(threat, steps=steps, restarts=3)),
    Member("pgd_margin", lambda threat, model, probe, steps: pgd(threat, steps=steps, loss=margin), invariant=True),
    Member("pgd_dlr", lambda threat, model, probe, steps: pgd(threat, steps=steps, loss=dlr)),
    Member("pgd_log_odds", lambda threat, model, probe, steps: pgd(threat, steps=steps, loss=log_odds)),
    Member(
        "pgd_plus_njs",
        lambda threat, model, probe, steps: pgd_plus(threat, Njs.fit(model, probe), steps=steps),
        invariant=True,
    ),
    Member("pgd_plus_hns", lambda threat, model, probe, steps: pgd_plus(threat, Hns(), steps=steps), invariant=True),
    Member("pgd_plus_hns_paper", lambda threat, model, probe, steps: pgd_plus(threat, Hns.paper(), steps=steps)),
    Member("pgd_plus_gap", lambda threat, model, probe, steps: pgd_plus(threat, Gap(), steps=steps), invariant=True),
    Member(
        "pgd_plus_confidence",
        lambda threat, model, probe, steps: pgd_plus(threat, MaxConfidence(0.01), steps=steps),
        invariant=True,
    ),
    Member("pgd_plus_fixed", lambda threat, model, probe, steps: pgd_plus(threat, Fixed(0.1), steps=steps)),
    Member(
        "fgsm_plus_njs",
        lambda threat, model, probe, steps: fgsm_plus(threat, Njs.fit(model, probe)),
        invariant=True,
        optimal=False,
    ),
    Member(
        "fgsm_plus_hns", lambda threat, model, probe, steps: fgsm_plus(threat, Hns()), invariant=True, optimal=False
    ),
    Member(
        "fgsm_plus_gap", lambda threat, model, probe, steps: fgsm_plus(threat, Gap()), invariant=True, optimal=False
    ),
    Member("pqgd", lambda threat, model, probe, steps: pqgd(threat, 100, steps=steps), norms=(Linf,)),
    Member("apgd", lambda threat, model, probe, steps: apgd(threat, steps=steps)),
    Member("apgd_margin", lambda threat, model, probe, steps: apgd(threat, steps=steps, loss=margin), invariant=True),
    Member("apgd_plus_gap", lambda threat, model, probe, steps: apgd_plus(threat, Gap(), steps=steps)),
    Member(
        "apgd_targeted",
        lambda threat, model, probe, steps: apgd_targeted(threat, rivals=2, steps=steps, start="blocks"),
        invariant=True,
        optimal=False,
    ),
    Member("mi_fgsm", lambda threat, model, probe, steps: mi_fgsm(threat, steps=steps, step_size=threat.radius / 4)),
    Member("against_rival", lambda threat, model, probe, steps: against_rival(threat, steps), invariant=True),
    Member(
        "multi_targeted",
        lambda threat, model, probe, steps: multi_targeted(threat, rivals=2, steps=steps),
        invariant=True,
        optimal=False,
    ),
    Member(
        "daa_blob",
        lambda threat, model, probe, steps: daa_blob(threat, steps=steps, particles=5),
        optimal=False,
        whole=True,
    ),
    Member(
        "daa_dgf",
        lambda threat, model, probe, steps: daa_dgf(threat, steps=steps, particles=5),
        optimal=False,
        whole=True,
    ),
    Member(
        "blob_qg",
        lambda threat, model, probe, steps: blob_qg(threat, steps=steps, particles=5),
        norms=(Linf,),
        optimal=False,
        whole=True,
    ),
    Member("stochastic", lambda threat, model, probe, steps: _stochastic(threat, steps), optimal=False),
    Member("momentum", lambda threat, model, probe, steps: momentum(threat, steps)),
    Member("last_iterate", lambda threat, model, probe, steps: _published(threat, steps)),
    Member("restarts", lambda threat, model, probe, steps: Restarts(fgsm(threat), 3), optimal=False),
    Member("strongest", lambda threat, model, probe, steps: strongest(threat, steps), optimal=False),
    Member("transfer", lambda threat, model, probe, steps: Transfer(pgd(threat, steps=steps), model)),
    Member("on_outputs", lambda threat, model, probe, steps: OnOutputs(pgd(threat, steps=steps))),
    Member("float64", lambda threat, model, probe, steps: InFloat64(pgd(threat, steps=steps))),
    Member("smooth_signs", lambda threat, model, probe, steps: SmoothSigns(pgd(threat, steps=steps))),
    Member("probe", lambda threat, model, probe, steps: Probe(by_closeness(threat, steps), pgd(threat, steps=steps))),
    Member(
        "hill_climbing",
        lambda threat, model, probe, steps: HillClimbing(threat=threat, queries=32, chains=4),
        norms=(Linf,),
        invariant=True,
        optimal=False,
    ),
    Member(
        "local_climbing",
        lambda threat, model, probe, steps: HillClimbing(threat=threat, queries=32, chains=2, local=True),
        norms=(Linf,),
        invariant=True,
        optimal=False,
    ),
    Member(
        "on_stairs",
        lambda threat, model, probe, steps: OnStairs(pgd(threat, steps=steps), threat, 1e-9),
        norms=(Linf,),
        optimal=False,
        general=False,
    ),
    Member("squeezed", lambda threat, model, probe, steps: squeezed(threat, steps)),
    Member(
        "sign_patterns",
        lambda threat, model, probe, steps: SignPatterns(threat=threat, queries=200, pairs=4),
        norms=(Linf,),
        invariant=True,
        optimal=False,
        general=False,
    ),
    Member("averaged", lambda threat, model, probe, steps: Eot(pgd(threat, steps=steps), 2)),
    Member(
        "square",
        lambda threat, model, probe, steps: square(threat, 15),
        norms=(Linf, L2),
        invariant=True,
        optimal=False,
    ),
)


def _published(threat: Threat, steps: int) -> Ascent:
    return Ascent(threat=threat, step_size=threat.radius / 4, steps=steps, last_iterate=True)


def _stochastic(threat: Threat, steps: int) -> Ascent:
    return Ascent(threat=threat, step_size=threat.radius / 4, steps=steps, direction=Stochastic(10))
