"""A record's figures as matplotlib `Figure` objects: steps, radii, which attack broke which image, margins."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from quantattack.record.description import stable
from quantattack.record.record import Record
from quantattack.report.colors import LIGHT, SERIES
from quantattack.report.steps import Curve, step_curve
from quantattack.report.style import FAINT, INK, PAPER, legend, look, percent_axis, styled
from quantattack.report.tables import broken_by, norm_name


def steps_figure(record: Record) -> Figure:
    """Draw robust accuracy against the number of steps, one series per attack, with clean accuracy and worst case."""
    curves = {name: curve for name in record.attacks if (curve := step_curve(record, name)) is not None}
    with styled([*curves, "clean", "worst case"]) as figure:
        axes = figure.subplots()
        for place, (name, curve) in enumerate(curves.items()):
            _draw_curve(axes, curve, name, look(place))
        _level(axes, record.clean, "clean accuracy", (0, (1, 1)))
        _level(axes, record.worst_case, "worst case over all attacks", (0, (12, 2)))
        _steps_axis(axes, max((int(curve.steps[-1]) for curve in curves.values()), default=1))
        percent_axis(axes)
        legend(figure, axes)
    return figure


def _draw_curve(axes: Axes, curve: Curve, name: str, look: dict[str, Any]) -> None:
    steps, robust = curve.steps, 100 * curve.robust
    drops = np.flatnonzero(np.diff(robust, prepend=np.inf, append=-np.inf)[:-1])  # steps at which robust accuracy drops
    kept = np.unique([*drops, len(steps) - 1])
    every = max(1, len(kept) // 6)
    axes.plot(steps[kept], robust[kept], drawstyle="steps-post", markevery=every, label=name, gid="series", **look)


def _steps_axis(axes: Axes, last: int) -> None:
    axes.set_xlabel("steps or queries taken (0 is the start point)")
    if last > 200:
        ticks = [0, *(10**power for power in range(len(str(last)) + 1) if 10**power <= last)]
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(0, max(last, 1) * 1.02)


def radius_groups(records: Sequence[Record]) -> list[list[Record]]:
    """Group the evaluations that differ only in radius, sorted by radius; single-radius groups are left out."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        threat = record.threat
        about = *(threat.get(name) for name in ("low", "high", "levels")), stable(threat.get("each"))
        key = (record.subject.model, record.subject.data, norm_name(threat), *about)
        if isinstance(threat.get("radius"), int | float) and record.complete and len(record.indices):
            groups.setdefault(key, []).append(record)
    several = (group for group in groups.values() if len({record.threat["radius"] for record in group}) > 1)
    return [sorted(group, key=lambda record: float(record.threat["radius"])) for group in several]


def radius_figure(group: Sequence[Record]) -> Figure:
    """Draw robust accuracy against the radius: a series per attack, the worst case, and what is proved from below.

    Arguments:
        group: Evaluations that differ by their radius only, as `radius_groups` returns them.

    """
    names, proved = list(dict.fromkeys(name for record in group for name in record.attacks)), proved_shares(group)
    with styled([*names, "clean", "worst case", *(["proved"] if proved else [])]) as figure:
        axes = figure.subplots()
        for place, name in enumerate(names):
            here = [record for record in group if name in record.attacks]
            robust = [100 * record.robust(name) for record in here]
            axes.plot([_radius(record) for record in here], robust, label=name, gid="series", **look(place))
        worst = [100 * record.worst_case for record in group]
        axes.plot(
            [_radius(record) for record in group],
            worst,
            color=LIGHT["worst"],
            lw=6,
            zorder=1,
            label="worst case",
            gid="series",
        )
        _draw_proved(axes, proved)
        axes.plot([0], [100 * group[0].clean], "o", mfc=PAPER, mec=INK, label="clean accuracy", gid="series")
        axes.set_xlabel(f"radius ({norm_name(group[0].threat)} norm, pixels from 0 to 1)")
        percent_axis(axes)
        legend(figure, axes)
    return figure


def proved_shares(group: Sequence[Record]) -> dict[float, float]:
    """Return the share of the images that is proved robust at each radius where a complete search was run."""
    return {_radius(record): record.bracket[0] for record in group if record.bracket is not None}


def _draw_proved(axes: Axes, proved: Mapping[float, float]) -> None:
    if proved:
        shares = [100 * share for share in proved.values()]
        axes.plot(list(proved), shares, color=INK, lw=1.1, ls=(0, (4, 2)), marker="2", label="proved", gid="series")


