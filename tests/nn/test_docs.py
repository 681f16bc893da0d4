import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["adding-a-quantizer", "quantizing-your-own-network"])
def test_the_page_runs_and_prints_what_it_shows(page, capsys):
    code = "\n".join(re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.S))
    exec(compile(code, page, "exec"), {"__name__": page})
    shown = re.findall(r"^print\(.*\)  # (.*)$", code, re.M)
    assert capsys.readouterr().out.splitlines() == shown
    assert len(shown) >= 2


def test_a_quantizer_takes_under_20_lines():
    first = re.search(r"```python\n(.*?)```", (DOCS / "adding-a-quantizer.md").read_text(), re.S)
    assert len(first[1].strip().splitlines()) < 20
