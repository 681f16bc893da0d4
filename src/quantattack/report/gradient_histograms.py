"""Histograms of gradients as steps, one panel a kind of step.

Source: Liu et al., 2020, https://arxiv.org/abs/2002.02372 (figure 2).
"""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from quantattack.record.signals import Signal
from quantattack.report.colors import SERIES
from quantattack.report.style import logarithmic_counts, styled

ACROSS = 2
TITLES: Mapping[str, str] = {
    "sign": "sign",
    "quantized": "b = 100",
    "raw": "raw, scaled as b = 100",
}


def histogram_figure(signals: Sequence[Signal]) -> Figure:
    """Draw the histogram of each kind of step, entries per bin on a logarithmic axis.

    Arguments:
        signals: Signals of the quantity ``directions``, all of one network.
    """
    down = ceil(len(signals) / ACROSS)
    with styled(height=0.6 + 1.25 * down) as figure:
        panels = figure.subplots(down, ACROSS, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, signal in zip(panels, signals, strict=False):
            _bars(axes, signal)
        for axes in panels[len(signals) :]:
            axes.set_visible(False)
        figure.supxlabel("size of an entry, in levels; 30 stands for 30 and more", fontsize=9)
        figure.supylabel("entries", fontsize=9)
    return figure


def _bars(axes: Axes, signal: Signal) -> None:
    """Draw one histogram; the raw gradient's own is all in the bin of 0, so that its shape is drawn in its place."""
    numbers = signal.numbers
    own = numbers["counts"]
    counts = np.asarray(
        numbers.get("shape", own) if signal.temperature == "raw" else own
    )  # older records have no shape
    axes.stairs(counts, numbers["edges"], fill=True, color=SERIES[0], gid="bar")
    logarithmic_counts(axes)
    name = signal.temperature
    axes.set_title(TITLES.get(name, name.replace("quantized ", "b = ")), loc="left", fontsize=8.5, pad=2)
