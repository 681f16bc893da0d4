"""The figures of a reproduction, from its records."""

import re
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup
from matplotlib.figure import Figure

from quantattack.record.signals import Signal
from quantattack.report.reproduction_figures import Panel, lines_figure
from quantattack.report.signal_figures import gradient_figure, hessian_figure, sign_figure, softmax_figure
from quantattack.report.style import svg
from quantattack.reproduction.paper import Column, Item, Row, label
from quantattack.reproduction.read import Reader

# a column's series and its place on the axis, by its radius in pixels of [0, 1]
Place = Callable[[Item, Column, float], tuple[str, float] | None]
Plot = tuple[str, Place, bool]  # the axis in words, where a column lies on it, whether it is logarithmic
NUMBER = re.compile(r"[\d.]+")


def by_step(item: Item, column: Column, radius: float) -> tuple[str, float] | None:  # noqa: ARG001
    """Place a column by its steps."""
    if column.step is None:
        return None
    far = f", {column.times:g} times the radius" if column.times != 1 else ""
    return label(item, column.name) + far, float(column.step)


def by_radius(item: Item, column: Column, radius: float) -> tuple[str, float] | None:
    """Place a column by its radius, in gray levels."""
    if column.step is not None or (column.times == 1 and column.radius is None and column.name != "pgd"):
        return None
    return label(item, column.name), 255 * radius


def by_number(item: Item, column: Column, radius: float) -> tuple[str, float] | None:  # noqa: ARG001
    """Place a column by the number in its attack's name."""
    number = NUMBER.search(column.name)
    if number is None:
        return None
    return (f"{column.step} steps" if column.step is not None else "PGD"), float(number.group())


_ITERATIONS: Plot = ("iterations", by_step, False)
_RADIUS: Plot = ("radius in gray levels of 255", by_radius, False)
PLOTS: Mapping[tuple[str, str], tuple[Plot, ...]] = {
    ("gupta2022", "figure1"): (_ITERATIONS, _RADIUS),
    ("gupta2022", "figure1a"): (_ITERATIONS,),
    ("gupta2022", "figure1b"): (_RADIUS,),
    ("gupta2022", "figure4"): (("step size over the radius", by_number, True),),
    ("liu2020", "figure3"): (_RADIUS,),
    ("liu2020", "figure4"): (("steps", by_step, False),),
    ("liu2020", "figure5"): (("steps", by_step, False),),
    ("liu2020", "section45"): (("levels b", by_number, True),),
    ("beyond", "ladder"): (("steps", by_step, True),),
}
CURVES: Mapping[str, tuple[tuple[str, Callable[[Sequence[Signal]], Figure]], ...]] = {
    "figure2": (("The softmax's Jacobian and the error signal against beta", softmax_figure),),
    "figure3": (("The Hessian's norm against beta", hessian_figure),),
    "figure5": (
        ("The input gradient against beta", gradient_figure),
        ("Its sign against beta", sign_figure),
    ),
}


def figures(reader: Reader, key: str) -> tuple[tuple[str, str], ...]:
    """Return an item's figures as SVG, each with its caption; none where it is a table or nothing was run."""
    paper = reader.plan.paper
    plots = [_plot(reader, key, *plot) for plot in PLOTS.get((paper.key, key), ())]
    curves = CURVES.get(key, ()) if paper.key == "gupta2022" else ()
    signals = _curves(reader, paper.items[key]) if curves else []
    drawn = [
        _drawn(f"{paper.key}-{key}-{at}", words, draw(signals)) for at, (words, draw) in enumerate(curves) if signals
    ]
    return (*(plot for plot in plots if plot is not None), *drawn)


def _plot(reader: Reader, key: str, words: str, place: Place, logarithmic: bool) -> tuple[str, str] | None:
    item = reader.plan.paper.items[key]
    panels = [panel for row in item.rows if (panel := _panel(reader, item, row, place)).lines]
    if not panels:
        return None
    caption = f"Robust accuracy against {words}"
    return _drawn(
        f"{reader.plan.paper.key}-{key}-{words.split()[0]}", caption, lines_figure(panels, words, logarithmic)
    )


def _panel(reader: Reader, item: Item, row: Row, place: Place) -> Panel:
    lines: dict[str, list[tuple[float, float]]] = {}
    cells = reader.records(row.role).cells
    data = cells[0][0].subject.data if cells else row.role.data
    for column in item.columns:
        where, number = place(item, column, reader.radius(data, column)), reader.number(row.role, column)
        if where is not None and number is not None:
            lines.setdefault(where[0], []).append((where[1], number.value))
    return Panel(row.role.label, lines)


def _curves(reader: Reader, item: Item) -> list[Signal]:
    signals = [signal for row in item.rows for _, signal in reader.records(row.role).signals]
    unique = {(signal.model, signal.data): signal for signal in signals if signal.quantity == "curves"}
    return list(unique.values())


def _drawn(name: str, caption: str, figure: Figure) -> tuple[str, str]:
    return Markup(svg(figure, re.sub(r"[^a-z0-9-]", "", name.lower()), f"{caption}.")), caption
