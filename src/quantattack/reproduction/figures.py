"""The figures of a reproduction, drawn from its records."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from quantattack.record.signals import Signal
from quantattack.report.gradient_histograms import histogram_figure
from quantattack.report.pictures import pictures_figure
from quantattack.report.reproduction_figures import Panel, dots_figure, lines_figure
from quantattack.report.signal_figures import gradient_figure, hessian_figure, sign_figure, softmax_figure
from quantattack.report.style import svg
from quantattack.reproduction.paper import Column, Item, Row, label
from quantattack.reproduction.read import Reader
from quantattack.reproduction.roles import Role

# from an item, a column and its radius in pixels of [0, 1]: the column's line and x coordinate; None if not plotted
Place = Callable[[Item, Column, float], tuple[str, float] | None]
NUMBER = re.compile(r"[\d.]+")


def by_step(item: Item, column: Column, radius: float) -> tuple[str, float] | None:  # noqa: ARG001
    """Return a column's line, one for each attack and radius, and its number of steps; None if it has none."""
    if column.step is None:
        return None
    suffix = f", {column.times:g} times the radius" if column.times != 1 else ""
    return label(item, column.name) + suffix, float(column.step)


def by_radius(item: Item, column: Column, radius: float) -> tuple[str, float] | None:
    """Return a column's line, one for each attack, and its radius in gray levels; None if it varies something else."""
    varied = column.radius is not None or (column.step is None and (column.times != 1 or column.name == "pgd"))
    if not varied:
        return None
    return label(item, column.name), 255 * radius


def by_pixels(item: Item, column: Column, radius: float) -> tuple[str, float] | None:
    """Return a column's line and its radius, as `by_radius` does, in pixels of [0, 1]."""
    found = by_radius(item, column, radius)
    return None if found is None else (found[0], radius)


def by_number(item: Item, column: Column, radius: float) -> tuple[str, float] | None:  # noqa: ARG001
    """Return a column's line and the number in its attack's name, such as a step size; None if there is none."""
    number = NUMBER.search(column.name)
    if number is None:
        return None
    return (f"{column.step} steps" if column.step is not None else "PGD"), float(number.group())


@dataclass(frozen=True)
class Plot:
    """Lines of robust accuracy.

    Arguments:
        axis: Label of the horizontal axis.
        place: Returns a column's line and x coordinate.
        logarithmic: Whether the horizontal axis is logarithmic.
        zoomed: Whether the vertical axis has only the range of the lines.
    """

    axis: str
    place: Place
    logarithmic: bool = False
    zoomed: bool = False


_ITERATIONS = Plot("iterations", by_step)
_RADIUS = Plot("radius in gray levels of 255", by_radius)
_STEPS = Plot("steps", by_step, zoomed=True)  # the paper's lines differ by a few points
PLOTS: Mapping[tuple[str, str], tuple[Plot, ...]] = {
    ("gupta2022", "figure1"): (_ITERATIONS, _RADIUS),
    ("gupta2022", "figure1a"): (_ITERATIONS,),
    ("gupta2022", "figure1b"): (_RADIUS,),
    ("gupta2022", "figure4"): (Plot("step size over the radius", by_number, logarithmic=True),),
    ("liu2020", "figure3"): (Plot("radius in pixels of [0, 1]", by_pixels, zoomed=True),),
    ("liu2020", "figure4"): (_STEPS,),
    ("liu2020", "figure5"): (_STEPS,),
    ("liu2020", "section45"): (Plot("levels b", by_number, logarithmic=True, zoomed=True),),
    ("beyond", "ladder"): (Plot("steps", by_step, logarithmic=True),),
}
# figures with PGD beside images that are transferred, and the names of both
TRANSFERS = (("gupta2022", "figure1"), ("gupta2022", "figure1c"))
TRANSFERRED = {"PGD on the network itself": "pgd", "transferred from the float network": "transfer"}
# by paper and item: caption, the signals' quantity, and what draws them
Drawn = tuple[str, str, Callable[[Item, Sequence[Signal]], Figure]]


