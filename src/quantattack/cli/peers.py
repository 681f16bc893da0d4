"""Other libraries' attacks by name: `foolbox:LinfDeepFoolAttack[steps=50]`, or `my.py:function` of your own."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from inspect import getsourcefile
from pathlib import Path
from types import FunctionType
from typing import Any

from quantattack.attacks.adapters import Art, AutoAttack, Foolbox, Secml, TorchAttacks
from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.models.python import making, named_object
from quantattack.reading import settings_in
from quantattack.record.description import mark

PEERS: Mapping[str, Callable[[Threat, str, dict[str, Any]], Attack]] = {
    "foolbox": Foolbox,
    "art": Art,
    "torchattacks": TorchAttacks,
    "secml": Secml,
    "autoattack": lambda threat, version, settings: _autoattack(threat, version, settings),
}


def is_peer(name: str) -> bool:
    """Return whether an attack's name is one of another library, or of a function of the user's."""
    return ":" in name


def peer_named(name: str, inside: str, threat: Threat) -> Attack:
    """Return the attack of a library, or of a function of the user's own that is called with the threat.

    Arguments:
        name: `library:Class`, `autoattack:version`, `my.py:function` or `package.module:function`.
        inside: The settings between the brackets.
        threat: Where it may walk.

    Raises:
        InputError: If the library is not installed, knows no such attack or setting, or the function fails.
    """
    library, _, attack = name.partition(":")
    settings = settings_in(name, inside)
    if library in PEERS:
        return PEERS[library](threat, attack, settings)
    if settings:
        raise InputError(f"{name} takes no settings; make them in the function itself")
    return _made(name, threat)


def _autoattack(threat: Threat, version: str, settings: dict[str, Any]) -> Attack:
    unknown = set(settings) - {"members", "package", "steps"}
    if unknown:
        raise InputError(f"autoattack takes the settings members, package and steps, not {', '.join(sorted(unknown))}")
    return AutoAttack(threat, version, **settings)


def _made(name: str, threat: Threat) -> Attack:
    maker = named_object("attack", name)
    with making("attack", name):
        attack: Attack = maker(threat)
    if not callable(attack):
        raise InputError(f"{name} must return an attack, not {type(attack).__name__}")
    _mark(attack)
    return attack


def _mark(attack: Attack) -> None:
    """Record an attack of the user's own with its file's content; those of this package say their settings."""
    kind = attack if isinstance(attack, FunctionType) else type(attack)
    if (kind.__module__ or "").partition(".")[0] == "quantattack":
        return
    with suppress(TypeError, OSError):  # written in no file
        mark(kind, Path(getsourcefile(kind) or "").read_bytes())
