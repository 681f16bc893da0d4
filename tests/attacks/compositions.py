"""Attacks of every kind by name, whose descriptions in records must never change."""

import re
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

import quantattack as qa
from contracts import ATTACKS as MEMBERS
from contracts import STEPS, THREATS
from networks import relu_network
from quantattack.attacks.recipes import LinearDecay
from quantattack.attacks.starts import anywhere
from quantattack.cli.attacks import ATTACKS, Context, attacks_named
from quantattack.record.description import describe, stable

SCALED = "pgd[steps=7,restarts=2],fgsm_plus_hns[paper=true,points=9],pgd_plus_fixed[beta=0.5],pgd_plus_mifpe[t=2]"
ODD = "pqgd[rounding=stochastic],blob_qg[normalized=true,broken=freeze],apgd_targeted[start=blocks],square[queries=9]"


def of_the_contracts(network: nn.Module, probe: Tensor) -> Iterator[tuple[str, object]]:
    """Every member of the contract list under every norm."""
    for member in MEMBERS:
        for threat in THREATS:
            if type(threat.norm) in member.norms:
                yield f"contract {member.name} {type(threat.norm).__name__}", member.make(threat, network, probe, STEPS)


def earlier(threat: qa.Threat) -> qa.Ensemble:
    """The suite of version 0.1.0: today's is another, and its parts are described as they were."""
    walk, falling = qa.Apgd(threat=threat, steps=75, loss=qa.log_odds), LinearDecay(2 * threat.radius, 50)
    gap = replace(walk, steps=50, step_size=falling, start=anywhere, temperature=qa.Gap(), progress=qa.log_odds)
    rivals = qa.apgd_targeted(threat, rivals=9, steps=22, start="blocks")
    members = {"pgd": qa.pgd(threat), "gap": gap, "log_odds": qa.Restarts(walk, 2), "rivals": rivals}
    return qa.Ensemble(members | {"square": qa.square(threat, 2000, 500)}, ("square",))


def of_the_earlier_suite() -> Iterator[tuple[str, object]]:
    """The suite of version 0.1.0, and its members."""
    for threat in (qa.Threat(qa.Linf(), 8 / 255), qa.Threat(qa.L2(), 0.5)):
        suite, norm = earlier(threat), type(threat.norm).__name__
        yield from ((f"suite suite {norm}", suite), (f"square square {norm}", suite.attacks["square"]))
        yield from ((f"standard {name} {norm}", attack) for name, attack in suite.attacks.items())


def of_the_command_line(network: nn.Module, probe: Tensor) -> Iterator[tuple[str, object]]:
    """Every attack that the command line names, with its own settings and with others, and the papers' ones."""
    for threat in (qa.Threat(qa.Linf(), 8 / 255), qa.Threat(qa.L2(), 0.5)):
        for text in (*ATTACKS, SCALED, ODD):
            if text in ("suite", "square") or (isinstance(threat.norm, qa.L2) and ("qgd" in text or "_qg" in text)):
                continue
            for name, attack in attacks_named(text, Context(network, threat, probe, "digits")).items():
                yield f"{text.partition('[')[0]} {name} {type(threat.norm).__name__}", attack
    threat = qa.Threat(qa.Linf(), 0.3)
    for data in ("mnist", "fashion-mnist", "cifar10"):
        for name, attack in attacks_named("liu2020[restarts=50]", Context(network, threat, probe, data)).items():
            yield f"liu2020 {data} {name}", attack


def descriptions() -> dict[str, object]:
    """Return the description of each attack by name; what a processor's rounding may change is left out."""
    network, probe = relu_network(0, (1, 4, 4)), torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    pairs = [*of_the_contracts(network, probe), *of_the_command_line(network, probe), *of_the_earlier_suite()]
    assert len(dict(pairs)) == len(pairs)
    return {name: _portable(stable(describe(attack))) for name, attack in pairs}


def _portable(text: str) -> str:
    text = re.sub(r'"beta1":[0-9.e-]+', '"beta1":"fitted"', text)
    return re.sub(r"Sequential:[0-9a-f]{16}", "Sequential:digest", text)
