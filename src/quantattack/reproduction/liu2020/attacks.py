"""The attacks and signals of each table and figure of Liu et al., 2020, https://arxiv.org/abs/2002.02372.

`paper.yaml` names the functions. Each takes a bench and a network, and returns the attacks by name for each threat, or
the measured signals. "Levels" is the paper's b, the number of levels that PQGD and BLOB_QG quantize the gradient to.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from quantattack.attacks.base import Attack
from quantattack.attacks.directions import Direction, Quantized, raw, steepest
from quantattack.attacks.losses import cross_entropy
from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import blob_qg, daa_blob, multi_targeted, pgd, pqgd
from quantattack.attacks.threat import Threat
from quantattack.data.sets import SETS
from quantattack.errors import InputError
from quantattack.gradients import gradient, placement
from quantattack.record.signals import Signal
from quantattack.reproduction.bench import Bench, Network, runs
from quantattack.reproduction.liu2020.histograms import kept
from quantattack.rng import Rng
from quantattack.types import Images

Attacks = list[tuple[Threat, dict[str, Attack]]]
LEVELS = (100, 200, 500, 1000)
SWEEP = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
DIRECTIONS: Mapping[str, Direction] = {
    "sign": steepest,
    "quantized": Quantized(100),
    **{f"quantized {b}": Quantized(b) for b in LEVELS[1:]},
    "raw": raw,
}
_GRAY_LEVEL_TOLERANCE = 1e-9
TABLE5_STEPS = 200  # tables 4 and 6 have 100
FIGURE3_STEPS = 100
QUARTER_STEPS = 100  # the most that figure 4 shows


@dataclass(frozen=True)
class Setting:
    """The paper's settings for a data set.

    Arguments:
        step_size: Step size, by which one level of a quantized gradient moves a pixel, in pixels of [0, 1].
        steps: Number of steps.
        radii: Radii of figure 3, in pixels of [0, 1].
    """

    step_size: float
    steps: int
    radii: tuple[float, ...] = ()


SETTINGS: Mapping[str, Setting] = {
    "mnist": Setting(0.01, 200, (0.1, 0.15, 0.2, 0.25, 0.3)),
    "fashion-mnist": Setting(0.01, 100, (0.1, 0.12, 0.14, 0.16, 0.18, 0.2)),
    "cifar10": Setting(2 / 255, 100),
    "digits": Setting(0.01, 100, (0.1, 0.2)),
}
# numbers of levels in tables 2, 4 and 6, by data set
ATTACKED: Mapping[str, tuple[int, ...]] = {"mnist": (100, 200), "fashion-mnist": (100, 200), "cifar10": LEVELS}


def setting(bench: Bench, network: Network) -> Setting:
    """Return the settings of a network's data set, with the steps limited by the scale."""
    defaults = SETTINGS.get(network.data, Setting(SETS[network.data].linf / 4, 100))
    return Setting(defaults.step_size, min(defaults.steps, bench.scale.steps), defaults.radii)


def published(data: str, restarts: int = 1) -> list[str]:
    """Return the command-line specifications of the attacks of tables 2, 4 and 6 on a data set.

    Arguments:
        data: Name of a data set that the paper attacks.
        restarts: Number of restarts of each attack; 50 in table 3.

    Raises:
        InputError: If the paper does not attack the data set.
    """
    if data not in ATTACKED:
        raise InputError(f"liu2020 has settings for {', '.join(ATTACKED)}, not for {data}")
    paper = SETTINGS[data]
    options = f"steps={paper.steps},step_size={_size_text(paper.step_size)}"
    options += f",restarts={restarts}" if restarts > 1 else ""
    specifications = [f"pgd[{options}]", *(f"pqgd[levels={b},{options}]" for b in ATTACKED[data])]
    if data == "cifar10":
        return specifications
    return [*specifications, f"daa_blob[{options}]", *(f"blob_qg[levels={b},{options}]" for b in ATTACKED[data])]


def _size_text(size: float) -> str:
    gray = size * 255
    return f"{gray:.0f}/255" if abs(gray - round(gray)) < _GRAY_LEVEL_TOLERANCE else f"{size:g}"


