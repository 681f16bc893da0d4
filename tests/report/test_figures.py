import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from quantattack.record.store import Store
from quantattack.report import style
from quantattack.report.colors import DARK, LIGHT
from quantattack.report.figures import (
    margins_figure,
    matrix_figure,
    radius_figure,
    radius_groups,
    steps_figure,
)
from quantattack.report.steps import fall_steps, step_curve

from .conftest import IMAGES, outcome, subject, write

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def masked(records):
    return records[0]


def drawn(figure, name="x"):
    return ET.fromstring(style.svg(figure, name, 'what "it" shows & why').replace("xlink:href", "href"))


def groups(root, kind):
    return [group for group in root.iter(f"{SVG}g") if group.get("class") == kind]


def marks(group):
    return [part for part in group.iter() if part.tag in (f"{SVG}path", f"{SVG}use") and part.get("d") != ""]


def texts(root):
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_curve_counts_from_the_first_step_that_fooled(masked):
    curve = step_curve(masked, "pgd")
    share = [39, 39, 38, 38, 37, 37, 36]  # image 0 is wrong before, 1 and 2 fall at 10 and 20, 3 at an unknown step
    assert (curve.robust[[0, 9, 10, 19, 20, 39, 40]] * IMAGES).round(9).tolist() == share
    assert curve.steps.tolist() == list(range(41))


def test_a_curve_starts_below_clean_where_the_start_point_fools(masked):
    curve = step_curve(masked, "pgd_plus_gap")
    assert curve.robust[0] * IMAGES == 39 - len(range(5, 38, 5))


@pytest.mark.parametrize("name", ["pgd", "pgd_plus_gap"])
def test_a_curve_ends_at_the_records_robust_accuracy(masked, name):
    curve = step_curve(masked, name)
    assert curve.robust[-1] == pytest.approx(masked.robust(name), abs=1e-12)
    assert (np.diff(curve.robust) <= 0).all()


def test_the_steps_of_restarts_that_failed_are_counted(masked):
    assert np.isnan(fall_steps(masked, "pgd")[3])
    store = Store.open(None, {})
    store.write(store.cell(subject(), "pgd", {"steps": 40}, 1), [replace(outcome(1, step=7, fooled=True), restart=2)])
    assert fall_steps(store.records()[0], "pgd").tolist() == [87]


def test_an_attack_that_does_not_say_when_has_no_curve(masked):
    assert step_curve(masked, "square") is None
    assert legend(steps_figure(masked)) == ["pgd", "pgd_plus_gap", "clean accuracy", "worst case over all attacks"]


def test_the_steps_figure_has_its_marks_and_labels(masked):
    root = drawn(steps_figure(masked))
    series = groups(root, "series")
    assert len(series) == 2
    assert all(len(marks(group)) >= 2 for group in series)  # the line and at least one marker
    assert len(groups(root, "level")) == 2
    expected = {
        "pgd",
        "pgd_plus_gap",
        "robust accuracy (%)",
        "steps or queries taken (0 is the start point)",
        "clean accuracy",
    }
    assert expected <= set(texts(root))


def test_many_steps_are_drawn_on_a_logarithmic_axis():
    store = Store.open(None, {})
    write(store, subject(), "square", {i: 10 ** (i % 4) for i in range(1, 30)}, steps=5000)
    axes = steps_figure(store.records()[0]).axes[0]
    assert axes.get_xscale() == "symlog"
    assert axes.get_xticks().tolist() == [0, 1, 10, 100, 1000]


def test_no_two_series_look_alike_without_color():
    looks = [style.look(place) for place in range(20)]
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks}) == 20


