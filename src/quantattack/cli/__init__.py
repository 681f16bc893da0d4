"""The command line: every wrong input is one line `error: ...`; `--debug` shows where."""

import errno
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

import typer
from rich.console import Console

from quantattack.cli.commands import app
from quantattack.cli.exits import FAULT, INTERRUPTED, WRONG_INPUT
from quantattack.cli.options import DEBUG, check_words, value_of, with_values
from quantattack.errors import CallFailed, InputError, one_line

# click's base exception, wherever this release of typer keeps it
_Click: type[Exception] = typer.BadParameter.__mro__[2]
_NUMBERS = {"integer": "a whole number", "number": "a number"}  # as click's releases name what they cannot read
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_CLOSED = (errno.EBADF,)  # an output that is not open for writing


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read as torch is imported; threads that spin slow each other
    try:
        status = _run(arguments)
    except Exception:  # Python's own status is 1, which here says that a gate was missed
        traceback.print_exc()
        print("error: this is a fault of quantattack itself; please report it with the lines above", file=sys.stderr)
        status = FAULT
    sys.exit(status)


def _run(arguments: Sequence[str] | None) -> int:
    asked = with_values(sys.argv[1:] if arguments is None else arguments)
    given = [argument for argument in asked if argument != DEBUG] or ["--help"]
    _never_closed()
    _print_anything()
    try:
        with _output_kept():
            check_words(given)
            code = app(given, prog_name="quantattack", standalone_mode=False)
    except InputError as error:
        return _refuse(_told(error, DEBUG in asked))
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:  # whoever read the output has left: nothing more can be written
        _discard_output()
        return 0
    except _Click as error:
        return _refuse(_clear(error, given))
    if code == INTERRUPTED:  # typer itself may have caught it
        return _interrupted()
    return code if isinstance(code, int) else 0


def _clear(error: Exception, given: Sequence[str]) -> str:
    """Return what click says of wrong words; of a number that cannot be read, in words of ours."""
    said = str(getattr(error, "format_message", error.__str__)())
    for kind, words in _NUMBERS.items():
        if f"valid {kind}" in said:
            option = (getattr(getattr(error, "param", None), "opts", None) or [""])[0]
            return f"{option} must be {words}, not {value_of(option, given)!r}"
    return said


def _told(error: InputError, debug: bool) -> str:
    """Return what an error says; print its traceback first if asked to, and say how where there is more to see."""
    if debug:
        traceback.print_exception(error)
    hint = f" [{DEBUG} shows where]" if isinstance(error, CallFailed) and not debug else ""
    return f"{error}{hint}"


def _never_closed() -> None:
    """Let what is printed go nowhere if the output was closed before the start, as Python itself does."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  until the process ends


def _print_anything() -> None:
    """Let a character that the output's encoding lacks be printed as its escape, in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _output_kept() -> Iterator[None]:
    """Flush what was printed while an error can still be said.

    Raises:
        InputError: If the output cannot be written.
        BrokenPipeError: If whoever read it has left.
    """
    try:
        with _pipes_heard():
            yield
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in (*_FULL, *_CLOSED):
            raise
        _discard_output()
        advice = "make room" if error.errno in _FULL else "open it for writing"
        raise InputError(f"cannot write the output: {error.strerror}; {advice}") from None


@contextmanager
def _pipes_heard() -> Iterator[None]:
    """Let rich raise where whoever read the output has left, as print does, in place of ending with status 1."""
    onward = Console.on_broken_pipe
    setattr(Console, "on_broken_pipe", _broken_pipe)  # noqa: B010  a method of another library
    try:
        yield
    except SystemExit:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # click's answer to a pipe that nobody reads
            raise BrokenPipeError from None
        raise
    finally:
        setattr(Console, "on_broken_pipe", onward)  # noqa: B010


def _broken_pipe(_: Console) -> None:
    raise BrokenPipeError


def _discard_output() -> None:
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted() -> int:
    print("interrupted; the same command continues where it stopped", file=sys.stderr)
    return INTERRUPTED


def _refuse(message: str) -> int:
    print("error:", one_line(message), file=sys.stderr)
    return WRONG_INPUT
