"""Experiments beyond the papers: how much of PGD++'s gain is due to arithmetic, how much to the direction."""

from collections.abc import Mapping

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack
from quantattack.attacks.directions import Quantized
from quantattack.attacks.losses import Loss, cross_entropy, log_odds
from quantattack.attacks.recipes import pgd, pgd_plus, usual_step
from quantattack.attacks.scaling.base import Temperature, unit
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import InFloat64
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.liu2020.attacks import several

Attacks = list[tuple[Threat, dict[str, Attack]]]


def ladder(bench: Bench, network: Network) -> Attacks:
    """PGD with a series of losses and temperatures; results after fewer steps are read off the longest walk."""
    threat, steps = bench.threat(network), min(50, bench.scale.steps)
    plain = pgd(threat, steps=steps)
    attacks: dict[str, Attack] = {
        "cross entropy": plain,
        "float64": InFloat64(plain),
        "log-odds": pgd(threat, steps=steps, loss=log_odds),
        "njs": pgd_plus(threat, bench.njs(network), steps=steps),
        "hns_paper": pgd_plus(threat, Hns.paper(), steps=steps),
        "hns": pgd_plus(threat, Hns(), steps=steps),
        "gap": pgd_plus(threat, Gap(), steps=steps),
    }
    return [(threat, several(bench, attacks))]


def quantized(bench: Bench, network: Network) -> Attacks:
    """Quantized gradients with each loss and temperature, compared with the sign (1 level) at the same steps."""
    threat, steps = bench.threat(network), min(20, bench.scale.steps)
    objectives: Mapping[str, tuple[Loss, Temperature]] = {
        "cross entropy": (cross_entropy, unit),
        "log-odds": (log_odds, unit),
        "njs": (cross_entropy, bench.njs(network)),
        "hns": (cross_entropy, Hns()),
        "gap": (log_odds, Gap()),
    }
    walks: dict[str, Attack] = {}
    for name, (loss, temperature) in objectives.items():
        for levels in (1, 10, 100):
            # with 100 levels the largest gradient would cross the whole ball in one of the sign's steps
            size = usual_step(threat, steps) / (1 if levels == 1 else 4)
            walk = Ascent(
                threat=threat,
                step_size=size,
                steps=steps,
                loss=loss,
                temperature=temperature,
                direction=Quantized(levels),
            )
            walks[f"{name} b={levels}"] = walk
    return [(threat, walks)]


def scales(bench: Bench, network: Network) -> Attacks:
    """PGD on the logits as they are, and on those that the network's training scaled for its loss."""
    threat, steps = bench.threat(network), min(20, bench.scale.steps)
    trained = Fixed(network.card_facts.get("logit_scale", 1.0))
    walks: dict[str, Attack] = {
        "as attacked": pgd(threat, steps=steps),
        "as trained": pgd_plus(threat, trained, steps=steps),
        "gap": pgd_plus(threat, Gap(), steps=steps),
    }
    return [(threat, walks)]
