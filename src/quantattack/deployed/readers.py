"""The reader of each format of deployed files, by suffix, and the runtimes that each file can be judged by."""

from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TypeAlias

from quantattack.deployed.loaded import LoadedFile
from quantattack.errors import InputError, unknown

Reader: TypeAlias = Callable[[Path, str | None], LoadedFile]  # reads a file for a runtime; None for the format's own

READERS: MutableMapping[str, Reader] = {}


def setting_of(runtime: str | None, name: str, settings: tuple[str, ...]) -> str:
    """Return the setting of a runtime's text, `litert:reference`; the first of the settings where it has none.

    Arguments:
        runtime: The text, or None for the runtime as it is by default.
        name: The runtime's name.
        settings: What it may be set to, the default first.

    Raises:
        InputError: If it is another runtime, or it has no such setting.
    """
    if runtime is None:
        return settings[0]
    own, _, setting = runtime.partition(":")
    if own != name:
        raise InputError(f"this file is run by {name}, not by {own!r}; write {name}:{settings[-1]} or leave it out")
    if setting and setting not in settings:
        raise unknown(f"setting of {name}", setting, settings)
    return setting or settings[0]
