"""Other libraries' attacks by name: `foolbox:LinfDeepFoolAttack[steps=50]`, or `package.module:function`."""

import ast
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quantattack.attacks.adapters import Art, AutoAttack, Foolbox, Secml, TorchAttacks
from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError

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
        name: `library:Class`, `autoattack:version`, or `package.module:function`.
        inside: The settings between the brackets.
        threat: Where it may walk.

    Raises:
        InputError: If the library is not installed, knows no such attack or setting, or the function fails.
    """
    library, _, attack = name.partition(":")
    settings = dict(_setting(name, pair) for pair in inside.split(",") if pair.strip())
    if library in PEERS:
        return PEERS[library](threat, attack, settings)
    if settings:
        raise InputError(f"{name} takes no settings; make them in the function itself")
    return _made(library, attack, threat)


def _autoattack(threat: Threat, version: str, settings: dict[str, Any]) -> Attack:
    unknown = set(settings) - {"members", "package", "steps"}
    if unknown:
        raise InputError(f"autoattack takes the settings members, package and steps, not {', '.join(sorted(unknown))}")
    return AutoAttack(threat, version, **settings)


def _setting(attack: str, pair: str) -> tuple[str, Any]:
    name, equals, value = (text.strip() for text in pair.partition("="))
    if not equals:
        raise InputError(f"cannot read the setting {pair!r} of {attack}; write it like steps=40")
    return name, literal(value)


def literal(text: str) -> Any:
    """Return the value of a text: a number, a fraction like 8/255, true or false, none, else the text itself."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    over, slash, under = text.partition("/")
    try:
        return float(over) / float(under) if slash else ast.literal_eval(text)
    except (ValueError, SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        return text


def _made(module: str, function: str, threat: Threat) -> Attack:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        attack: Attack = getattr(importlib.import_module(module), function)(threat)
    except Exception as error:  # the user's own code may fail in any way
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the attack {module}:{function} cannot be made: {type(error).__name__}: {reason}") from None
    if not callable(attack):
        raise InputError(f"{module}:{function} must return an attack, not {type(attack).__name__}")
    return attack
