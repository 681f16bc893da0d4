"""Print the packages of the extra `docs`, for an environment that holds nothing else."""

import re
from pathlib import Path

PROJECT = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
(LINE,) = re.findall(r"^docs = \[(.*)\]$", PROJECT, re.MULTILINE)  # by hand, since Python 3.10 reads no TOML

if __name__ == "__main__":
    print(*re.findall(r'"([^"]+)"', LINE))
