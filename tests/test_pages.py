"""Every program of the pages on parts and on extending them runs, in the order of its page, and prints what is shown.

What a page shows is the comment behind a `print(...)`, or a text block below the program.
"""

import re
from pathlib import Path

import pytest

from quantattack.deployed.readers import READERS

DOCS = Path(__file__).parents[1] / "docs"
NEEDS = {"nouns/deployed-model": "onnxruntime"}
PAGES = [
    *("why", "start", "adding-a-temperature", "adding-a-loss", "adding-a-format", "adding-a-data-set"),
    *sorted(f"nouns/{path.stem}" for path in (DOCS / "nouns").glob("*.md")),
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHOWN = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


def shown(blocks: list[tuple[str, str]]) -> list[str]:
    """What the programs of a page print by its own account, a line each."""
    lines = [SHOWN.findall(text) if kind == "python" else text.splitlines() for kind, text in blocks if kind != "sh"]
    return [line for part in lines for line in part]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("unchecked")
def test_the_programs_of_a_page_print_what_it_shows(page, capsys, monkeypatch):
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    monkeypatch.setitem(READERS, ".linear", None)  # the format that a page adds lasts as long as the test
    blocks = BLOCK.findall((DOCS / f"{page}.md").read_text(encoding="utf-8"))
    code = "".join(text for kind, text in blocks if kind == "python")
    exec(compile(code, f"docs/{page}.md", "exec"), {"__name__": page})
    assert capsys.readouterr().out.splitlines() == shown(blocks)
    assert len(shown(blocks)) >= 1


def test_there_is_a_page_for_each_noun_and_each_way_to_extend():
    nouns = {"threat", "loss", "temperature", "direction", "evaluation", "record", "flag", "deployed-model"}
    assert {f"nouns/{noun}" for noun in nouns} <= set(PAGES)
    ways = {path.stem for path in DOCS.glob("adding-*.md")}
    assert ways >= {f"adding-a-{part}" for part in ("quantizer", "temperature", "loss", "format", "data-set")}


def test_every_flag_is_explained():
    codes = re.findall(r"^\| (`.*?) \|", (DOCS / "nouns/flag.md").read_text(), re.MULTILINE)
    listed = set(re.findall(r"`(\w+)`", " ".join(codes)))
    source = Path(__file__).parents[1] / "src" / "quantattack" / "evaluation"
    raised = {
        code[0] or code[1]
        for name in ("flags", "deployed_flags", "run", "measures")
        for code in re.findall(
            r'^        "(\w+)": |\{"(\w+)": (?:hint|told)', (source / f"{name}.py").read_text(), re.MULTILINE
        )
    }
    assert listed == raised
