"""The command `reproduce`: a paper's tables and figures, on the paper's roles or on networks of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from quantattack.cli.options import DataRoot, Device, Quiet, Seed
from quantattack.errors import check_count
from quantattack.reproduction import KEYS, SIZES


def reproduce(
    paper: Annotated[str, typer.Argument(help=f"{', '.join(KEYS)}; all of them if none is named.")] = "",
    words: Annotated[
        list[str] | None, typer.Argument(help="Tables and figures, all if none; then networks of your own, if any.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List every table and figure, one line each.")] = False,
    only: Annotated[str | None, typer.Option(help="headline: the main tables on a network or two each.")] = None,
    scale: Annotated[str, typer.Option(help=f"{', '.join(SIZES)}: how many images, restarts and steps.")] = "quick",
    networks: Annotated[Path | None, typer.Option(help="Folder of checkpoints beside those of the package.")] = None,
    budget: Annotated[int | None, typer.Option(help="Most forward and backward passes of a cell.")] = None,
    data: Annotated[str | None, typer.Option(help="Data set, for networks whose card names none.")] = None,
    data_root: DataRoot = None,
    radius: Annotated[str | None, typer.Option(help="Radius under Linf of your own networks; else the data's.")] = None,
    images: Annotated[
        int | None, typer.Option(help="How many test images, from the first on; else the scale's.")
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Annotated[Path | None, typer.Option(help="Folder of the records; the same command continues in it.")] = None,
    pages: Annotated[bool, typer.Option("--pages", help="Only write the pages of what was run before.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run a paper's tables and figures and print them with the published numbers."""
    from quantattack.cli.reproduce import Chosen, listed, run_papers, sizes_of

    if show:
        typer.echo("\n".join(listed(paper)))
        return
    check_count("--seed", seed, least=0)
    chosen = Chosen(paper, tuple(words or ()), only, data, radius, scale)
    settings = {"networks": networks, "root": data_root, "seed": seed, "device": device}
    run_papers(chosen, sizes_of(scale, budget, images), out, pages, quiet, **settings)
