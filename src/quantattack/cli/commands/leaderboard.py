"""The command `leaderboard`: networks by their worst case, over the records of many runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from quantattack.cli.commands.listing import listing
from quantattack.cli.options import AsJson
from quantattack.errors import InputError


def leaderboard(
    run: Annotated[list[Path], typer.Argument(help="Folders of records, or folders that hold such folders.")],
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Also write one HTML page that needs nothing else.")] = None,
) -> None:
    """Rank networks by worst case, each among those on the same images under the same threat."""
    from rich.console import Console

    from quantattack.report.gate_files import write_whole
    from quantattack.report.leaderboard import leaderboard as ranked
    from quantattack.report.leaderboard import stores_in
    from quantattack.report.leaderboard_views import as_json as plain
    from quantattack.report.leaderboard_views import leaderboard_page, print_leaderboard

    if html is not None and (not html.name or html.is_dir()):
        raise InputError(f"{html} is a folder; name a file to write to")
    groups = ranked([store for folder in run for store in stores_in(folder)], sizes())
    if not groups:
        raise InputError(f"{', '.join(map(str, run))}: no evaluation is finished; the same command continues a run")
    if as_json:
        typer.echo(json.dumps(plain(groups), indent=2))
    else:
        print_leaderboard(groups, Console())
    if html is not None:
        write_whole(html, leaderboard_page(groups))
        typer.echo(f"page: {html}", err=as_json)


def sizes() -> dict[str, int]:
    """Return the sizes of the carried networks' files by name, in bytes."""
    return {row["name"]: row["bytes"] for row in listing()["models"]}
