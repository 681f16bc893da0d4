"""The command `quantattack data fetch`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from quantattack.cli.options import DataRoot
from quantattack.data.fetch import fetch as download
from quantattack.errors import InputError

data = typer.Typer(help="Fetch data sets.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Fetch data sets."""


@data.command()
def fetch(
    name: Annotated[str, typer.Argument(help="mnist, fashion-mnist, cifar10 or cifar100.")],
    data_root: DataRoot = None,
) -> None:
    """Download a data set from where it is published; the same command continues a download that was interrupted."""
    root = data_root or os.environ.get("QUANTATTACK_DATA")
    if not root:
        raise InputError("say where to put it: --data-root FOLDER, or QUANTATTACK_DATA")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {}

        def advance(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file, total=total)
            bar.update(tasks[file], completed=done)

        paths = download(name, root, advance)
    typer.echo("\n".join(str(Path(path)) for path in paths))
