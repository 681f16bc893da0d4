"""The rankings on the terminal, as JSON and as a page."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quantattack.report.leaderboard import Group, Standing
from quantattack.report.percent import percent
from quantattack.report.render import render
from quantattack.report.tables import interval

UNRANKED = "Without a rank: the worst case is not to be trusted, for the reason that is named."


def print_leaderboard(groups: Sequence[Group], console: Console) -> None:
    """Print a table for each ranking."""
    for group in groups:
        title = f"{group.data}, {group.threat}, {group.images} images ({group.digest})"
        table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
        for header in ("rank", "model", "worst case", "95 % interval", "clean", "attacks", "passes", "bytes", "trust"):
            table.add_column(header, justify="left" if header in ("model", "trust") else "right", overflow="fold")
        for standing in group.standings:
            table.add_row(*map(Text, cells(standing)))
        console.print(table)
    if any(standing.rank is None for group in groups for standing in group.standings):
        console.print(Text(UNRANKED))


def cells(standing: Standing) -> tuple[str, ...]:
    """Return a line of a ranking in words."""
    return (
        "-" if standing.rank is None else str(standing.rank),
        standing.model,
        percent(standing.worst.value),
        interval(standing.worst),
        percent(standing.clean.value),
        str(standing.attacks),
        f"{standing.passes:,.0f}",
        "-" if standing.bytes is None else f"{standing.bytes:,}",
        ", ".join(standing.doubts) or "trusted",
    )


def as_json(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the rankings as plain JSON."""
    return [{**vars(group), "standings": [_plain(standing) for standing in group.standings]} for group in groups]


def _plain(standing: Standing) -> dict[str, Any]:
    shares = {"worst": standing.worst.value, "clean": standing.clean.value}
    return {**vars(standing), **shares, "interval": list(standing.worst.interval), "doubts": dict(standing.doubts)}


def leaderboard_page(groups: Sequence[Group], title: str = "Leaderboard") -> str:
    """Return the rankings as one HTML page that needs nothing else."""
    return render("leaderboard.html.j2", title=title, groups=groups, cells=cells, unranked=UNRANKED)
