"""The attacks and signals of each table and figure of Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511.

`paper.yaml` names the functions. Each takes a bench and a network, and returns the attacks by name for each threat, or
the measured signals.
"""

from collections.abc import Sequence
from dataclasses import replace

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack
from quantattack.attacks.losses import dlr
from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import apgd, fgsm, fgsm_plus, pgd, pgd_plus, square, usual_step
from quantattack.attacks.scaling.base import Temperature, unit
from quantattack.attacks.scaling.confidence import MaxConfidence
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Transfer
from quantattack.data.sets import SETS
from quantattack.diagnostics.signals.clever import Clever
from quantattack.diagnostics.signals.measure import case_of, clever_signals, propagation_signals
from quantattack.errors import InputError
from quantattack.record.signals import Signal
from quantattack.reproduction.bench import Bench, Network, Source
from quantattack.reproduction.gupta2022.foolbox import nearest
from quantattack.reproduction.gupta2022.released import ReleasedL2, float32_normalized, released_threat

Attacks = list[tuple[Threat, dict[str, Attack]]]
CIFAR100_CLASSES = 100


def steps(bench: Bench, network: Network) -> int:
    """Return the number of steps of table 6, 20 or on CIFAR-100 10, limited by the scale."""
    return min(10 if SETS[network.data].classes == CIFAR100_CLASSES else 20, bench.scale.steps)


def temperatures(bench: Bench, network: Network) -> dict[str, Temperature]:
    """Return NJS and HNS as published, by the suffix that an attack with them has in its name."""
    return {"plus_njs": bench.njs(network), "plus_hns": Hns.paper()}


def one_step(bench: Bench, network: Network) -> dict[str, Attack]:
    """Return FGSM, and FGSM++ with NJS and HNS."""
    threat = bench.threat(network)
    plus = {
        f"fgsm_{name}": fgsm_plus(threat, temperature) for name, temperature in temperatures(bench, network).items()
    }
    return {"fgsm": fgsm(threat), **plus}


def many_steps(bench: Bench, network: Network) -> dict[str, Attack]:
    """Return PGD, and PGD++ with NJS and HNS."""
    threat, count = bench.threat(network), steps(bench, network)
    chosen = temperatures(bench, network).items()
    plus = {f"pgd_{name}": pgd_plus(threat, temperature, steps=count) for name, temperature in chosen}
    return {"pgd": pgd(threat, steps=count), **plus}


def in_l2(bench: Bench, network: Network) -> Attacks:
    """Return PGD and PGD++ under L2, each exact and as released, and PGD with the gradient's norm in float32.

    The released attack has an L2 ball for each channel; its threat is the smallest L2 ball that contains their product.
    """
    threat, count = bench.threat_l2(network), steps(bench, network)
    step_size, std = usual_step(threat, count), SETS[network.data].std
    plain: dict[str, Attack] = {
        "pgd_l2": pgd(threat, steps=count),
        "pgd_l2_float32": Ascent(threat=threat, step_size=step_size, steps=count, direction=float32_normalized),
    }
    released: dict[str, Attack] = {}
    for name, temperature in {"": unit, **temperatures(bench, network)}.items():
        suffix = name.removeprefix("plus")
        released[f"pgd_l2_released{suffix}"] = ReleasedL2(
            radius=threat.radius, step_size=step_size, steps=count, std=std, temperature=temperature
        )
        if name:
            plain[f"pgd_l2_{name}"] = pgd_plus(threat, temperature, steps=count)
    return [(threat, plain), (released_threat(threat.radius, len(std)), released)]


def table1(bench: Bench, network: Network) -> Attacks:
    """Table 1: PGD with one start and with restarts."""
    threat, count = bench.threat(network), steps(bench, network)
    restarted = pgd(threat, steps=count, restarts=min(20, bench.scale.restarts))
    return [(threat, {"pgd": pgd(threat, steps=count), "pgd_restarts": restarted})]


def table2(bench: Bench, network: Network) -> Attacks:
    """Tables 2, 3 and 8: FGSM, PGD and PGD under L2, each plain, with NJS and with HNS; in addition PGD++ with Gap."""
    threat, count = bench.threat(network), steps(bench, network)
    gap = {"pgd_plus_gap": pgd_plus(threat, Gap(), steps=count)}
    return [(threat, {**one_step(bench, network), **many_steps(bench, network), **gap}), *in_l2(bench, network)]


def table4(bench: Bench, network: Network) -> Attacks:
    """Table 4 (adversarially trained): FGSM and PGD, plain, with NJS, HNS or a beta of 0.1; minimum-norm attacks."""
    threat, fixed = bench.threat(network), Fixed(0.1)
    fixed_beta: dict[str, Attack] = {
        "fgsm_plus_fixed": fgsm_plus(threat, fixed),
        "pgd_plus_fixed": pgd_plus(threat, fixed, steps=steps(bench, network)),
    }
    minimum_norm = nearest(threat, bench.scale.boundary)
    return [(threat, {**one_step(bench, network), **many_steps(bench, network), **fixed_beta, **minimum_norm})]


def table5(bench: Bench, network: Network) -> Attacks:
    """Table 5: the attacks with the DLR loss, compared with NJS and HNS."""
    threat = bench.threat(network)
    with_dlr: dict[str, Attack] = {
        "fgsm_dlr": fgsm(threat, loss=dlr),
        "pgd_dlr": pgd(threat, steps=steps(bench, network), loss=dlr),
    }
    return [(threat, {**one_step(bench, network), **many_steps(bench, network), **with_dlr})]


