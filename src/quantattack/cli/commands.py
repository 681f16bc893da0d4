"""The commands: each turns names into objects, calls the library and prints."""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from quantattack.cli import attacks, names
from quantattack.cli.certify import certify
from quantattack.cli.data import data as data_group
from quantattack.cli.data import fetch
from quantattack.cli.diagnose import diagnose
from quantattack.cli.evaluate import evaluate
from quantattack.cli.export_onnx import export_onnx
from quantattack.cli.inspect import inspect
from quantattack.cli.options import DEBUG, DataRoot
from quantattack.cli.record import compare, export, merge, show, verify
from quantattack.cli.reproduce import reproduce
from quantattack.cli.signal import signal
from quantattack.errors import unknown
from quantattack.progress import bar
from quantattack.training.state import Epoch

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(data_group, name="data")


def _print_version(asked: bool) -> bool:
    if asked:
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


for command in (evaluate, certify, show, compare, export, merge, verify):
    app.command()(command)
app.command()(diagnose)
app.command()(inspect)
app.command()(signal)
app.command()(reproduce)
app.command()(fetch)
app.command(name="export-onnx")(export_onnx)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder of a record.")]) -> None:
    """Write a record's page, one HTML file that needs nothing else."""
    from quantattack.report.page import write_page  # with matplotlib, which no other command needs

    typer.echo(f"report: {write_page(run)}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, which is the network's in the zoo, or a YAML file.")],
    out: Annotated[Path, typer.Option(help="File of the checkpoint; the state of the training is kept next to it.")],
    data_root: DataRoot = None,
) -> None:
    """Train a network; the same command continues a training that was interrupted."""
    from quantattack.training import recipes

    chosen = recipes.recipe(recipe, attacks.inner_attack)
    state = out.with_name(out.name + ".state")
    with bar(True) as advance:
        report_epoch = _printed(chosen.training.epochs)
        card = recipes.train(chosen, out, root=data_root, keep=state, progress=report_epoch, advance=advance)
    state.unlink(missing_ok=True)
    typer.echo(f"{out}: {100 * card.clean:.2f}% of the test images right")


def _printed(epochs: int) -> Callable[[Epoch], None]:
    def print_epoch(epoch: Epoch) -> None:
        right = "" if epoch.accuracy is None else f"  rounded network, test images {100 * epoch.accuracy:.2f}%"
        line = f"epoch {epoch.index + 1}/{epochs}  loss {epoch.loss:.4f}  training images {100 * epoch.training:.2f}%"
        typer.echo(line + right, err=True)

    return print_epoch


@app.command(name="list")
def list_(
    kind: Annotated[str, typer.Argument(help="models, data or attacks.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks, the data sets or the attacks."""
    kinds = {"models": names.model_rows, "data": names.data_rows, "attacks": attacks.attack_rows}
    if kind not in kinds:
        raise unknown("list", kind, kinds)
    rows = kinds[kind]()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None)
    for column in rows[0] if rows else ():
        table.add_column(column, no_wrap=column == "name")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_cell(setting)}" for name, setting in value.items())
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else getattr(value, "__name__", str(value))
