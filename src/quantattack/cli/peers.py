"""Other libraries' attacks by name: `foolbox:LinfDeepFoolAttack[steps=50]`, or `my.py:name[steps=3]` of your own."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from inspect import getsourcefile
from pathlib import Path
from types import FunctionType
from typing import Any

from quantattack.attacks.adapters import Art, AutoAttack, Foolbox, Secml, TorchAttacks
from quantattack.attacks.arguments import takes
from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, unknown
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
    """Return the attack of a library, or of the user's own file.

    Arguments:
        name: `library:Class`, `autoattack:version`, `my.py:name` or `package.module:name`.
        inside: The settings between the brackets, arguments of what is named.
        threat: Where it may walk.

    Raises:
        InputError: If the library is not installed, knows no such attack or setting, or the function fails.
    """
    library, _, attack = name.partition(":")
    settings = settings_in(name, inside)
    if library in PEERS:
        return PEERS[library](threat, attack, settings)
    return _made(name, threat, settings)


def _autoattack(threat: Threat, version: str, settings: dict[str, Any]) -> Attack:
    unknown = set(settings) - {"members", "package", "steps"}
    if unknown:
        raise InputError(f"autoattack takes the settings members, package and steps, not {', '.join(sorted(unknown))}")
    return AutoAttack(threat, version, **settings)


def _made(name: str, threat: Threat, settings: Mapping[str, Any]) -> Attack:
    """Return the user's own attack: what is named itself, or what it makes of the threat and the settings.

    As in `evaluate`, they are told apart by their arguments: an attack takes three or six, a maker the threat alone.
    """
    held = named_object("attack", name)
    if _is_attack(held) and not takes(held, 1):
        _check_settings(name, held, settings, behind=3)
        attack: Attack = partial(held, **settings) if settings else held
    else:
        _check_maker(name, held, settings)
        with making("attack", name):
            attack = held(threat, **settings)
    if not _is_attack(attack):
        raise InputError(f"{name} made {type(attack).__name__}, which is no attack; {_contract(name)}")
    _mark(attack)
    return attack


def _is_attack(held: Any) -> bool:
    return callable(held) and not isinstance(held, type) and (takes(held, 3) or takes(held, 6))


def _check_maker(name: str, held: Any, settings: Mapping[str, Any]) -> None:
    """Raise InputError unless an object can be called with the threat and the settings."""
    if not callable(held):
        raise InputError(f"{name} is of type {type(held).__name__}; {_contract(name)}")
    _check_settings(name, held, settings, behind=1)
    try:
        inspect.signature(held).bind(None, **settings)
    except TypeError as error:
        raise InputError(f"{name} cannot be called with the threat: {error}; {_contract(name)}") from None
    except ValueError:  # a callable in C has no signature to look at
        return


def _check_settings(name: str, held: Any, settings: Mapping[str, Any], behind: int) -> None:
    """Raise InputError for a setting that is no argument of a callable behind its first ones."""
    try:
        arguments = list(inspect.signature(held).parameters.values())[behind:]
    except ValueError:  # a callable in C has no signature to look at
        return
    if any(one.kind is one.VAR_KEYWORD for one in arguments):
        return
    known = [one.name for one in arguments if one.kind is not one.VAR_POSITIONAL]
    for setting in settings:
        if setting not in known:
            raise unknown(f"setting of {name}", setting, known)


def _contract(name: str) -> str:
    """Say what is to be named."""
    return (
        f"{name} must be a function attack(model, images, labels) that returns images, or a function or class that "
        "takes the threat and gives such an attack (docs/adding-an-attack.md)"
    )


def _mark(attack: Attack) -> None:
    """Record an attack of the user's own with its file's content; those of this package say their settings."""
    attack = attack.func if isinstance(attack, partial) else attack
    kind = attack if isinstance(attack, FunctionType) else type(attack)
    if (kind.__module__ or "").partition(".")[0] == "quantattack":
        return
    with suppress(TypeError, OSError):  # written in no file
        mark(kind, Path(getsourcefile(kind) or "").read_bytes())
