"""The programs of docs/coming-from.md: ours run everywhere, the other libraries' where these are installed."""

import ast
import re
from pathlib import Path

import pytest

from attacks.adapters.peers import MODULES, need

PAGE = (Path(__file__).parents[3] / "docs" / "coming-from.md").read_text(encoding="utf-8")
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)
THEIRS = dict(re.findall(r"```python (\w+)\n(.*?)```", PAGE, re.DOTALL))
pytestmark = pytest.mark.usefixtures("unchecked")


def ours(section: str) -> str:
    """The programs of a section that are ours."""
    return "".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


def section_of(library: str) -> str:
    return next(section for section in SECTIONS if f"```python {library}" in section)


def printed(code: str, space: dict[str, object], capsys: pytest.CaptureFixture[str]) -> float:
    exec(compile(code, "docs/coming-from.md", "exec"), space)
    return float(capsys.readouterr().out)


@pytest.fixture
def space() -> dict[str, object]:
    """What the page's first program defines, and the threat of its second."""
    names: dict[str, object] = {}
    exec(compile(ours(SECTIONS[0]), "docs/coming-from.md", "exec"), names)
    exec("threat = qa.Threat('linf', 0.1)", names)
    return names


def test_there_is_a_section_for_each_library():
    assert set(THEIRS) == {"foolbox", "torchattacks", "art", "autoattack"} <= set(MODULES)
    for code in THEIRS.values():
        ast.parse(code)


@pytest.mark.parametrize("library", THEIRS)
def test_ours_prints_a_robust_accuracy(library, space, capsys):
    assert 0.4 < printed(ours(section_of(library)), space, capsys) < 0.95


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", THEIRS)
def test_theirs_says_nearly_the_same(library, space, capsys):
    need(library)
    theirs = printed(THEIRS[library], space, capsys)
    assert abs(theirs - printed(ours(section_of(library)), space, capsys)) <= 0.05


def test_every_name_of_ours_exists():
    import quantattack as qa

    assert all(hasattr(qa, name) for name in set(re.findall(r"\bqa\.(\w+)", PAGE)))
