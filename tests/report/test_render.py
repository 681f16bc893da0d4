"""One place fills in the templates of every page."""

import pytest
from jinja2 import UndefinedError

from quantattack.report.render import TEMPLATES, render

RECORD = {"identity": "{}", "notes": "{}", "sections": []}


def test_what_a_template_shows_is_escaped():
    text = render("record.html.j2", title="<b>net</b>", **RECORD)
    assert "&lt;b&gt;net&lt;/b&gt;" in text
    assert "<b>net" not in text


def test_what_is_not_given_is_an_error():
    with pytest.raises(UndefinedError, match="title"):
        render("record.html.j2", **RECORD)


def test_every_template_is_in_one_folder():
    package = TEMPLATES.parents[1]
    assert {path.parent for path in package.rglob("*.j2")} == {TEMPLATES}
