"""Robust accuracy of a reproduction: lines against steps, radius, step size or levels, and dots side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

from matplotlib.figure import Figure

from quantattack.report.style import PERCENT, legend, logarithmic_axis, look, percent_axis, styled

Points = Sequence[tuple[float, float]]
LABEL, TITLE = 30, 72  # letters in a line beside the axes, and above them


@dataclass(frozen=True)
class Panel:
    """One network's lines.

    Arguments:
        title: The network.
        lines: Points (x, share) of each series by name.
    """

    title: str
    lines: Mapping[str, Points]


def lines_figure(panels: Sequence[Panel], label: str, logarithmic: bool = False, zoomed: bool = False) -> Figure:
    """Draw robust accuracy against the variable on the horizontal axis, one panel per network.

    Arguments:
        panels: The networks.
        label: Label of the horizontal axis.
        logarithmic: Whether it is logarithmic.
        zoomed: Whether each vertical axis has only the range of its lines, in place of 0 to 100 %.
    """
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    with styled(names, 0.4 + 2.1 * len(panels)) as figure:
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, panel in zip(rows, panels, strict=True):
            for name, points in panel.lines.items():
                x, y = zip(*sorted(points), strict=True)
                axes.plot(x, [100 * share for share in y], label=name, gid="series", **look(names.index(name)))
            axes.set_title(fill(panel.title, TITLE), loc="left", fontsize=8.5, pad=2)
            percent_axis(axes, () if not zoomed else [share for points in panel.lines.values() for _, share in points])
            if logarithmic:
                logarithmic_axis(axes)
        rows[-1].set_xlabel(label)
        legend(figure, max(rows, key=lambda axes: len(axes.lines)))
    return figure


def dots_figure(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw shares of several series side by side, one row a network.

    Arguments:
        rows: The share of each series by name, by network.
    """
    names = list(dict.fromkeys(name for shares in rows.values() for name in shares))
    labels = [fill(network, LABEL) for network in rows]
    with styled(names, 0.8 + 0.28 * len(rows) + 0.12 * sum(label.count("\n") for label in labels)) as figure:
        axes = figure.subplots()
        for place, name in enumerate(names):
            at = [(100 * shares[name], row) for row, shares in enumerate(rows.values()) if name in shares]
            x, y = zip(*at, strict=True)
            axes.plot(x, y, label=name, gid="series", **{**look(place), "linestyle": "none", "markersize": 7})
        axes.set_yticks(range(len(rows)), labels)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("robust accuracy (%)")
        axes.set_xlim(*PERCENT)
        legend(figure, axes)
    return figure
