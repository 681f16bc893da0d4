"""What a paper's table or figure consists of: columns, rows with the published numbers, and pairs to compare."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.record.signals import Signal
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.roles import Role

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

    header: str
    name: str
    how: How = "one"
    radius: float | None = None
    step: int | None = None
    field: str = ""
    norm: str = "Linf"
    times: float = 1.0

    @property
    def key(self) -> str:
        """Return what a claim calls it."""
        parts = [self.name, *([] if self.how in ("one", "signal") else [self.how])]
        parts += [f"r{self.radius:.4g}"] * (self.radius is not None) + [f"x{self.times:.4g}"] * (self.times != 1)
        parts += [f"s{self.step}"] * (self.step is not None)
        return " ".join([*parts, *([self.field] if self.field else [])])


@dataclass(frozen=True)
class Row:
    """One of the paper's networks with the numbers that are printed for it, None where there is none.

    Arguments:
        role: The network.
        published: As printed, in the order of the columns; in percent where they are accuracies.
    """

    role: Role
    published: tuple[float | int | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Item:
    """One table or figure.

    Arguments:
        title: What it shows.
        columns: Its numbers.
        rows: Its networks.
        attacked: What is run on a network; None where nothing is attacked.
        measured: What is measured of a network; None where nothing is.
        pairs: Names of attacks that are compared image by image.
        note: What a reader has to know.
    """

    title: str
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    attacked: Attacked | None = None
    measured: Measured | None = None
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
    """

    key: str
    title: str
    source: str
    items: Mapping[str, Item]


def columns(headers: Mapping[str, str], norm: str = "Linf") -> tuple[Column, ...]:
    """Return a column for each attack's name and words."""
    return tuple(Column(words, name, norm=norm) for name, words in headers.items())