def luminance(color):
    channels = np.array([int(to_hex(color)[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "tick", *(name for name in LIGHT if name.startswith("series"))])
def test_lines_and_letters_stand_out_from_the_paper(colors, name):
    dark, light = sorted([luminance(colors[name]), luminance(colors["paper"])])
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG's contrast for text


def test_every_color_has_a_dark_one():
    assert list(DARK) == list(LIGHT)
    assert len(set(LIGHT.values())) == len(LIGHT)


def test_every_color_of_a_figure_is_a_variable_with_its_own_value(records):
    for figure in (steps_figure(records[0]), matrix_figure(records[0]), margins_figure(records[0])):
        text = style.svg(figure, "x", "y")
        named = re.findall(r"var\(--figure-([\w-]+), (#\w{6})\)", text)
        assert len(named) == len(re.findall(r"#[0-9a-f]{6}\b", text)) > 10
        assert all(LIGHT[name] == color for name, color in named)


def test_radii_are_grouped_by_model_and_ascend(records):
    (group,) = radius_groups(records)
    assert [record.threat["radius"] for record in group] == [0.1, 0.2]
    assert radius_groups(records[1:]) == []


def test_the_radius_figure_has_the_records_numbers(records):
    (group,) = radius_groups(records)
    figure = radius_figure(group)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert legend(figure) == ["pgd", "pgd_plus_gap", "square", "worst case", "clean accuracy"]
    assert lines["worst case"].get_ydata() == pytest.approx([50.0, 2.5])
    assert lines["pgd"].get_ydata() == pytest.approx([95.0, 90.0])
    assert lines["square"].get_xdata() == [0.2]
    root = drawn(figure)
    assert len(groups(root, "series")) == 5
    assert all(marks(group) for group in groups(root, "series"))
    assert "radius (Linf norm, pixels from 0 to 1)" in texts(root)


def test_the_matrix_has_its_marks_and_labels(masked):
    root = drawn(matrix_figure(masked))
    series = groups(root, "series")
    assert len(series) == len(masked.attacks)
    assert len(groups(root, "wrong")) == len(masked.attacks)
    assert [len(marks(group)) for group in series] == [1, 2, 2]  # images that lie together are one bar
    assert {"pgd", "pgd_plus_gap", "square", "4 of 40", "38 of 40", "10 of 40"} <= set(texts(root))


def test_the_matrix_bars_cover_the_broken_images(masked):
    axes = matrix_figure(masked).axes[0]
    bars = [part for part in axes.collections if part.get_gid() == "series"]
    widths = [sum(np.ptp(path.vertices[:, 0]) for path in part.get_paths()) for part in bars]
    assert widths == [masked.broken(name).sum() - 1 for name in masked.attacks]  # image 0 is drawn as wrong before


def test_the_margins_have_a_bar_for_each_filled_bin(masked):
    figure = margins_figure(masked)
    heights = [sum(bar.get_height() for bar in axes.patches) for axes in figure.axes]
    assert heights == [IMAGES] * 3
    bars = sum(len(axes.patches) for axes in figure.axes)
    assert len(groups(drawn(margins_figure(masked)), "bar")) == bars > 30


def test_fooled_margins_are_hatched(masked):
    for axes, name in zip(margins_figure(masked).axes, masked.attacks, strict=True):
        fooled = sum(bar.get_height() for bar in axes.patches if bar.get_hatch())
        assert fooled == masked.broken(name).sum()
        assert all((bar.get_x() < 0) == bool(bar.get_hatch()) for bar in axes.patches)


def test_a_dollar_sign_is_no_mathematics():
    store = Store.open(None, {})
    write(store, subject(), "a$b$c", {1: 1})
    assert "a$b$c" in texts(drawn(steps_figure(store.records()[0])))


def test_an_svg_is_described_and_keeps_its_ids_to_itself(masked):
    text = style.svg(matrix_figure(masked), "one", 'what "it" shows & why')
    root = ET.fromstring(text)
    assert root.find(f"{SVG}title").text == 'what "it" shows & why'
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "one-title")
    assert root.get("width") is None
    assert root.get("viewBox")
    assert all(part.get("id").startswith("one-") for part in root.iter() if part.get("id"))
    ids = {part.get("id") for part in root.iter()}
    links = {part.get("{http://www.w3.org/1999/xlink}href") for part in root.iter(f"{SVG}use")} - {None}
    assert links
    assert {link[1:] for link in links} <= ids


def test_the_same_record_gives_the_same_svg(masked):
    assert style.svg(steps_figure(masked), "a", "d") == style.svg(steps_figure(masked), "a", "d")


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("name", ["pgd", "pgd_margin[steps=50,restarts=20]"])
def test_a_legend_leaves_the_curves_their_room(count, name):
    store = Store.open(None, {})
    for place in range(count):
        write(store, subject(), f"{name}{place}", {1: 1})
    figure = steps_figure(store.records()[0])
    style.svg(figure, "x", "y")
    assert figure.axes[0].get_position().height * figure.get_figheight() > 1.5  # inches