def _curve(caption: str, draw: Callable[[Sequence[Signal]], Figure]) -> Drawn:
    return caption, "curves", lambda _, signals: draw(signals)


def _pictures(item: Item, signals: Sequence[Signal]) -> Figure:
    return pictures_figure(signals, {signal.temperature: label(item, signal.temperature) for signal in signals})


DRAWN: Mapping[tuple[str, str], tuple[Drawn, ...]] = {
    ("gupta2022", "figure2"): (_curve("The softmax's Jacobian and the error signal against beta", softmax_figure),),
    ("gupta2022", "figure3"): (_curve("The Hessian's norm against beta", hessian_figure),),
    ("gupta2022", "figure5"): (
        _curve("The input gradient against beta", gradient_figure),
        _curve("Its sign against beta", sign_figure),
    ),
    ("liu2020", "figure1"): (("The first test image of each class", "perturbed", _pictures),),
    ("liu2020", "figure2"): (("Histograms of gradients", "directions", lambda _, signals: histogram_figure(signals)),),
}


def figures(reader: Reader, key: str) -> tuple[tuple[str, str], ...]:
    """Return an item's figures as pairs of SVG and caption; empty for a table or if nothing was run."""
    paper = reader.plan.paper
    item = paper.items[key]
    plots = [_plot(reader, key, plot) for plot in PLOTS.get((paper.key, key), ())]
    if (paper.key, key) in TRANSFERS:
        plots.append(_transfers(reader, key))
    drawn = [
        _as_svg(f"{paper.key}-{key}-{index}", caption, draw(item, signals))
        for index, (caption, quantity, draw) in enumerate(DRAWN.get((paper.key, key), ()))
        if (signals := _signals(reader, item, quantity))
    ]
    return (*(plot for plot in plots if plot is not None), *drawn)


def _transfers(reader: Reader, key: str) -> tuple[str, str] | None:
    """Return PGD on a network and images transferred to it side by side, for the networks that have both."""
    rows = {row.role.label: _shares(reader, row.role) for row in reader.plan.paper.items[key].rows}
    both = {network: shares for network, shares in rows.items() if len(shares) == len(TRANSFERRED)}
    if not both:
        return None
    caption = "Robust accuracy under transfer"
    return _as_svg(f"{reader.plan.paper.key}-{key}-transfer", caption, dots_figure(both))


def _shares(reader: Reader, role: Role) -> dict[str, float]:
    found = {name: reader.number(role, Column("", attack)) for name, attack in TRANSFERRED.items()}
    return {name: number.value for name, number in found.items() if number is not None}


def _plot(reader: Reader, key: str, plot: Plot) -> tuple[str, str] | None:
    item = reader.plan.paper.items[key]
    panels = [panel for row in item.rows if (panel := _panel(reader, item, row, plot.place)).lines]
    if not panels:
        return None
    zoomed = ", on an axis of its range," if plot.zoomed else ""
    caption = f"Robust accuracy{zoomed} against {plot.axis}"
    name = f"{reader.plan.paper.key}-{key}-{plot.axis.split()[0]}"
    return _as_svg(name, caption, lines_figure(panels, plot.axis, plot.logarithmic, plot.zoomed))


def _panel(reader: Reader, item: Item, row: Row, place: Place) -> Panel:
    lines: dict[str, list[tuple[float, float]]] = {}
    data = reader.data(row.role)
    for column in item.columns:
        point, number = place(item, column, reader.radius(data, column)), reader.number(row.role, column)
        if point is not None and number is not None:
            line, x = point
            lines.setdefault(line, []).append((x, number.value))
    return Panel(row.role.label, lines)


def _signals(reader: Reader, item: Item, quantity: str) -> list[Signal]:
    signals = [signal for row in item.rows for _, signal in reader.records(row.role).signals]
    unique = {
        (signal.model, signal.data, signal.temperature): signal for signal in signals if signal.quantity == quantity
    }
    return list(unique.values())


def _as_svg(name: str, caption: str, figure: Figure) -> tuple[str, str]:
    return Markup(svg(figure, re.sub(r"[^a-z0-9-]", "", name.lower()), f"{caption}.")), caption
