"""Which figures of a run's signals the page shows, each with what it says in words."""

from collections.abc import Callable, Sequence

from markupsafe import Markup
from matplotlib.figure import Figure

from quantattack.record.signals import Signal, read_signals
from quantattack.record.store import Store
from quantattack.report.signal_figures import (
    Drawing,
    gradient_figure,
    hessian_figure,
    sign_figure,
    softmax_figure,
    spectrum_figure,
)
from quantattack.report.signal_tables import measured
from quantattack.report.style import svg

OfSignals = Callable[[Sequence[Signal]], Figure]

# title, figure, caption
CURVES: tuple[tuple[str, OfSignals, str], ...] = (
    (
        "The softmax and the error signal against beta",
        softmax_figure,
        "A large beta saturates the softmax: its Jacobian and the error signal go to zero.",
    ),
    (
        "The Hessian's norm against beta",
        hessian_figure,
        "Marked: the beta that each temperature chooses for this image. Unscaled is 1.",
    ),
    (
        "The input gradient against beta",
        gradient_figure,
        "In exact arithmetic.",
    ),
    (
        "The sign of the input gradient against beta",
        sign_figure,
        "Exact arithmetic keeps every sign at any beta; with float32's softmax pixels fall out, and at last all.",
    ),
)
SPECTRUM = "Every image and class; scaling moves the whole histogram."


def signal_drawings(store: Store) -> list[Drawing]:
    """Return the figures of a run's signals."""
    signals = read_signals(store.connection)
    drawings = [_curve(place, signals) for place in range(len(CURVES))] if measured(signals, "curves") else []
    return drawings + ([_spectra(signals)] if measured(signals, "singular_values") else [])


def _curve(place: int, signals: Sequence[Signal]) -> Drawing:
    title, figure, caption = CURVES[place]
    chosen = ", ".join(f"{signal.model} image {signal.numbers['image']}" for signal in measured(signals, "curves"))
    picture = svg(figure(signals), f"curve-{place}", f"Line chart. {title}, for {chosen}. {caption}")
    return Drawing(title, Markup(picture), f"{caption} The image is the one with the median margin.")


def _spectra(signals: Sequence[Signal]) -> Drawing:
    means = ", ".join(
        f"{signal.model} {signal.temperature} {signal.numbers['mean']:.3g}"
        for signal in measured(signals, "singular_values")
    )
    words = f"Histograms of the singular values of the input-output Jacobian. Means: {means}."
    return Drawing(
        "Singular values of the Jacobian", Markup(svg(spectrum_figure(signals), "spectrum", words)), SPECTRUM
    )
