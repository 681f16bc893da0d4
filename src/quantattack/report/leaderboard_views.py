"""The rankings on the terminal, as JSON and as a page."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from quantattack.report.columns import folded, print_rows
from quantattack.report.leaderboard import Group, Standing
from quantattack.report.percent import percent
from quantattack.report.tables import interval
from quantattack.report.trust import trust_words

UNRANKED = "Without a rank: the worst case is not to be trusted, for the reason that is named."


HEADERS = ("rank", "model", "worst case", "95 % interval", "clean", "attacks", "passes", "bytes", "trust")
_PRINTED = ("rank", "model", "worst case", "trust", "95 % interval", "clean", "bytes", "attacks", "passes")
_NAME = 28  # letters of a name on a line


def print_leaderboard(groups: Sequence[Group], console: Console) -> None:
    """Print a table for each ranking, its most important columns first."""
    numbers = [header for header in HEADERS if header not in ("model", "trust")]
    for group in groups:
        title = f"{group.data}, {group.threat}, {group.images} images ({group.digest})"
        lines = [dict(zip(HEADERS, cells(standing), strict=True)) for standing in group.standings]
        lines = [line | {"model": folded(line["model"], _NAME)} for line in lines]
        print_rows(_PRINTED, [[line[header] for header in _PRINTED] for line in lines], console, title, numbers)
        console.print()
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
        trust_words(standing.doubts),
    )


def as_json(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the rankings as plain JSON."""
    return [{**vars(group), "standings": [_plain(standing) for standing in group.standings]} for group in groups]


def _plain(standing: Standing) -> dict[str, Any]:
    shares = {"worst": standing.worst.value, "clean": standing.clean.value}
    return {**vars(standing), **shares, "interval": list(standing.worst.interval), "doubts": dict(standing.doubts)}


def leaderboard_page(groups: Sequence[Group], title: str = "Leaderboard") -> str:
    """Return the rankings as one HTML page that needs nothing else."""
    from quantattack.report.render import render  # with jinja2, which no other view needs

    return render("leaderboard.html.j2", title=title, groups=groups, cells=cells, headers=HEADERS, unranked=UNRANKED)
