import xml.etree.ElementTree as ET

import numpy as np
import pytest

from quantattack.errors import InputError
from quantattack.record.signals import read_signals
from quantattack.report import signal_figures
from quantattack.report.style import svg

from .signal_runs import GAPS, NETS, signal_run
from .test_figures import groups, legend, texts

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = ["softmax_figure", "hessian_figure", "gradient_figure", "sign_figure", "spectrum_figure"]


@pytest.fixture
def signals():
    return read_signals(signal_run().connection)


def lines(axes, gid="series"):
    return {line.get_label(): line for line in axes.lines if line.get_gid() == gid}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_a_panel_for_each_network_and_its_labels(signals, name):
    figure = getattr(signal_figures, name)(signals)
    assert len(figure.axes) == len(NETS)
    assert [axes.get_title(loc="left").split(",")[0] for axes in figure.axes] == list(NETS)
    root = ET.fromstring(svg(figure, "x", "what it shows").replace("xlink:href", "href"))
    assert len(groups(root, "series")) == sum(len(lines(axes)) for axes in figure.axes) >= 2
    assert set(legend(figure)) <= set(texts(root))


@pytest.mark.parametrize("name", FIGURES)
def test_no_two_series_of_a_figure_look_alike_without_color(signals, name):
    axes = getattr(signal_figures, name)(signals).axes[0]
    drawn = [line for line in axes.lines if line.get_gid() in ("series", "mark")]
    assert len({(line.get_linestyle(), line.get_marker()) for line in drawn}) == len(drawn)


def test_the_softmax_figure_shows_a_tenth_of_the_error(signals):
    for axes, name in zip(signal_figures.softmax_figure(signals).axes, NETS, strict=True):
        error = lines(axes)["0.1 of the error signal's norm"]
        p = 1 / (1 + np.exp(error.get_xdata() * GAPS[name]))
        assert error.get_ydata() == pytest.approx(0.1 * np.sqrt(2) * p, rel=1e-3)
        assert error.get_xdata().max() * GAPS[name] == pytest.approx(24, rel=0.02)


def test_the_hessian_figure_marks_what_each_temperature_chooses(signals):
    for axes, name in zip(signal_figures.hessian_figure(signals).axes, NETS, strict=True):
        (curve,) = lines(axes).values()
        marks = lines(axes, "mark")
        assert list(marks) == ["NJS", "HNS paper", "HNS", "Gap"]
        peak = curve.get_xdata()[np.argmax(curve.get_ydata())]
        assert marks["Gap"].get_xdata()[0] == pytest.approx(2.3994 / GAPS[name], rel=1e-4)
        assert abs(marks["Gap"].get_xdata()[0] - peak) * GAPS[name] < 0.33  # a step of the grid by hand
        assert marks["Gap"].get_ydata()[0] == pytest.approx(curve.get_ydata().max(), rel=0.01)


def test_a_choice_beyond_the_axis_is_not_drawn(signals):
    curve = next(one for one in signals if one.quantity == "curves")
    curve.numbers["marks"]["njs"] = 13 / GAPS[curve.model]
    assert "NJS" not in lines(signal_figures.hessian_figure([curve]).axes[0], "mark")


def test_the_sign_figure_reaches_to_where_float32_ends(signals):
    for axes, name in zip(signal_figures.sign_figure(signals).axes, NETS, strict=True):
        found = lines(axes)
        assert found["exact"].get_ydata().tolist() == [8] * 400
        gone = found["float32"].get_xdata()[found["float32"].get_ydata() == 0]
        assert gone.min() * GAPS[name] == pytest.approx(104, abs=0.4)


def test_the_spectrum_moves_with_the_scale(signals):
    axes = signal_figures.spectrum_figure(signals).axes[0]
    peaks = {label: line.get_xdata()[np.argmax(line.get_ydata())] for label, line in lines(axes).items()}
    assert peaks["NJS"] == pytest.approx(0.3 * peaks["unscaled"])
    assert axes.get_xscale() == "log"


def test_normalized_pixels_are_shown_where_both_are_there():
    signals = read_signals(signal_run(units=("pixel", "normalized")).connection)
    assert {one.unit for one in signal_figures.measured(signals, "curves")} == {"normalized"}
    assert "(normalized pixels)" in signal_figures.spectrum_figure(signals).axes[-1].get_xlabel()
    pixels = [one for one in signals if one.unit == "pixel"]
    assert "(pixels from 0 to 1)" in signal_figures.spectrum_figure(pixels).axes[-1].get_xlabel()


def test_a_record_without_curves_says_so():
    with pytest.raises(InputError, match="holds no curves"):
        signal_figures.hessian_figure([])
