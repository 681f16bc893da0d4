"""The papers' networks, and the zoo's networks that stand in for them."""

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
    """One of a paper's networks, and the zoo's networks that may stand in for it.

    Arguments:
        kind: REF, BNN-WQ, BNN-WAQ, BC, GD-tanh, XNOR or TWN, with a trailing star if trained adversarially; or a
            description in the paper's words.
        architecture: The paper's name of the architecture.
        data: Name of the data set.
        small: Names of the stand-ins at a reduced scale, best first; the first that is available is used.
        full: Names of the stand-ins at the scale ``full``, best first.
        remark: What sets the stand-in apart from the paper's network beside its size and its training.
        twin: The paper's name of the architecture, for a network that stands beside another of its kind, trained
            otherwise; empty for the others.
    """

    kind: str
    architecture: str
    data: str
    small: tuple[str, ...]
    full: tuple[str, ...]
    remark: str = ""
    twin: str = ""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    @property
    def label(self) -> str:
        words = (self.kind, self.architecture, DATA.get(self.data, self.data))
        return ", ".join(word for word in words if word)

    @property
    def family(self) -> str:
        """The paper's name of the architecture, whatever sets its training apart."""
        return self.twin or self.architecture

    def candidates(self, scale: str) -> tuple[str, ...]:
        """Return the names of the networks that may stand in for it at a scale, best first.

        There is none for a twin at the scale ``full``: the networks of full width are all trained as it is.
        """
        if scale == "full":
            return () if self.twin else self.full
        return self.small


@dataclass(frozen=True)
class StandIn:
    """The package's architectures that stand in for one of the papers'.

    Arguments:
        small: Architecture at a reduced scale.
        full: Architecture at the scale ``full``.
    """

    small: str
    full: str

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True)
class Roles:
    """The content of ``networks.yaml``.

    Arguments:
        kinds: Suffix of the names of a kind's stand-ins, by kind without the star.
        architectures: Stand-ins by the papers' names of the architectures.
        networks: Roles that are not made of a kind and an architecture, by name.
    """

    kinds: Mapping[str, str]
    architectures: Mapping[str, StandIn]
    networks: Mapping[str, Role]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


ROLES = read("", "networks.yaml", Roles)


def role_of(kind: str, architecture: str, data: str = "cifar10") -> Role:
    """Return the role of a kind and an architecture; its stand-ins are named ``data-architecture-suffix[-adv]``.

    Arguments:
        kind: REF, BNN-WQ, BNN-WAQ, BC, GD-tanh, XNOR or TWN, with a trailing star if trained adversarially.
        architecture: Name of the architecture in Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511.
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
    return Role(kind, architecture, data, (small,), (full,))


def named_role(name: str) -> Role:
    """Return a role that ``networks.yaml`` describes by name.

    Raises:
        InputError: If no role has the name.
    """
    if name not in ROLES.networks:
        raise unknown("network", name, ROLES.networks)
    return ROLES.networks[name]
