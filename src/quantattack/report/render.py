"""Render the Jinja templates of all HTML pages."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from quantattack.report.colors import DARK
from quantattack.report.comparison import p_words, words
from quantattack.report.deployed import over_words
from quantattack.report.percent import percent
from quantattack.report.reproduction import small, turned
from quantattack.report.tables import interval

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: object) -> str:
    """Render a template to HTML.

    Arguments:
        template: Name of the template's file.
        values: Variables of the template.

    Raises:
        jinja2.UndefinedError: If the template uses a variable that is not given.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    """Return the Jinja environment; values are escaped unless they are `Markup`."""
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
    environment.filters.update(over_words=over_words)
    environment.globals.update(dark_figures=DARK)
    return environment
