"""The pages' templates, filled in: one place for all of them."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from quantattack.report.comparison import p_words, words
from quantattack.report.reproduction import small, turned
from quantattack.report.tables import interval, percent

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: object) -> str:
    """Return a page of HTML.

    Arguments:
        template: Name of the template's file.
        values: What the template shows, by the names that it uses.

    Raises:
        jinja2.UndefinedError: If the template shows what is not among the values.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    """Return where templates are found; what they show is escaped unless it is marked as HTML."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, interval=interval, p_words=p_words, compared_words=words, turned=turned, small=small
    )
    return environment
