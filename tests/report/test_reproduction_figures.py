"""The figures of a reproduction that are not lines: histograms, pictures, dots side by side."""

import numpy as np
import pytest

from quantattack.record.signals import Signal
from quantattack.report.gradient_histograms import histogram_figure
from quantattack.report.pictures import pictures_figure
from quantattack.report.reproduction_figures import dots_figure

EDGES = np.linspace(-30.5, 30.5, 62).tolist()


def of(quantity, name, **numbers):
    return Signal("net", "mnist", quantity, name, "pixel", numbers)


def histogram(name, at):
    counts, shape = np.zeros(61), np.zeros(61)
    counts[30 + at], shape[30 - at] = 7, 7
    return of("directions", name, edges=EDGES, counts=counts.tolist(), shape=shape.tolist())


def test_each_kind_of_step_has_its_histogram_and_the_raw_gradient_its_shape():
    figure = histogram_figure([histogram("sign", 1), histogram("quantized", 2), histogram("raw", 3)])
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["sign", "b = 100", "raw, scaled as b = 100"]
    highest = [int(np.argmax(axes.patches[0].get_data().values)) - 30 for axes in shown]
    assert highest == [1, 2, -3]
    assert shown[0].yaxis.get_major_formatter()(100, 0) == "100"


def test_pictures_are_the_recorded_bytes_with_their_class():
    pixels = np.arange(12, dtype=np.uint8)
    numbers = {"image": [4, 9], "predicted": [1, 8], "shape": [1, 3, 4], "pixels": [pixels.tobytes().hex()] * 2}
    figure = pictures_figure([of("perturbed", "clean", **numbers), of("perturbed", "pgd", **numbers)], {"pgd": "PGD"})
    first, second, third, _ = figure.axes
    assert first.images[0].get_array().tolist() == pixels.reshape(3, 4).tolist()
    assert [axes.get_xlabel() for axes in (first, second)] == ["1", "8"]
    assert (first.get_ylabel(), third.get_ylabel()) == ("clean", "PGD")


def test_dots_lie_at_their_share_in_their_networks_row():
    figure = dots_figure({"A": {"own": 0.25, "transferred": 0.5}, "B": {"own": 0.75}})
    own, transferred = figure.axes[0].lines
    assert own.get_xydata().ravel() == pytest.approx([25.0, 0, 75.0, 1])
    assert transferred.get_xydata().ravel() == pytest.approx([50.0, 0])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["A", "B"]
