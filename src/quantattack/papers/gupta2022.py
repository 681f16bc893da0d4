"""Tables 10 to 13 and figures 1 to 5 of Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511, on any networks.

Each item is a run with a record of its own; the published numbers are noted in it, so that a report shows both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from quantattack.attacks.ascent import Attack
from quantattack.attacks.compose import Transfer
from quantattack.attacks.confidence import MaxConfidence
from quantattack.attacks.recipes import pgd, pgd_plus
from quantattack.attacks.temperature import Njs
from quantattack.attacks.threat import Threat
from quantattack.data.sets import SETS, load_data
from quantattack.diagnostics.signals import case_of, clever_signals, drawn, propagation_signals
from quantattack.errors import InputError, unknown
from quantattack.evaluate import run
from quantattack.hosting import Hosted, placement
from quantattack.inputs import model_checksum
from quantattack.jobs import Job, prepare
from quantattack.norms import Linf
from quantattack.papers.published import NETWORKS, PUBLISHED, TABLE11, TABLE13
from quantattack.progress import Advance
from quantattack.records import Store
from quantattack.shapes import Images, Labels, Logits
from quantattack.signal_records import Signal, read_signals, write_signals

PAPER = "gupta2022"
SOURCE = "Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511"


@dataclass(frozen=True, eq=False)
class Network:
    """A network to take the place of one of the paper's.

    Arguments:
        name: Its name.
        model: Maps images in [0, 1] to logits.
        data: Name of its data set.
        kind: Which of the paper's it stands for: REF, BNN-WQ, BNN-WAQ, with a star where trained adversarially.
    """

    name: str
    model: nn.Module
    data: str
    kind: str


def kind_of(weights: bool, activations: bool, adversarial: bool) -> str:
    """Return which of the paper's networks stands beside one with these parts quantized."""
    return ("REF" if not weights else "BNN-WAQ" if activations else "BNN-WQ") + "*" * adversarial


@dataclass(frozen=True, eq=False)
class Bench:
    """What an item is run on.

    Arguments:
        networks: The networks.
        images: How many test images are attacked, or correctly classified ones measured.
        radius: Radius under Linf in pixels of [0, 1]; each data set's own where None.
        root: Folder of the data sets.
        seed: Seed of every random number.
    """

    networks: tuple[Network, ...]
    images: int = 200
    radius: float | None = None
    root: str | None = None
    seed: int = 0
    loaded: dict[str, tuple[Images, Labels]] = field(default_factory=dict)

    def data(self, name: str) -> tuple[Images, Labels]:
        if name not in self.loaded:
            self.loaded[name] = load_data(name, self.root)
        return self.loaded[name]

    def threat(self, network: Network) -> Threat:
        return Threat(Linf(), SETS[network.data].linf if self.radius is None else self.radius)


class Source:
    """A network that images are searched on for another; its name is all that the record keeps of it."""

    def __init__(self, network: Network) -> None:
        self.network, self.model = network, Hosted(network.model)

    def __call__(self, images: Images) -> Logits:
        logits: Logits = self.model(images)
        return logits

    def __repr__(self) -> str:
        return f"{self.network.name} {model_checksum(self.network.model)}"


Attacked = Callable[[Bench, Network], Sequence[tuple[Threat, Mapping[str, Attack]]]]
Measured = Callable[[Bench, Network], Sequence[Signal]]


def iterations(bench: Bench, network: Network) -> list[tuple[Threat, dict[str, Attack]]]:
    """Figure 1a: PGD for 50 iterations; its curve counts from the first iterate that fooled."""
    threat = bench.threat(network)
    return [(threat, {"pgd": pgd(threat, steps=50)})]


def radii(bench: Bench, network: Network) -> list[tuple[Threat, dict[str, Attack]]]:
    """Figure 1b: PGD at radii up to ten times the usual one, as far as the pixel range goes."""
    usual = bench.threat(network).radius
    sizes = sorted({min(1.0, usual * part) for part in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 10)})
    return [(Threat(Linf(), size), {"pgd": pgd(Threat(Linf(), size))}) for size in sizes]


def transfer(bench: Bench, network: Network) -> list[tuple[Threat, dict[str, Attack]]]:
    """Figure 1c: PGD on the network itself, and on its float twin."""
    threat = bench.threat(network)
    twins = [other for other in bench.networks if other.kind == "REF" and other.data == network.data]
    if not twins:
        raise InputError(f"figure1c needs a float network on {network.data} beside {network.name}; name one more")
    return [(threat, {"pgd": pgd(threat), "transfer": Transfer(pgd(threat), Source(twins[0]))})]


def step_sizes(bench: Bench, network: Network) -> list[tuple[Threat, dict[str, Attack]]]:
    """Figure 4: PGD with steps from a sixteenth of the radius to five times the radius."""
    threat = bench.threat(network)
    sizes = [threat.radius * part for part in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 3.5, 5)]
    return [(threat, {f"pgd[step_size={size:.4g}]": pgd(threat, step_size=size) for size in sizes})]


