"""Images of a record as pictures: a row for each attack, a column for each image, and the class below each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from quantattack.record.signals import Signal
from quantattack.report.style import styled


def pictures_figure(signals: Sequence[Signal], names: Mapping[str, str]) -> Figure:
    """Draw each signal's images in a row.

    Arguments:
        signals: Signals of the quantity ``perturbed``, with the same images in each.
        names: Name of each row by the signal's temperature, where it has another.
    """
    across = len(signals[0].numbers["image"])
    with styled(height=0.1 + 0.5 * len(signals)) as figure:
        panels = figure.subplots(len(signals), across, squeeze=False)
        for row, signal in zip(panels, signals, strict=True):
            for place, axes in enumerate(row):
                _picture(axes, signal.numbers, place)
            row[0].set_ylabel(
                names.get(signal.temperature, signal.temperature), rotation=0, ha="right", va="center", fontsize=7.5
            )
    return figure


def _picture(axes: Axes, numbers: Mapping[str, Any], place: int) -> None:
    axes.imshow(_gray_levels(numbers, place), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(str(numbers["predicted"][place]), fontsize=7, labelpad=1)
    axes.grid(visible=False)


def _gray_levels(numbers: Mapping[str, Any], place: int) -> NDArray[np.uint8]:
    """Return one image of one channel as rows of bytes; of several channels, the first."""
    height, width = numbers["shape"][-2:]
    pixels = np.frombuffer(bytes.fromhex(numbers["pixels"][place]), dtype=np.uint8)
    return pixels[: height * width].reshape(height, width)
