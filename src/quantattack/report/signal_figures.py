"""A record's signals as matplotlib `Figure` objects, after Gupta and Ajanthan (2022).

Source: https://arxiv.org/abs/2003.13511 (figures 2, 3 and 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from quantattack.errors import InputError
from quantattack.record.signals import Signal
from quantattack.report.signal_tables import NAMES, measured, unit_words
from quantattack.report.style import legend, logarithmic_axis, look, styled

NEAR, REACH = (
    12.0,
    130.0,
)  # ranges of beta * margin: up to past the peak of the Hessian's norm; to where float32 gradients vanish


@dataclass(frozen=True)
class Drawing:
    """A figure of the page: a title, the SVG, and a sentence below it."""

    title: str
    svg: Markup
    caption: str


def spectrum_figure(signals: Sequence[Signal]) -> Figure:
    """Draw the histogram of the Jacobian's singular values, unscaled and scaled, one panel a network."""
    spectra = measured(signals, "singular_values")
    models = _models(spectra)
    shown = [name for name in ("unit", "njs", "hns", "gap") if any(signal.temperature == name for signal in spectra)]
    with styled([NAMES[name] for name in shown], _height(len(models))) as figure:
        for axes, model in zip(_panels(figure, len(models)), models, strict=True):
            for place, name in enumerate(shown):
                _bars_line(axes, _numbers(spectra, model, name), NAMES[name], place)
            logarithmic_axis(axes)
            _title(axes, model)
        figure.axes[-1].set_xlabel(f"singular value of the input-output Jacobian ({unit_words(spectra)})")
        figure.supylabel("singular values", fontsize=9)
        legend(figure, figure.axes[0])
    return figure


def _bars_line(axes: Axes, numbers: Any, label: str, place: int) -> None:
    """Draw a histogram as its outline, with sparse markers that distinguish the series."""
    edges, counts = np.asarray(numbers["edges"]), np.asarray(numbers["counts"])
    middle = np.sqrt(edges[1:] * edges[:-1])
    filled = np.flatnonzero(counts)
    shown = slice(filled[0], filled[-1] + 1) if len(filled) else slice(0)
    axes.plot(
        middle[shown], counts[shown], drawstyle="steps-mid", markevery=6, label=label, gid="series", **look(place)
    )


def softmax_figure(signals: Sequence[Signal]) -> Figure:
    """Figure 2: mean singular value of the softmax's Jacobian, and a tenth of the error signal, against beta."""
    series: Series = (
        ("softmax", "mean singular value of the softmax's Jacobian", 1.0),
        ("error", "0.1 of the error signal's norm", 0.1),
    )
    return _curves(signals, series, 2 * NEAR, "value")


def hessian_figure(signals: Sequence[Signal]) -> Figure:
    """Figure 3: norm of the input Hessian against beta, with the choices of NJS, HNS and Gap marked."""
    return _curves(signals, (("hessian", "Frobenius norm of the input Hessian", 1.0),), NEAR, "norm", marks=True)


def gradient_figure(signals: Sequence[Signal]) -> Figure:
    """Figure 5, left: norm of the input gradient against beta."""
    return _curves(signals, (("gradient", "norm of the input gradient", 1.0),), NEAR, "norm", marks=True)


def sign_figure(signals: Sequence[Signal]) -> Figure:
    """Figure 5, right: norm of the sign of the input gradient against beta, exact and in float32."""
    series: Series = (("sign", "exact", 1.0), ("sign_float", "float32", 1.0))
    return _curves(signals, series, REACH, "norm of the gradient's sign")


Series = tuple[tuple[str, str, float], ...]  # (key in the record, label, factor)


def _curves(signals: Sequence[Signal], series: Series, reach: float, label: str, marks: bool = False) -> Figure:
    curves = measured(signals, "curves")
    if not curves:
        raise InputError("the record holds no curves; run `quantattack signal` first")
    names = [name for _, name, _ in series] + (["NJS", "HNS paper", "HNS", "Gap"] if marks else [])
    with styled(names, _height(len(curves))) as figure:
        for axes, signal in zip(_panels(figure, len(curves), shared=False), curves, strict=True):
            _curve(axes, signal, series, reach)
            if marks:
                _marks(axes, signal, series[0][0], reach)
            numbers = signal.numbers
            _title(axes, f"{signal.model}, image {numbers['image']} (margin {numbers['margin']:.3g})")
            axes.set_ylim(bottom=0)
        figure.axes[-1].set_xlabel("beta")
        figure.supylabel(label, fontsize=9)
        legend(figure, figure.axes[0])
    return figure


def _curve(axes: Axes, signal: Signal, series: Series, reach: float) -> None:
    beta = np.asarray(signal.numbers["beta"])
    near = beta * (signal.numbers["margin"] or 1.0) <= reach * (1 + 1e-6)
    for place, (key, name, factor) in enumerate(series):
        values = factor * np.asarray(signal.numbers[key])[near]
        axes.plot(beta[near], values, markevery=(0.02 + 0.06 * place, 0.13), label=name, gid="series", **look(place))


def _marks(axes: Axes, signal: Signal, key: str, reach: float) -> None:
    """Mark where each temperature's beta lies on a curve; one beyond the axis is not drawn."""
    beta, values = np.asarray(signal.numbers["beta"]), np.asarray(signal.numbers[key])
    for place, name in enumerate(("njs", "hns_paper", "hns", "gap")):
        at = signal.numbers["marks"].get(name)
        if at is not None and at * (signal.numbers["margin"] or 1.0) <= reach:
            style: Any = {**look(place + 1), "linestyle": "none", "markersize": 8, "markeredgecolor": "white"}
            axes.plot([at], [np.interp(at, beta, values)], label=NAMES[name], gid="mark", zorder=4, **style)


def _models(signals: Sequence[Signal]) -> list[str]:
    return list(dict.fromkeys(signal.model for signal in signals))


def _numbers(signals: Sequence[Signal], model: str, temperature: str) -> Any:
    return next(signal.numbers for signal in signals if (signal.model, signal.temperature) == (model, temperature))


def _panels(figure: Figure, count: int, shared: bool = True) -> list[Axes]:
    panels = figure.subplots(max(count, 1), 1, sharex=shared, squeeze=False)[:, 0]
    return list(panels)


def _height(panels: int) -> float:
    return 0.9 + 1.55 * max(panels, 1)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=8.5, pad=3)
