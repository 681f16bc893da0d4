"""The commands `quantattack data fetch` and `quantattack fetch`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from quantattack.cli.options import DataRoot
from quantattack.data.fetch import SOURCES, Advance
from quantattack.data.fetch import fetch as download
from quantattack.data.model_files import MODEL_FILES, fetch_address, fetch_model
from quantattack.errors import InputError

data = typer.Typer(help="Fetch data sets.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Fetch data sets."""


@data.command(name="fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(help="mnist, fashion-mnist, cifar10 or cifar100.")],
    data_root: DataRoot = None,
) -> None:
    """Download a data set from where it is published; the same command continues a download that was interrupted."""
    root = data_root or os.environ.get("QUANTATTACK_DATA")
    if not root:
        raise InputError("say where to put it: --data-root FOLDER, or QUANTATTACK_DATA")
    with _progress() as advance:
        paths = download(name, root, advance)
    typer.echo("\n".join(str(Path(path)) for path in paths))


def fetch(
    name: Annotated[str, typer.Argument(help=f"{', '.join(MODEL_FILES)}, or the URL of a file of your own.")],
    sha256: Annotated[str | None, typer.Option(help="SHA-256 of the file at a URL, in hexadecimal.")] = None,
    out: Annotated[str | None, typer.Option(help="File or folder; else the data root, for a URL this folder.")] = None,
    data_root: DataRoot = None,
) -> None:
    """Download a published model that does not come with the package; the same command continues a download."""
    if name in SOURCES:
        raise InputError(f"{name} is a data set; run `quantattack data fetch {name}`")
    own = "://" in name
    if own and sha256 is None:
        raise InputError("a file from a URL is checked: give its --sha256")
    if not own and sha256 is not None:
        raise InputError(f"--sha256 goes with a URL; {name} is a name, whose checksum is known")
    with _progress() as advance:
        path = fetch_address(name, sha256 or "", out, advance) if own else fetch_model(name, out, data_root, advance)
    if not own:
        typer.echo(f"license: {MODEL_FILES[name].license}", err=True)
    typer.echo(str(path))


@contextmanager
def _progress() -> Iterator[Advance]:
    """A bar for each file on the error output, from its first bytes on."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def advance(file: str, done: int, total: int) -> None:
        bar.start()
        if file not in tasks:
            tasks[file] = bar.add_task(file, total=total)
        bar.update(tasks[file], completed=done)

    try:
        yield advance
    finally:
        if tasks:  # stopping what never started would print an empty line
            bar.stop()
