"""Build results/leaderboard.html from the records in results/; `--check` only says whether it is stale."""

import sys
from pathlib import Path

from quantattack.cli.commands.leaderboard import sizes
from quantattack.report.leaderboard import Group, leaderboard, stores_in
from quantattack.report.leaderboard_views import leaderboard_page

RESULTS = Path(__file__).parents[1] / "results"
PAGE = RESULTS / "leaderboard.html"
FOLDERS = ("demo", "mnist", "zoo", "deployed", "gupta2022", "liu2020", "beyond")
LEAST = 2  # networks of a ranking


def groups() -> list[Group]:
    """The rankings of two networks or more."""
    folders = [RESULTS / name for name in FOLDERS if any((RESULTS / name).rglob("record.sqlite"))]
    stores = [store for folder in folders for store in stores_in(folder)]
    return [group for group in leaderboard(stores, sizes()) if len(group.standings) >= LEAST]


def built() -> str:
    """The page."""
    return leaderboard_page(groups(), "Networks by worst-case robust accuracy")


def main() -> None:
    if "--check" in sys.argv:
        sys.exit(0 if built() == PAGE.read_text(encoding="utf-8") else f"{PAGE.name} is stale: run `make results`")
    PAGE.write_text(built(), encoding="utf-8")


if __name__ == "__main__":
    main()
