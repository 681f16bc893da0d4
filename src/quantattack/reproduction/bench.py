"""What a paper's attacks are built for: a network, its data set and threat, and the size of the run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from quantattack.attacks.around import Around
from quantattack.attacks.base import (
    Attack,
    Batch,
    Trace,
    search,
)
from quantattack.attacks.norms import L2, Linf
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.threat import Threat
from quantattack.data.probe import draw_probe
from quantattack.data.sets import SETS, load_data
from quantattack.evaluation.models import CountedModel, model_checksum
from quantattack.gradients import placement
from quantattack.record.description import tagged
from quantattack.reproduction.scales import QUICK, Scale
from quantattack.types import Images, Labels, Logits, Model


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded network that stands in for one of the paper's.

    Arguments:
        name: Its name.
        model: Maps images in [0, 1] to logits.
        data: Name of its data set.
        kind: Kind of the paper's network: REF, BNN-WQ, BNN-WAQ, with a trailing star if trained adversarially.
        card_facts: Clean accuracy, epochs and quantizer from its checkpoint's card; copied into the record.
    """

    name: str
    model: nn.Module
    data: str
    kind: str
    card_facts: Mapping[str, Any] = field(default_factory=dict)


def kind_of(weights: bool, activations: bool, adversarial: bool) -> str:
    """Return the paper's kind of a network from whether its weights and activations are quantized."""
    return ("REF" if not weights else "BNN-WAQ" if activations else "BNN-WQ") + "*" * adversarial


@dataclass(frozen=True, eq=False)
class Bench:
    """The context that an item's attacks and signals are built in.

    Arguments:
        networks: The network under attack, and those that images may be transferred from.
        images: Number of images that signals are measured on.
        radius: Linf radius in pixels of [0, 1]; None for each data set's standard radius.
        root: Folder of the data sets.
        seed: Seed of every random number.
        scale: Restarts, runs and steps.
        loaded: Cache of the data sets, by name.
        fitted: Cache of the fitted NJS temperatures, by the network's name.
    """

    networks: tuple[Network, ...]
    images: int = QUICK.images
    radius: float | None = None
    root: str | None = None
    seed: int = 0
    scale: Scale = QUICK
    loaded: dict[str, tuple[Images, Labels]] = field(default_factory=dict)
    fitted: dict[str, Njs] = field(default_factory=dict)

    def data(self, name: str) -> tuple[Images, Labels]:
        if name not in self.loaded:
            self.loaded[name] = load_data(name, self.root)
        return self.loaded[name]

    def threat(self, network: Network) -> Threat:
        return Threat(Linf(), SETS[network.data].linf if self.radius is None else self.radius)

    def threat_l2(self, network: Network) -> Threat:
        return Threat(L2(), SETS[network.data].l2)

    def njs(self, network: Network) -> Njs:
        """Return NJS fitted on 100 test images, with the Jacobian in normalized pixels as in the paper."""
        if network.name not in self.fitted:
            device, dtype = placement(network.model)
            probe = draw_probe(self.data(network.data)[0].to(device, dtype))
            self.fitted[network.name] = Njs.fit(network.model, probe, SETS[network.data].std)
        return self.fitted[network.name]


class Source:
    """The surrogate model of a transfer attack; its `repr`, name and checksum, is what the record stores."""

    def __init__(self, network: Network) -> None:
        self.network, self.model = network, CountedModel(network.model)

    def __call__(self, images: Images) -> Logits:
        logits: Logits = self.model(images)
        return logits

    def __repr__(self) -> str:
        return f"{self.network.name} {model_checksum(self.network.model)}"


@tagged("Run")
@dataclass(frozen=True)
class Run(Around):
    """One of several independent runs of an attack, which differ only in their random numbers.

    Arguments:
        attack: The attack.
        number: Index of the run from 0; run r draws the random numbers of the r-th restart of `Restarts`.
    """

    number: int

    def trace(self, model: Model, batch: Batch) -> Trace:
        return search(self.attack, model, replace(batch, rng=batch.rng.restarted(self.number)))


_RUN = " run "


def runs(name: str, attack: Attack, count: int) -> dict[str, Attack]:
    """Return `count` independent runs of an attack, named ``pgd run 1``, ``pgd run 2`` and so on."""
    return {f"{name}{_RUN}{number + 1}": Run(attack, number) for number in range(count)}


def attack_of(run: str) -> str:
    """Return the name of the attack that `runs` made a run of; empty for the name of anything else."""
    return run.rpartition(_RUN)[0]
