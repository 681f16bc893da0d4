"""What a paper's table or figure consists of: columns, rows with the published numbers, and pairs to compare."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict

from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.record.signals import Signal
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.files import STRICT
from quantattack.reproduction.roles import Role
from quantattack.reproduction.scales import SCALES, Scale

How = Literal["one", "clean", "worst", "mean", "merged", "signal", "quoted"]
Attacked = Callable[[Bench, Network], Sequence[tuple[Threat, Mapping[str, Attack]]]]
Measured = Callable[[Bench, Network], Sequence[Signal]]


@dataclass(frozen=True)
class Column:
    """One number of each row, and where a record has it.

    Arguments:
        header: Its words.
        name: Name of the attack in the record; of the signal's temperature where `how` is ``signal``.
        how: One run's robust accuracy, accuracy on clean images, worst or mean over runs, the union of runs, a
            signal's number, or a published number that is quoted and never run.
        radius: Radius under Linf, in pixels of [0, 1]; the data set's own where None.
        times: The radius over the data set's own.
        step: Count only what had fallen after so many steps.
        field: The number of the signal, as quantity.number.
        norm: Name of the norm.
    """

    header: str = ""
    name: str = ""
    how: How = "one"
    radius: float | None = None
    step: int | None = None
    field: str = ""
    norm: str = "Linf"
    times: float = 1.0

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True)
class Row:
    """One of the paper's networks with the numbers published for it, None where a number was not published.

    Arguments:
        role: The network.
        published: As published, in the order of the columns; in percent where they are accuracies.
        published_for: The paper's network that the numbers are of, where that is not the row's own.
    """

    role: Role
    published: tuple[float | int | None, ...] = ()
    published_for: str = ""


@dataclass(frozen=True, eq=False)
class Item:
    """One table or figure.

    Arguments:
        title: What it shows.
        columns: Its numbers.
        rows: Its networks.
        attacked: What is run on a network; None where nothing is attacked.
        measured: What is measured of a network; None where nothing is.
        few: Whether it is measured on the scale's few images alone.
        pairs: Names of attacks that are compared image by image.
        note: What a reader has to know.
    """

    title: str
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    attacked: Attacked | None = None
    measured: Measured | None = None
    few: bool = False
    pairs: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, eq=False)
class Paper:
    """A paper as data.

    Arguments:
        key: What the command calls it.
        title: Its title.
        source: Authors, year and link.
        items: Its tables and figures by name.
        parts: Parts of its figures by name, which run alone on networks of one's own.
        headline: What `--only headline` runs: items, and the kind and architecture of the network of each.
        scales: Numbers of a scale that differ for this paper, by the scale's name.
    """

    key: str
    title: str
    source: str
    items: Mapping[str, Item]
    parts: Mapping[str, Item] = field(default_factory=dict)
    headline: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    scales: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def scale(self, name: str) -> Scale:
        """Return a scale by its name, as it is for this paper."""
        return Scale(**{**vars(SCALES[name]), **self.scales.get(name, {})})

    @property
    def runnable(self) -> dict[str, Item]:
        """Return the items that run anything, and the parts of figures."""
        return {key: item for key, item in {**self.items, **self.parts}.items() if item.attacked or item.measured}


def signals_of(measured: Measured) -> str:
    """Return the name of what is measured, with which the folder of its record ends."""
    return str(measured.__name__)


_SETTING = re.compile(r", (worst|average|\d+ steps?|\d+/255|radius [^,]*)$")
_WORDS = {"pgd": "PGD", "fgsm": "FGSM"}


def label(item: Item, attack: str) -> str:
    """Return an attack's words: those of its column, without what is the column's alone."""
    words = _WORDS.get(attack) or next((column.header for column in item.columns if column.name == attack), attack)
    while (shorter := _SETTING.sub("", words)) != words:
        words = shorter
    return words
