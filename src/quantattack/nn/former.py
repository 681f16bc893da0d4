"""The module `quantattack.quantizers`, now `quantattack.nn.quantizers`, for code that imports the former name."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from quantattack.errors import warn_renamed

_FORMER, _NOW = "quantattack.quantizers", "quantattack.nn.quantizers"


class FormerModule(ModuleType):
    """A module whose names are those of another one, each with a warning that names it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        warn_renamed(f"{self.__name__}.{name}", f"{_NOW}.{name}")
        return getattr(import_module(_NOW), name)


def keep_former_module() -> None:
    """Make `from quantattack.quantizers import ...` go on working."""
    sys.modules.setdefault(_FORMER, FormerModule(_FORMER))
