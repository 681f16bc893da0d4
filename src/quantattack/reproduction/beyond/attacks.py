"""What the papers did not ask: which part of the gain is arithmetic and which is direction."""

from collections.abc import Mapping

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack
from quantattack.attacks.directions import Quantized
from quantattack.attacks.losses import Loss, cross_entropy, log_odds
from quantattack.attacks.recipes import pgd, pgd_plus, usual_step
from quantattack.attacks.scaling.base import Temperature, unit
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import InFloat64
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.gupta2022.catalog import CLEAN
from quantattack.reproduction.items import Column, Item, Paper, Row
from quantattack.reproduction.liu2020.attacks import several
from quantattack.reproduction.roles import role

Attacks = list[tuple[Threat, dict[str, Attack]]]
STEPS = (1, 5, 10, 20, 50)
RUNGS: Mapping[str, str] = {
    "cross entropy": "cross entropy",
    "float64": "cross entropy in float64",
    "log-odds": "log-odds",
    "njs": "NJS",
    "hns_paper": "HNS as published",
    "hns": "HNS refined",
    "gap": "Gap",
}


def ladder(bench: Bench, network: Network) -> Attacks:
    """The same walk on one rung after the other; a shorter walk is the first part of the longest."""
    threat, steps = bench.threat(network), min(50, bench.scale.steps)
    plain = pgd(threat, steps=steps)
    rungs: dict[str, Attack] = {
        "cross entropy": plain,
        "float64": InFloat64(plain),
        "log-odds": pgd(threat, steps=steps, loss=log_odds),
        "njs": pgd_plus(threat, bench.njs(network), steps=steps),
        "hns_paper": pgd_plus(threat, Hns.paper(), steps=steps),
        "hns": pgd_plus(threat, Hns(), steps=steps),
        "gap": pgd_plus(threat, Gap(), steps=steps),
    }
    return [(threat, several(bench, rungs))]


def quantized(bench: Bench, network: Network) -> Attacks:
    """Quantized gradients at temperatures; the sign beside them at the same steps."""
    threat, steps = bench.threat(network), min(20, bench.scale.steps)
    climbed: Mapping[str, tuple[Loss, Temperature]] = {
        "cross entropy": (cross_entropy, unit),
        "log-odds": (log_odds, unit),
        "njs": (cross_entropy, bench.njs(network)),
        "hns": (cross_entropy, Hns()),
        "gap": (log_odds, Gap()),
    }
    found: dict[str, Attack] = {}
    for name, (loss, temperature) in climbed.items():
        for levels in (1, 10, 100):
            # a smaller step than the sign's: of 100 levels the largest gradient crosses the ball at once
            size = usual_step(threat, steps) / (1 if levels == 1 else 4)
            walk = Ascent(
                threat=threat,
                step_size=size,
                steps=steps,
                loss=loss,
                temperature=temperature,
                direction=Quantized(levels),
            )
            found[f"{name} b={levels}"] = walk
    return [(threat, found)]


def _rungs() -> tuple[Column, ...]:
    return tuple(
        Column(f"{words}, {step} step{'s' * (step > 1)}", name, "mean", step=step)
        for name, words in RUNGS.items()
        for step in STEPS
    )


QUANTIZED = tuple(
    Column(f"{RUNGS[name]}, b = {levels}", f"{name} b={levels}")
    for name in ("cross entropy", "log-odds", "njs", "hns", "gap")
    for levels in (1, 10, 100)
)
BINARY = tuple(Row(role(kind, net)) for net in ("ResNet-18", "VGG-16") for kind in ("BNN-WQ", "BNN-WAQ"))
ITEMS: Mapping[str, Item] = {
    "ladder": Item(
        "From cross entropy to Gap: arithmetic or direction",
        (CLEAN, *_rungs()),
        BINARY,
        ladder,
        pairs=tuple(zip(list(RUNGS)[1:], list(RUNGS), strict=False)),
        note="Means over independent runs. The step from cross entropy to float64 and log-odds is arithmetic alone; "
        "from log-odds on it is direction.",
    ),
    "levels": Item(
        "Quantized gradients at temperatures",
        QUANTIZED,
        BINARY,
        quantized,
        pairs=(("gap b=10", "gap b=1"), ("gap b=100", "gap b=1"), ("gap b=100", "cross entropy b=100")),
        note="b = 1 is the sign with steps of a quarter of the radius; the others have steps of a sixteenth.",
    ),
}
BEYOND = Paper("beyond", "What the papers did not ask", "this package", ITEMS)
