"""Checks of the arguments that attacks are made with, and of those that they take."""

import inspect

from quantattack.attacks.norms import Linf
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError


def check_threat(threat: object) -> None:
    """Raise InputError unless the argument is a `Threat`."""
    if not isinstance(threat, Threat):
        raise InputError(f"the threat must be Threat(Linf(), 8 / 255) or alike, not {threat!r}")


def check_linf(threat: Threat, search: str) -> None:
    """Raise InputError unless the threat is one under Linf, which a search needs."""
    check_threat(threat)
    if not isinstance(threat.norm, Linf):
        raise InputError(f"{search} works under linf, not under {threat.norm!r}")


def check_parts(**arguments: object) -> None:
    """Raise InputError for an argument that is not callable, or is a class where an instance is needed."""
    for name, value in arguments.items():
        if not callable(value) or isinstance(value, type):
            expected = f"{value.__name__}(...)" if isinstance(value, type) else "a function or a callable object"
            raise InputError(f"{name} must be {expected}, not {value!r}")


def takes(attack: object, count: int) -> bool:
    """Return whether an attack's signature accepts `count` positional arguments; True if it cannot be inspected."""
    try:
        inspect.signature(attack).bind(*range(count))  # type: ignore[arg-type]
    except TypeError:
        return False
    except ValueError:  # a builtin or C callable has no signature
        return True
    return True
