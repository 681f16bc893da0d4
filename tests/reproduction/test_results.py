"""The committed page of the papers is what the committed records give, number by number."""

import re
import shutil
from pathlib import Path

import jaxtyping
import pytest

from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.page import write_pages
from quantattack.reproduction.plan import Plan

ROOT = Path(__file__).parents[2]
DRAWN = re.compile(r"<svg.*?</svg>", re.DOTALL)  # as another version of matplotlib may draw it otherwise


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for key in PAPERS:
        shutil.copytree(ROOT / "results" / key, folder / key, ignore=shutil.ignore_patterns("*.html"))
    plans = [
        Plan(paper, tuple(paper.items), paper.scale("quick"), folder, networks=ROOT / "zoo")
        for paper in PAPERS.values()
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # shapes are checked elsewhere
        return write_pages(plans)


def test_the_index_is_that_of_the_records(rebuilt):
    text, kept = (path.read_text(encoding="utf-8") for path in (rebuilt, ROOT / "results" / "index.html"))
    assert DRAWN.sub("", text).splitlines() == DRAWN.sub("", kept).splitlines()
    assert len(DRAWN.findall(text)) == len(DRAWN.findall(kept)) > 10


def test_each_record_has_a_page(rebuilt):
    folders = {path.parent for path in rebuilt.parent.rglob("record.sqlite")}
    assert {path.parent for path in rebuilt.parent.rglob("record.html")} == folders
