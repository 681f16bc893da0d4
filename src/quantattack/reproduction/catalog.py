"""The papers by key, built from each `paper.yaml` and the functions of the `attacks.py` beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import getmembers, isfunction
from types import ModuleType
from typing import Any, ClassVar, TypeAlias

from pydantic import ConfigDict

from quantattack.errors import unknown
from quantattack.reproduction.beyond import attacks as beyond
from quantattack.reproduction.files import STRICT, read
from quantattack.reproduction.gupta2022 import attacks as gupta2022
from quantattack.reproduction.liu2020 import attacks as liu2020
from quantattack.reproduction.paper import Column, Item, Paper, Row
from quantattack.reproduction.roles import Role, named_role, role_of

Builder: TypeAlias = Callable[..., Any]  # Attacked or Measured of paper.py


@dataclass(frozen=True)
class RowFile:
    """A row of `paper.yaml`.

    Arguments:
        network: Kind, architecture and optionally data set (default CIFAR-10); or a name of ``networks.yaml``.
        published: The published numbers, in the order of the columns.
    """

    network: str | tuple[str, str] | tuple[str, str, str]
    published: tuple[float | int | None, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    @property
    def role(self) -> Role:
        return named_role(self.network) if isinstance(self.network, str) else role_of(*self.network)


@dataclass(frozen=True)
class ItemFile:
    """A table or figure of `paper.yaml`; `attacked` and `measured` name functions of the paper's `attacks.py`."""

    title: str
    columns: tuple[Column, ...] = ()
    rows: tuple[RowFile, ...] = ()
    attacked: str | None = None
    measured: str | None = None
    few: bool = False
    pairs: tuple[tuple[str, str], ...] = ()
    note: str = ""
    runs: int | None = None
    steps: int | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True)
class PaperFile:
    """The content of `paper.yaml`; the fields are those of `Paper`."""

    key: str
    title: str
    source: str
    items: dict[str, ItemFile]
    parts: dict[str, ItemFile] = field(default_factory=dict)
    headline: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    scales: dict[str, dict[str, int]] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


def read_paper(attacks: ModuleType) -> Paper:
    """Read the paper that a module of attacks belongs to.

    Arguments:
        attacks: The paper's `attacks.py`, which has `paper.yaml` beside it.

    Raises:
        InputError: If the file has an unknown key or network, or names a function that the module lacks.
    """
    return built(read(attacks.__name__.split(".")[-2], "paper.yaml", PaperFile), attacks)


def built(file: PaperFile, attacks: ModuleType) -> Paper:
    """Build a paper, resolving the names of functions and networks in its file."""
    functions = {name: function for name, function in getmembers(attacks, isfunction) if not name.startswith("_")}
    items, parts = (
        {key: _item(item, functions) for key, item in section.items()} for section in (file.items, file.parts)
    )
    return Paper(file.key, file.title, file.source, items, parts, file.headline, file.scales)


def _item(file: ItemFile, functions: Mapping[str, Builder]) -> Item:
    return Item(
        title=file.title,
        columns=file.columns,
        rows=tuple(Row(row.role, row.published) for row in file.rows),
        attacked=_function(file.attacked, functions),
        measured=_function(file.measured, functions),
        few=file.few,
        pairs=file.pairs,
        note=file.note,
        runs=file.runs,
        steps=file.steps,
    )


def _function(name: str | None, functions: Mapping[str, Builder]) -> Builder | None:
    if name is not None and name not in functions:
        raise unknown("function of the paper's attacks", name, functions)
    return None if name is None else functions[name]


PAPERS: Mapping[str, Paper] = {paper.key: paper for paper in map(read_paper, (gupta2022, liu2020, beyond))}