def _radius(record: Record) -> float:
    return float(record.threat["radius"])


def matrix_figure(record: Record) -> Figure:
    """Draw which attack (row) broke which image (column); images broken by the same attacks are next to each other."""
    broken, names = broken_by(record), record.attacks
    wrong = _wrong(record)
    order = np.lexsort((*broken[::-1], -broken.sum(axis=0), ~wrong))
    hatched: Any = {"facecolor": LIGHT["wrong"], "edgecolor": LIGHT["edge"], "hatch": "////", "gid": "wrong"}
    with styled(height=1.0 + 0.3 * max(len(names), 1)) as figure:
        axes = figure.subplots()
        for place, row in enumerate(broken[:, order]):
            axes.barh(place, len(row), height=0.62, facecolor=PAPER, edgecolor=FAINT, linewidth=0.8)
            _bars(axes, place, row & ~wrong[order], facecolor=SERIES[0], gid="series")
            _bars(axes, place, wrong[order], **hatched)
            axes.text(len(row) * 1.015, place, f"{row.sum()} of {len(row)}", va="center", fontsize=8)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0, max(broken.shape[1], 1))
        axes.grid(visible=False)
        axes.set_xlabel("images, sorted by the attacks that broke them")
    return figure


def _wrong(record: Record) -> NDArray[np.bool_]:
    """Return which of the images that every attack has seen are misclassified without any attack."""
    if not record.attacks:
        return np.zeros(0, dtype=np.bool_)
    name = record.attacks[0]
    seen = np.isin(record.column(name, "image"), record.indices)
    wrong = record.column(name, "clean_prediction") != record.column(name, "label")
    return np.asarray(wrong[seen], dtype=np.bool_)


def _bars(axes: Axes, place: int, row: NDArray[np.bool_], **look: Any) -> None:
    """Draw one bar for each run of images that are next to each other."""
    edges = np.diff(np.concatenate(([False], row, [False])).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if len(starts):
        runs = [(float(start), float(end - start)) for start, end in zip(starts, ends, strict=True)]
        axes.broken_barh(runs, (place - 0.31, 0.62), linewidth=0, **look)


def margins(record: Record) -> dict[str, NDArray[np.float64]]:
    """Return the attacked images' margins for each attack that has any, in logits."""
    every = {name: record.column(name, "margin").astype(float) for name in record.attacks}
    finite = {name: values[np.isfinite(values)] for name, values in every.items()}
    return {name: values for name, values in finite.items() if len(values)}


def margins_figure(record: Record, bins: int = 40) -> Figure:
    """Draw a histogram of the attacked images' margins for each attack, on a common axis.

    The margin is the true logit minus the largest other; left of 0 the model is fooled.

    Arguments:
        record: The evaluation.
        bins: How many bars, at most, in each attack's histogram.

    """
    known = margins(record)
    edges = _edges(list(known.values()), bins)
    with styled(height=0.9 + 0.62 * max(len(known), 1)) as figure:
        rows = figure.subplots(max(len(known), 1), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, values) in zip(rows, known.items(), strict=False):
            _histogram(axes, values, edges, name)
        rows[-1].set_xlabel("margin of the attacked image (logits); hatched: fooled")
        figure.supylabel("images", fontsize=9)
    return figure


def _edges(values: Sequence[NDArray[np.float64]], bins: int) -> NDArray[np.float64]:
    """Return bin edges over all values, one of them at 0, so that no bar mixes fooled and robust images."""
    every = np.concatenate([[0.0], *values])
    low, high = float(every.min()), float(every.max())
    width = (high - low) / bins or 1.0
    return np.asarray(width * np.arange(np.floor(low / width - 1e-9), np.ceil(high / width) + 2), dtype=np.float64)


def _histogram(axes: Axes, values: NDArray[np.float64], edges: NDArray[np.float64], name: str) -> None:
    counts, _ = np.histogram(values, edges)
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            look: Any = {"facecolor": LIGHT["fooled"], "hatch": "/////"} if right <= 0 else {"facecolor": LIGHT["held"]}
            axes.bar(left, count, right - left, align="edge", edgecolor=INK, linewidth=0.5, gid="bar", **look)
    axes.axvline(0, color=INK, linewidth=1.1)
    axes.set_title(name, loc="left", fontsize=8.5, pad=2)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))


def _level(axes: Axes, share: float, label: str, line: Any) -> None:
    if np.isfinite(share):
        axes.axhline(100 * share, color=INK, linewidth=1.1, linestyle=line, label=label, gid="level")