def njs_rhos(bench: Bench, network: Network) -> list[tuple[Threat, dict[str, Attack]]]:
    """Table 11: PGD++ with NJS at several rho, its Jacobian in normalized pixels."""
    device, dtype = placement(network.model)
    probe, threat = drawn(bench.data(network.data)[0].to(device, dtype)), bench.threat(network)
    fitted = Njs.fit(network.model, probe, SETS[network.data].std)
    chosen = {rho: Njs(fitted.beta1, rho, fitted.unit) for rho in TABLE11["columns"]}
    return [(threat, {f"pgd_plus_njs[rho={rho:g}]": pgd_plus(threat, part) for rho, part in chosen.items()})]


def confidence_rhos(bench: Bench, network: Network) -> list[tuple[Threat, dict[str, Attack]]]:
    """Table 13: PGD at the temperature of Proposition 1 alone, at several rho."""
    threat, rhos = bench.threat(network), TABLE13["columns"]
    return [(threat, {f"pgd_plus_confidence[rho={rho:g}]": pgd_plus(threat, MaxConfidence(rho)) for rho in rhos})]


def propagated(bench: Bench, network: Network) -> list[Signal]:
    """Table 12: what is left of a signal on its way, in normalized pixels."""
    case = case_of(network.model, *bench.data(network.data), bench.images, SETS[network.data].std)
    return propagation_signals(network.name, network.data, case)


def against_beta(bench: Bench, network: Network) -> list[Signal]:
    """Figures 2, 3 and 5: the same quantities of one image against beta."""
    return [signal for signal in propagated(bench, network) if signal.quantity == "curves"]


def clever(bench: Bench, network: Network) -> list[Signal]:
    """Table 10: CLEVER under L1 on probabilities, in normalized pixels."""
    case = case_of(network.model, *bench.data(network.data), bench.images, SETS[network.data].std)
    return clever_signals(network.name, network.data, case, bench.images)


ATTACKED: Mapping[str, Attacked] = {
    "table11": njs_rhos,
    "table13": confidence_rhos,
    "figure1a": iterations,
    "figure1b": radii,
    "figure1c": transfer,
    "figure4": step_sizes,
}
MEASURED: Mapping[str, Measured] = {
    "table10": clever,
    "table12": propagated,
    "figure2": against_beta,
    "figure3": against_beta,
    "figure5": against_beta,
}
ITEMS = sorted([*ATTACKED, *MEASURED])


def reproduce(item: str, bench: Bench, out: Path | str | None, advance: Advance) -> Store:
    """Run one table or figure and return its record, finished.

    Arguments:
        item: A member of `ITEMS`, such as ``table12``.
        bench: What it is run on.
        out: Folder of the record; None keeps it in memory.
        advance: Told of each attack or network how many images of how many are done.

    Raises:
        InputError: If the item is unknown, there is no network, or one of them cannot be used.
    """
    if item not in ITEMS:
        raise unknown("table or figure", item, ITEMS)
    if not bench.networks:
        raise InputError(f"no network to run {item} on; name at least one")
    work = _attack if item in ATTACKED else _measure
    return work(item, bench, out, advance)


def _attack(item: str, bench: Bench, out: Path | str | None, advance: Advance) -> Store:
    jobs = [
        job
        for network in bench.networks
        for threat, attacks in ATTACKED[item](bench, network)
        for job in [_job(bench, network, threat, attacks)]
    ]
    store = _open(item, bench, out, {"subjects": [job.identity for job in jobs], "seed": bench.seed})
    with store.writing():
        for job in jobs:
            run(job, store, partial(_named, advance, job))
    return store


def _job(bench: Bench, network: Network, threat: Threat, attacks: Mapping[str, Attack]) -> Job:
    images, labels = (part[: bench.images] for part in bench.data(network.data))
    return prepare(network.model, images, labels, attacks, threat, seed=bench.seed, names=(network.name, network.data))


def _named(advance: Advance, job: Job, name: str, done: int, total: int) -> None:
    advance(f"{job.subject.model} {job.threat.radius:.3g} {name}", done, total)


def _measure(item: str, bench: Bench, out: Path | str | None, advance: Advance) -> Store:
    measured = [[part.name, part.data, model_checksum(part.model)] for part in bench.networks]
    store = _open(item, bench, out, {"measured": measured, "images": bench.images})
    with store.writing():
        done = {signal.model for signal in read_signals(store.connection)}
        for network in bench.networks:
            if network.name not in done:
                write_signals(store.connection, MEASURED[item](bench, network))
            advance(network.name, bench.images, bench.images)
    return store


def _open(item: str, bench: Bench, out: Path | str | None, identity: dict[str, Any]) -> Store:
    store = Store.open(out, {"paper": PAPER, "item": item, **identity})
    store.note(
        reproduces={
            "paper": PAPER,
            "source": SOURCE,
            "item": item,
            "kinds": {network.name: network.kind for network in bench.networks},
            "networks": NETWORKS,
            "published": dict(PUBLISHED.get(item, {})),
        }
    )
    return store