def walks(bench: Bench, network: Network, threat: Threat, *levels: int, steps: int | None = None) -> dict[str, Attack]:
    """Return PGD, and PQGD for each number of levels; `steps` defaults to the data set's."""
    at = setting(bench, network)
    count, size = steps or at.steps, at.step_size
    attacks: dict[str, Attack] = {"pgd": pgd(threat, steps=count, step_size=size)}
    return attacks | {f"pqgd {b}": pqgd(threat, b, steps=count, step_size=size) for b in levels}


def sets(
    bench: Bench, network: Network, *levels: int, restarts: int = 1, steps: int | None = None
) -> dict[str, Attack]:
    """Return DAA-BLOB, and BLOB_QG for each number of levels; `steps` defaults to the data set's."""
    threat, at = bench.threat(network), setting(bench, network)
    count, size = steps or at.steps, at.step_size
    attacks: dict[str, Attack] = {"daa_blob": daa_blob(threat, steps=count, step_size=size, restarts=restarts)}
    return attacks | {
        f"blob_qg {b}": blob_qg(threat, b, steps=count, step_size=size, restarts=restarts) for b in levels
    }


def several(bench: Bench, attacks: Mapping[str, Attack]) -> dict[str, Attack]:
    """Return `scale.runs` independent runs of each attack."""
    return {key: run for name, attack in attacks.items() for key, run in runs(name, attack, bench.scale.runs).items()}


def independent(bench: Bench, network: Network) -> Attacks:
    """Tables 2 and 4: independent runs of PGD, PQGD, BLOB and BLOB_QG, for their worst and mean."""
    threat = bench.threat(network)
    attacks = {**walks(bench, network, threat, 100, 200), **sets(bench, network, 100, 200)}
    return [(threat, several(bench, attacks))]


