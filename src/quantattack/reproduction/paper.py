"""The data model of a paper: its tables and figures, with columns, rows, published numbers and paired comparisons."""

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
    """A column of a table, and how its number is read from a network's record.

    Arguments:
        header: The column's header.
        name: Name of the attack in the record; where `how` is ``signal``, name of the temperature.
        how: ``one``: robust accuracy of a single cell; ``worst`` or ``mean``: the lowest or the mean robust accuracy
            of several independent runs; ``merged``: an image counts as broken if any run broke it; ``clean``:
            accuracy on clean images; ``signal``: a number of a diagnostic signal; ``quoted``: published only, never
            run.
        radius: Linf radius in pixels of [0, 1]; None for `times` the data set's standard radius.
        step: Count an image as broken only if it was broken within this many steps; None for all steps.
        field: Where `how` is ``signal``: the number to read, as ``quantity.number``.
        norm: Name of the norm.
        times: Multiple of the data set's standard radius.
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
    """A row of a table: a network and the numbers published for it.

    Arguments:
        role: The network.
        published: The published numbers, in the order of the columns; None where there is none; accuracies in percent.
        published_for: Label of the paper's network that the published numbers belong to; empty if it is `role`.
    """

    role: Role
    published: tuple[float | int | None, ...] = ()
    published_for: str = ""


@dataclass(frozen=True, eq=False)
class Item:
    """A table or figure.

    Arguments:
        title: What it shows.
        columns: Its columns, one number each.
        rows: Its rows, one network each.
        attacked: Function that returns the attacks to run on a network, by threat; None if none are run.
        measured: Function that measures a network's diagnostic signals; None if none are measured.
        few: Whether the signals are measured on `Scale.few` images in place of `Scale.signals`.
        pairs: Pairs of attacks, by name, that are compared image by image.
        note: Remark that is printed with the table.
        runs: Number of independent runs in the paper; None for that of the scale ``full``.
        steps: Number of steps in the paper, where the attacks of other tables, which are read here, have more.
    """

    title: str
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    attacked: Attacked | None = None
    measured: Measured | None = None
    few: bool = False
    pairs: tuple[tuple[str, str], ...] = ()
    note: str = ""
    runs: int | None = None
    steps: int | None = None

    def measured_images(self, scale: Scale) -> int:
        """Return the number of images that its signals are measured on."""
        return scale.few if self.few else scale.signals


@dataclass(frozen=True, eq=False)
class Paper:
    """A paper as data.

    Arguments:
        key: Its name on the command line.
        title: Its title.
        source: Authors, year and link.
        items: Its tables and figures by key, such as ``table2``.
        parts: Parts of its figures by key, such as ``figure1a``; they run only on the user's own networks.
        headline: What ``--only headline`` runs: for each item, the kinds and architectures of its networks.
        scales: Fields of `Scale` that this paper overrides, by the scale's name.
    """

    key: str
    title: str
    source: str
    items: Mapping[str, Item]
    parts: Mapping[str, Item] = field(default_factory=dict)
    headline: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    scales: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def scale(self, name: str) -> Scale:
        """Return a scale by its name, with this paper's overrides."""
        return Scale(**{**vars(SCALES[name]), **self.scales.get(name, {})})

    @property
    def runnable(self) -> dict[str, Item]:
        """Return the items and the parts of figures that attack or measure networks."""
        return {key: item for key, item in {**self.items, **self.parts}.items() if item.attacked or item.measured}


def signals_of(measured: Measured) -> str:
    """Return the name of the function that measures the signals; it is part of the name of their record's folder."""
    return str(measured.__name__)


# what a header says beyond the attack's name, such as "PGD, 10 steps, worst"
_SETTING = re.compile(r", (worst|average|\d+ steps?|\d+/255|radius [^,]*)$")
_DISPLAY_NAMES = {"pgd": "PGD", "pgd_50": "PGD over iterations", "fgsm": "FGSM"}


def label(item: Item, attack: str) -> str:
    """Return an attack's display name: its first column's header without settings such as steps and radius."""
    header = next((column.header for column in item.columns if column.name == attack), attack)
    name = _DISPLAY_NAMES.get(attack) or header
    while (shorter := _SETTING.sub("", name)) != name:
        name = shorter
    return name
