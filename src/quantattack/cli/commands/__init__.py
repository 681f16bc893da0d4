"""The commands: what each takes.  What it does is imported when it runs, so that none but the working ones wait."""

from collections.abc import Callable
from typing import Annotated

import typer

from quantattack.cli.commands.certify import certify
from quantattack.cli.commands.diagnose import diagnose
from quantattack.cli.commands.evaluate import evaluate
from quantattack.cli.commands.export_onnx import export_onnx
from quantattack.cli.commands.fetch import data, fetch
from quantattack.cli.commands.inspect import inspect
from quantattack.cli.commands.leaderboard import leaderboard
from quantattack.cli.commands.listing import list_
from quantattack.cli.commands.record import compare, export, merge, report, show, verify
from quantattack.cli.commands.reproduce import reproduce
from quantattack.cli.commands.signal import signal
from quantattack.cli.commands.train import train
from quantattack.cli.exits import EPILOG
from quantattack.cli.options import DEBUG

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, epilog=EPILOG)
app.add_typer(data, name="data")


def _print_version(asked: bool) -> bool:
    if asked:
        from importlib.metadata import version

        typer.echo(f"quantattack {version('quantattack')}, torch {version('torch')}")
        raise typer.Exit
    return asked


@app.callback()
def _main(
    number: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show the traceback of an error too.")] = False,
) -> None:
    """Find out what a quantized neural network's adversarial robustness really is."""


_ALL: tuple[Callable[..., None], ...] = (
    *(evaluate, certify, show, compare, export, merge, verify, diagnose, inspect, signal, reproduce, fetch),
    *(export_onnx, report, leaderboard, train, list_),
)
for command in _ALL:
    app.command(name=command.__name__.strip("_").replace("_", "-"))(command)