def table7(bench: Bench, network: Network) -> Attacks:
    """Table 7: APGD on the DLR loss and Square, compared with NJS and HNS."""
    threat = bench.threat(network)
    others: dict[str, Attack] = {
        "apgd_dlr": apgd(threat, steps=min(100, bench.scale.steps), loss=dlr),
        "square": square(threat, bench.scale.queries),
    }
    return [(threat, {**many_steps(bench, network), **others})]


def table9(bench: Bench, network: Network) -> Attacks:
    """Table 9: DeepFool and the Brendel-Bethge attack, compared with PGD, NJS and HNS."""
    threat = bench.threat(network)
    return [(threat, {**many_steps(bench, network), **nearest(threat, bench.scale.boundary)})]


def unmasked(bench: Bench, network: Network) -> Attacks:
    """PGD, NJS, HNS and Gap, for the networks of the paper's text whose first and last layers are float."""
    threat, count = bench.threat(network), steps(bench, network)
    return [(threat, {**many_steps(bench, network), "pgd_plus_gap": pgd_plus(threat, Gap(), steps=count)})]


def trained(bench: Bench, network: Network) -> Attacks:
    """Adversarial training with another inner attack: the attacks that the trained networks are evaluated with."""
    ((threat, attacks),) = unmasked(bench, network)
    return [(threat, {"fgsm": fgsm(threat), **attacks})]


def iterations(bench: Bench, network: Network) -> Attacks:
    """Figure 1a: PGD for 50 iterations; the curve uses the first iteration at which each image is misclassified."""
    threat = bench.threat(network)
    return [(threat, {"pgd_50": pgd(threat, steps=min(50, bench.scale.steps))})]


RADII = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 10)  # multiples of the standard radius


def radii(bench: Bench, network: Network) -> Attacks:
    """Figure 1b: PGD at radii up to ten times the standard one, and at most 1, the pixels' range."""
    standard, count = bench.threat(network).radius, steps(bench, network)
    in_range = sorted({min(1.0, standard * factor) for factor in RADII})
    return [(Threat(Linf(), radius), {"pgd": pgd(Threat(Linf(), radius), steps=count)}) for radius in in_range]


def transfer(bench: Bench, network: Network) -> Attacks:
    """Figure 1c: PGD on the network itself, and transferred from a float network on the same data set."""
    threat, count = bench.threat(network), steps(bench, network)
    surrogates = [other for other in bench.networks if other.kind == "REF" and other.data == network.data]
    if not surrogates:
        raise InputError(f"figure1c needs a float network on {network.data} beside {network.name}; name one more")
    plain = pgd(threat, steps=count)
    return [(threat, {"pgd": plain, "transfer": Transfer(plain, Source(surrogates[0]))})]


def figure1(bench: Bench, network: Network) -> Attacks:
    """Figure 1: iterations, radii, and transfer if there is a float network to transfer from."""
    direct = [*iterations(bench, network), *radii(bench, network)]
    surrogates = [other for other in bench.networks if other.kind == "REF" and other.data == network.data]
    return [*direct, *transfer(bench, network)] if surrogates and network.kind != "REF" else direct


SIZES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 3.5, 5)  # multiples of the radius


def step_sizes(bench: Bench, network: Network) -> Attacks:
    """Figure 4: PGD with step sizes from 1/16 of the radius to five times the radius."""
    threat, count = bench.threat(network), steps(bench, network)
    return [
        (
            threat,
            {f"pgd step {size:g} radius": pgd(threat, steps=count, step_size=threat.radius * size) for size in SIZES},
        )
    ]


NJS_RHOS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 2e-1)
CONFIDENCE_RHOS = (1e-15, 1e-9, 1e-5, 1e-1, 2e-1, 5e-1)


def njs_rhos(bench: Bench, network: Network) -> Attacks:
    """Table 11: PGD++ with NJS at several rho, with the Jacobian in normalized pixels."""
    threat, count, fitted = bench.threat(network), steps(bench, network), bench.njs(network)
    chosen = {rho: Njs(fitted.beta1, rho, fitted.unit) for rho in NJS_RHOS}
    return [
        (
            threat,
            {f"pgd_plus_njs[rho={rho:g}]": pgd_plus(threat, njs, steps=count) for rho, njs in chosen.items()},
        )
    ]


def confidence_rhos(bench: Bench, network: Network) -> Attacks:
    """Table 13: PGD with only the temperature of Proposition 1, at several rho."""
    threat, count = bench.threat(network), steps(bench, network)
    return [
        (
            threat,
            {
                f"pgd_plus_confidence[rho={rho:g}]": pgd_plus(threat, MaxConfidence(rho), steps=count)
                for rho in CONFIDENCE_RHOS
            },
        )
    ]


def propagated(bench: Bench, network: Network) -> list[Signal]:
    """Table 12, figures 2, 3 and 5: singular values, error signal and input gradient, in normalized pixels."""
    case = case_of(network.model, *bench.data(network.data), bench.images, SETS[network.data].std)
    return propagation_signals(network.name, network.data, case)


def clever(bench: Bench, network: Network) -> Sequence[Signal]:
    """Table 10: CLEVER scores under L1, computed on probabilities, in normalized pixels."""
    case = case_of(network.model, *bench.data(network.data), bench.images, SETS[network.data].std)
    return clever_signals(network.name, network.data, case, bench.images)


WIDE = Clever(radius=50.0, pool=2, batch_size=5)
WIDE_TEMPERATURES = ("unit", "njs", "hns_paper")


def clever_wide(bench: Bench, network: Network) -> Sequence[Signal]:
    """Table 10 at ten times the radius, which caps fewer of the scores, with a tenth of the points."""
    case = case_of(network.model, *bench.data(network.data), bench.images, SETS[network.data].std)
    signals = clever_signals(network.name, network.data, case, bench.images, WIDE_TEMPERATURES, clever=WIDE)
    return [replace(signal, quantity="clever_wide") for signal in signals]