def merged(bench: Bench, network: Network) -> Attacks:
    """Table 3: the attacks with restarts; an image is broken if any restart breaks it."""
    threat, at, count = bench.threat(network), setting(bench, network), bench.scale.restarts
    settings = {"steps": at.steps, "step_size": at.step_size, "restarts": count}
    attacks: dict[str, Attack] = {
        "pgd merged": pgd(threat, steps=at.steps, step_size=at.step_size, restarts=count),
        **{f"{name} merged": attack for name, attack in sets(bench, network, 100, 200, restarts=count).items()},
        "blob_qg 200 merged twice": blob_qg(threat, 200, **{**settings, "restarts": 2 * count}),  # type: ignore[arg-type]
        # about as many walks as PGD has restarts: `count // 9` for each of up to 9 nearest rival classes
        "multi_targeted merged": multi_targeted(
            threat, rivals=min(9, count), steps=at.steps, step_size=at.step_size, restarts=max(1, count // 9)
        ),
    }
    return [(threat, attacks)]


def merged_levels(bench: Bench, network: Network) -> Attacks:
    """Table 5: BLOB, and BLOB_QG with each number of levels, with restarts."""
    count, steps = min(10, bench.scale.restarts), min(TABLE5_STEPS, bench.scale.steps)
    attacks = sets(bench, network, *LEVELS, restarts=count, steps=steps)
    return [(bench.threat(network), {f"{name} merged": attack for name, attack in attacks.items()})]


def two_radii(bench: Bench, network: Network) -> Attacks:
    """Table 6 and figure 5: PGD and PQGD at the standard radius and at twice that, at most 1."""
    standard = bench.threat(network)
    doubled = Threat(Linf(), min(1.0, 2 * standard.radius))
    return [(threat, several(bench, walks(bench, network, threat, *LEVELS))) for threat in (standard, doubled)]


def over_radii(bench: Bench, network: Network) -> Attacks:
    """Figure 3: PGD and PQGD for 100 steps at several radii; the longer walks of table 2 at the standard radius."""
    standard, at = bench.threat(network), setting(bench, network)
    fewer = min(FIGURE3_STEPS, at.steps)
    threats = [Threat(Linf(), radius) for radius in at.radii]
    lengths = [at.steps if threat == standard else fewer for threat in threats]
    return [
        (threat, several(bench, walks(bench, network, threat, *LEVELS, steps=steps)))
        for threat, steps in zip(threats, lengths, strict=True)
    ]


def over_steps(bench: Bench, network: Network) -> Attacks:
    """Figure 4: PGD and PQGD; the curves use the first step at which each image is misclassified.

    Not in the paper: PGD in steps of a quarter of the radius.  In the paper's, 20 steps cross no more than two thirds
    of MNIST's ball and all of Fashion-MNIST's once, where those of 1000 levels may cross it in one.
    """
    threat = bench.threat(network)
    steps = min(QUARTER_STEPS, setting(bench, network).steps)
    larger: dict[str, Attack] = {"pgd quarter": pgd(threat, steps=steps, step_size=threat.radius / 4)}
    return [(threat, several(bench, walks(bench, network, threat, *LEVELS) | larger))]


def sweep(bench: Bench, network: Network) -> Attacks:
    """Section 4.5: PGD, and PQGD with 1 to 5000 levels."""
    threat = bench.threat(network)
    return [(threat, first(walks(bench, network, threat, *SWEEP)))]


def digits(bench: Bench, network: Network) -> Attacks:
    """Figure 1: the attacks whose adversarial digits the figure shows."""
    threat = bench.threat(network)
    return [(threat, first({**walks(bench, network, threat, 100), **sets(bench, network, 100)}))]


def perturbed(bench: Bench, network: Network) -> list[Signal]:
    """Figure 1: the first test image of each class, clean and as each attack of `digits` changes it, and its class.

    The attacks run on all images of the table's cells, as particle sets are made of them.
    """
    images, labels = bench.data(network.data)
    device, dtype = placement(network.model)
    x, y = images[: bench.images].to(device, dtype), labels[: bench.images].to(device)
    shown = [int((y == label).nonzero()[0, 0]) for label in sorted(set(y.tolist()))]
    ((_, attacks),) = digits(bench, network)
    changed = {
        "clean": x,
        **{name: attack(network.model, x, y, rng=_first(bench, x)) for name, attack in attacks.items()},
    }
    return [
        Signal(network.name, network.data, "perturbed", name, "pixel", _pictures(network.model, found, shown))
        for name, found in changed.items()
    ]


def _pictures(model: nn.Module, images: Images, shown: list[int]) -> dict[str, object]:
    """Return some images in gray levels, as the hexadecimal digits of their bytes, and the classes that they get."""
    few = images[shown]
    with torch.no_grad():
        predicted = model(few).argmax(1)
    levels = (255 * few).round().to(torch.uint8).cpu()
    return {
        "image": shown,
        "predicted": predicted.tolist(),
        "shape": list(few.shape[1:]),
        "pixels": [bytes(picture.flatten().tolist()).hex() for picture in levels],
    }


def first(attacks: Mapping[str, Attack]) -> dict[str, Attack]:
    """Return only the first run of each attack, named as in `several`, so that the tables share the cell."""
    return {key: run for name, attack in attacks.items() for key, run in runs(name, attack, 1).items()}


def directions(bench: Bench, network: Network) -> list[Signal]:
    """Table 1 and figure 2: how well sign, quantized and raw steps preserve the gradient, and their histograms."""
    images, labels = bench.data(network.data)
    device, dtype = placement(network.model)
    x, y = images[: bench.images].to(device, dtype), labels[: bench.images].to(device)
    start = bench.threat(network).sample(x, _first(bench, x))
    _, grad = gradient(network.model, start, lambda logits: cross_entropy(logits, y))
    size, indices = setting(bench, network).step_size, {"image": list(range(len(x)))}
    return [
        Signal(
            network.name,
            network.data,
            "directions",
            name,
            "pixel",
            indices | kept(grad, kind(grad, Linf(), None), size),
        )
        for name, kind in DIRECTIONS.items()
    ]


def _first(bench: Bench, x: Images) -> Rng:
    return Rng(bench.seed, torch.arange(len(x), device=x.device))


def trained(bench: Bench, network: Network) -> Attacks:
    """Adversarial training with several inner attacks: the attacks that the trained networks are evaluated with."""
    threat = bench.threat(network)
    return [(threat, first({**walks(bench, network, threat, 1000), **sets(bench, network)}))]
