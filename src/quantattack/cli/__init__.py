"""The command line: every wrong input is one line `error: ...` and exit status 2; `--debug` shows where."""

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from quantattack.cli.commands import app
from quantattack.cli.options import DEBUG, with_values
from quantattack.errors import CallFailed, InputError

# click's base exception, wherever this release of typer keeps it
_Click: type[Exception] = typer.BadParameter.__mro__[2]
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    asked = with_values(sys.argv[1:] if arguments is None else arguments)
    given = [argument for argument in asked if argument != DEBUG] or ["--help"]
    try:
        code = app(given, prog_name="quantattack", standalone_mode=False)
    except InputError as error:
        return _refuse(_told(error, DEBUG in asked))
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:  # whoever read the output has left: nothing more can be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _Click as error:
        return _refuse(getattr(error, "format_message", error.__str__)())
    if code == _INTERRUPTED:  # typer itself may have caught it
        return _interrupted()
    return code if isinstance(code, int) else 0


def _told(error: InputError, debug: bool) -> str:
    """Return what an error says; print its traceback first if asked to, and say how where there is more to see."""
    if debug:
        traceback.print_exception(error)
    hint = f" [{DEBUG} shows where]" if isinstance(error, CallFailed) and not debug else ""
    return f"{error}{hint}"


def _interrupted() -> int:
    print("interrupted; the same command continues where it stopped", file=sys.stderr)
    return _INTERRUPTED


def _refuse(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return 2
