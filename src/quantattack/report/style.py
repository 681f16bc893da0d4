"""The common style of all figures, and their conversion to inline SVG.

Series differ by line and marker as well as by color.  pyplot is not used, so no global state changes.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from quantattack.report.colors import LIGHT, SERIES, by_name

WIDTH = 4.9  # inches; at 9 points the text is readable on a phone, where the page shows the figure at about this size
INK, FAINT, PAPER = LIGHT["ink"], LIGHT["faint"], LIGHT["paper"]
PERCENT = (-3, 103)  # ends of an axis of percentages, with room for a marker
LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (2, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
STYLE: Any = {
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.edgecolor": LIGHT["edge"],
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,  # a model's or an attack's name may hold a dollar sign
    "xtick.color": LIGHT["tick"],
    "ytick.color": LIGHT["tick"],
    "lines.linewidth": 1.7,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "hatch.linewidth": 0.7,
    "svg.fonttype": "none",
    "svg.hashsalt": "quantattack",
}


@contextmanager
def styled(labels: Sequence[str] = (), height: float = 0.0) -> Iterator[Figure]:
    """Yield an empty figure in the common style, with room below for a legend of these labels."""
    lines = -(-len(labels) // _legend_columns(labels))
    with mpl.rc_context(STYLE):
        yield Figure(figsize=(WIDTH, (height or 2.7) + 0.2 * lines), layout="constrained")


def _legend_columns(labels: Sequence[str]) -> int:
    return 1 if max(map(len, labels), default=0) > 28 else 2


def look(place: int) -> dict[str, Any]:
    """Return the color, line style and marker of a series; the first 63 differ even without color."""
    return {
        "color": SERIES[place % len(SERIES)],
        "linestyle": LINES[place % len(LINES)],
        "marker": MARKERS[place % len(MARKERS)],
    }


def percent_axis(axes: Axes, shares: Sequence[float] = ()) -> None:
    """Make the vertical axis robust accuracy from 0 to 100 %, or of the range of some shares, with room for markers."""
    axes.set_ylabel("robust accuracy (%)")
    if not shares:
        axes.set_ylim(*PERCENT)
        axes.set_yticks([0, 20, 40, 60, 80, 100])
        return
    low, high = 100 * min(shares), 100 * max(shares)
    room = max(0.5, 0.08 * (high - low))
    axes.set_ylim(max(PERCENT[0], low - room), min(PERCENT[1], high + room))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def logarithmic_axis(axes: Axes) -> None:
    """Make the horizontal axis logarithmic, with plain numbers: formulas, which matplotlib writes, are not parsed."""
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)


def logarithmic_counts(axes: Axes) -> None:
    """Make the vertical axis one of counts, logarithmic, with plain numbers; it begins below 1."""
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.8)
    _plain_numbers(axes.yaxis)


def _plain_numbers(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, axes: Axes) -> None:
    """Put the legend of some axes below the figure."""
    handles, labels = axes.get_legend_handles_labels()
    columns = _legend_columns(labels)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8.5)


def svg(figure: Figure, name: str, description: str) -> str:
    """Return a figure as an SVG element to put into a page.

    Arguments:
        figure: What to draw.
        name: Letters, digits and hyphens; put before every id, so that several figures can share a page.
        description: Alternative text for screen readers.

    Returns:
        The element; its colors are variables of the page, which may hold dark ones.
    """
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        _lay_out(figure)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="(series|bar|wrong|level)"', r'class="\1"', text)  # ids that occur many times become classes
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
    text = re.sub(r"font: ([^;\"]*?px) [^;\"]*", r"font-size: \1; font-family: inherit", text)
    return _described(by_name(text), name, description)


def _lay_out(figure: Figure) -> None:
    """Place a figure's parts; `savefig` would draw all of it for that, and then a second time."""
    FigureCanvasSVG(figure)  # whose text has other widths than that of a canvas of pixels
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def _described(text: str, name: str, description: str) -> str:
    """Replace the size in points with the width of the page, and say what the figure shows."""
    opening = text[: text.index(">") + 1]
    sized = re.sub(r'\s(width|height)="[^"]*"', "", opening)
    title = f'<title id="{name}-title">{escape(description)}</title>'
    return sized.replace("<svg", f'<svg role="img" aria-labelledby="{name}-title"', 1) + title + text[len(opening) :]
