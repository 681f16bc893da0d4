"""The figures of one evaluation and those over several radii, each with its caption and its description in words."""

from markupsafe import Markup

from quantattack.record.record import Record
from quantattack.report.figures import (
    margins,
    margins_figure,
    matrix_figure,
    proved_shares,
    radius_figure,
    radius_groups,
    steps_figure,
)
from quantattack.report.percent import percent
from quantattack.report.seen_gradient import seen_figure, seen_of, seen_words
from quantattack.report.signal_figures import Drawing
from quantattack.report.steps import step_curve
from quantattack.report.style import svg


def drawings(record: Record, place: int) -> list[Drawing]:
    """Return the figures of one evaluation; none of an unfinished one, or of one without images."""
    if not record.complete or not len(record.indices):
        return []
    return [*_seen(record, place), _steps(record, place), _matrix(record, place), *_margins(record, place)]


def _seen(record: Record, place: int) -> list[Drawing]:
    seen = seen_of(record)
    if seen is None:
        return []
    beyond = ", ".join(f"{count} beyond {limit:.4g}" for count, limit in zip(seen.beyond, seen.limits, strict=True))
    described = f"Histogram of {seen.total} margins against the limits of float32: {beyond}."
    picture = svg(seen_figure(seen), f"seen-{place}", described)
    return [Drawing("What ordinary PGD sees", Markup(picture), seen_words(seen))]


def _steps(record: Record, place: int) -> Drawing:
    undrawn = [name for name in record.attacks if step_curve(record, name) is None]
    caption = "Counted from the first step that fooled each image."
    if undrawn:
        caption += f" Not drawn, because they do not say when they broke an image: {', '.join(undrawn)}."
    described = f"Line chart, robust accuracy against steps. At the end: {_ends(record)}."
    picture = svg(steps_figure(record), f"steps-{place}", described)
    return Drawing("Robust accuracy against steps", Markup(picture), caption)


def _ends(record: Record) -> str:
    return ", ".join(f"{name} {percent(record.robust(name))}" for name in record.attacks)


def _matrix(record: Record, place: int) -> Drawing:
    counts = ", ".join(f"{name} {int(record.broken(name).sum())}" for name in record.attacks)
    described = f"One row per attack, one column per image. Broken or wrong before, of {record.images}: {counts}."
    picture = svg(matrix_figure(record), f"matrix-{place}", described)
    caption = "Filled: broken by the attack. Hatched: wrong before any attack. Empty: withstood it."
    return Drawing("Which attack broke which image", Markup(picture), caption)


def _margins(record: Record, place: int) -> list[Drawing]:
    if not margins(record):
        return []
    described = "Histograms of the attacked images' margins, one per attack; left of 0 the model is fooled."
    picture = svg(margins_figure(record), f"margins-{place}", described)
    caption = "The true logit minus the largest other, under the model as it was given."
    return [Drawing("Margins of the attacked images", Markup(picture), caption)]


def radius_drawings(records: list[Record]) -> list[Drawing]:
    """Return a figure for each model and data set that was attacked at several radii."""
    return [_radii(group, place) for place, group in enumerate(radius_groups(records), 1)]


def _radii(group: list[Record], place: int) -> Drawing:
    subject = group[0].subject
    worst = ", ".join(f"{percent(record.worst_case)} at {record.threat['radius']:g}" for record in group)
    numbers = f"Worst case: {worst}.{_proved(group)}"
    described = f"Line chart, robust accuracy of {subject.model} against the radius. {numbers}"
    picture = svg(radius_figure(group), f"radius-{place}", described)
    return Drawing(f"{subject.model} on {subject.data}", Markup(picture), numbers)


def _proved(group: list[Record]) -> str:
    proved = ", ".join(f"{percent(share)} at {radius:g}" for radius, share in proved_shares(group).items())
    return f" Proved: {proved}." if proved else ""
