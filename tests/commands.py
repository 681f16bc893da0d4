"""The command line, called in this process."""

import pytest

from quantattack.cli import main


def command(*arguments: str) -> int:
    """Return the code that a command exits with."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)
