"""The page on the architecture names the rooms that there are, with their ranks."""

import re
from pathlib import Path

from test_layers import RANKS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
ROW = re.compile(r"^\| (\d+) \| `?([\w. ]+?)`? \|", re.MULTILINE)


def test_the_page_lists_every_room_with_its_rank():
    listed = {name: int(rank) for rank, name in ROW.findall(PAGE.read_text(encoding="utf-8"))}
    assert listed == {name or "quantattack": rank for name, rank in RANKS.items()}


def test_a_twin_is_the_rebuild_of_a_deployed_file_and_nothing_else():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.yaml")]
    pages += [*(ROOT / "src" / "quantattack" / "diagnostics").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
    found = [path.name for path in pages if re.search(r"float twin|--twin|a twin without", path.read_text("utf-8"))]
    assert found == []
