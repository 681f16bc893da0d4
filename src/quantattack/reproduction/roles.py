"""The papers' networks, and which network of the package takes the place of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from quantattack.errors import unknown
from quantattack.reproduction.files import STRICT, read

DATA: Mapping[str, str] = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
}


@dataclass(frozen=True)
class Role:
    """One of a paper's networks.

    Arguments:
        kind: REF, BNN-WQ, BNN-WAQ, BC or GD-tanh, with a star where trained adversarially; or the paper's own name.
        architecture: As the paper calls it.
        data: Name of the data set.
        small: Networks that stand for it at a reduced scale, the first one that is there.
        full: The same at the paper's own scale.
        difference: How the small one differs from the paper's.
    """

    kind: str
    architecture: str
    data: str
    small: tuple[str, ...]
    full: tuple[str, ...]
    difference: str

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    @property
    def label(self) -> str:
        words = (self.kind, self.architecture, DATA.get(self.data, self.data))
        return ", ".join(word for word in words if word)

    def candidates(self, scale: str) -> tuple[str, ...]:
        """Return the networks that may take its place at a scale, the best first."""
        return self.full if scale == "full" else self.small


@dataclass(frozen=True)
class StandIn:
    """Which architectures of the package stand for one of the papers'.

    Arguments:
        small: The one at a reduced scale.
        full: The one at the paper's own scale.
        difference: How the small one differs from the paper's.
    """

    small: str
    full: str
    difference: str

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True)
class Roles:
    """The networks of all papers.

    Arguments:
        kinds: How the names of networks of a kind end.
        architectures: Which architectures stand for the papers'.
        networks: Networks with a description of their own, by name.
    """

    kinds: Mapping[str, str]
    architectures: Mapping[str, StandIn]
    networks: Mapping[str, Role]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


ROLES = read("", "networks.yaml", Roles)


def role_of(kind: str, architecture: str, data: str = "cifar10") -> Role:
    """Return the network of a kind and an architecture, with what stands for it.

    Arguments:
        kind: REF, BNN-WQ, BNN-WAQ, BC, GD-tanh, XNOR or TWN, with a star where trained adversarially.
        architecture: As Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511, call it.
        data: Name of the data set.

    Raises:
        InputError: If the kind or the architecture is unknown.
    """
    if kind.rstrip("*") not in ROLES.kinds:
        raise unknown("kind of network", kind, ROLES.kinds)
    if architecture not in ROLES.architectures:
        raise unknown("architecture", architecture, ROLES.architectures)
    stand_in = ROLES.architectures[architecture]
    suffix = ROLES.kinds[kind.rstrip("*")] + "-adv" * kind.endswith("*")
    small, full = (f"{data}-{name}-{suffix}" for name in (stand_in.small, stand_in.full))
    return Role(kind, architecture, data, (small,), (full,), stand_in.difference)


def named_role(name: str) -> Role:
    """Return a network that has a description of its own.

    Raises:
        InputError: If nothing has the name.
    """
    if name not in ROLES.networks:
        raise unknown("network", name, ROLES.networks)
    return ROLES.networks[name]
