"""The page on the architecture names the rooms that there are, with their ranks."""

import re
from pathlib import Path

from test_layers import RANKS

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
ROW = re.compile(r"^\| (\d+) \| `?([\w. ]+?)`? \|", re.MULTILINE)


def test_the_page_lists_every_room_with_its_rank():
    listed = {name: int(rank) for rank, name in ROW.findall(PAGE.read_text(encoding="utf-8"))}
    assert listed == {name or "quantattack": rank for name, rank in RANKS.items()}
