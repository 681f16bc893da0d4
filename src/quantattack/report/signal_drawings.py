"""Which figures of a run's signals and of a reproduced paper the page shows, each with what it says in words."""

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup
from matplotlib.figure import Figure

from quantattack.record.signals import Signal, read_signals
from quantattack.record.store import Record, Store
from quantattack.report.signal_figures import (
    Drawing,
    gradient_figure,
    hessian_figure,
    iterations_figure,
    radii_figure,
    rho_figure,
    sign_figure,
    softmax_figure,
    spectrum_figure,
    step_sizes_figure,
    transfer_figure,
)
from quantattack.report.signal_tables import measured
from quantattack.report.style import svg
from quantattack.report.tables import percent

OfRecords = Callable[[Sequence[Record]], Figure]
OfSignals = Callable[[Sequence[Signal]], Figure]

# title, figure, caption; the figures of a paper's item are of its attacks
ATTACKS: Mapping[str, tuple[str, OfRecords, str]] = {
    "figure1a": (
        "Robust accuracy against iterations",
        iterations_figure,
        "Counted from the first iterate that fooled. A curve that stays up where another attack breaks the network "
        "shows the attack's failure.",
    ),
    "figure1b": (
        "Robust accuracy against the radius",
        radii_figure,
        "At a radius of the whole pixel range a sound attack leaves nothing.",
    ),
    "figure1c": (
        "White box against black box",
        transfer_figure,
        "Where images made on another network fool more, the attack on the network itself has failed.",
    ),
    "figure4": (
        "Robust accuracy against the step size",
        step_sizes_figure,
        "A lost gradient is no matter of the step size: where it is lost, no step size brings the curve down.",
    ),
    "table11": ("Robust accuracy against rho", rho_figure, "PGD++ with NJS."),
    "table13": ("Robust accuracy against rho", rho_figure, "PGD at the temperature of Proposition 1 alone."),
}
CURVES: tuple[tuple[str, str, OfSignals, str], ...] = (
    (
        "figure2",
        "The softmax and the error signal against beta",
        softmax_figure,
        "A large beta saturates the softmax: its Jacobian and the error signal go to zero.",
    ),
    (
        "figure3",
        "The Hessian's norm against beta",
        hessian_figure,
        "Marked: the beta that each temperature chooses for this image. Unscaled is 1.",
    ),
    (
        "figure5",
        "The input gradient against beta",
        gradient_figure,
        "In exact arithmetic.",
    ),
    (
        "figure5",
        "The sign of the input gradient against beta",
        sign_figure,
        "Exact arithmetic keeps every sign at any beta; with float32's softmax pixels fall out, and at last all.",
    ),
)
SPECTRUM = "Every image and class; scaling moves the whole histogram."


def signal_drawings(store: Store) -> list[Drawing]:
    """Return the figures of a run's signals and of the paper's item that it reproduces."""
    item, signals = str(store.notes.get("reproduces", {}).get("item", "")), read_signals(store.connection)
    drawn = [_of_attacks(item, store.records())] if item in ATTACKS and _complete(store) else []
    if measured(signals, "curves"):
        drawn += [_of_signals(place, part, signals) for place, part in enumerate(CURVES) if _wanted(item, part[0])]
    if measured(signals, "singular_values") and not item.startswith("figure"):
        picture = Markup(svg(spectrum_figure(signals), "spectrum", _spectra_words(signals)))
        drawn.append(Drawing("Singular values of the Jacobian", picture, SPECTRUM))
    return drawn


def _complete(store: Store) -> bool:
    """Whether every evaluation has images that all its attacks have seen: an interrupted run has not."""
    return bool(store.records()) and all(len(record.indices) for record in store.records())


def _wanted(item: str, figure: str) -> bool:
    """Whether a figure belongs to the page: all of them, unless the run reproduces another one."""
    return not item.startswith("figure") or item == figure


def _of_attacks(item: str, records: Sequence[Record]) -> Drawing:
    title, figure, caption = ATTACKS[item]
    ends = "; ".join(
        f"{record.subject.model} at {record.threat['radius']:.3g}: "
        + ", ".join(f"{name} {percent(record.robust(name))}" for name in record.attacks)
        for record in records
    )
    picture = svg(figure(records), item, f"{title}. {ends}.")
    return Drawing(title, Markup(picture), caption)


def _of_signals(place: int, part: tuple[str, str, OfSignals, str], signals: Sequence[Signal]) -> Drawing:
    _, title, figure, caption = part
    chosen = ", ".join(f"{one.model} image {one.numbers['image']}" for one in measured(signals, "curves"))
    picture = svg(figure(signals), f"curve-{place}", f"Line chart. {title}, for {chosen}. {caption}")
    return Drawing(title, Markup(picture), f"{caption} The image is the one with the median margin.")


def _spectra_words(signals: Sequence[Signal]) -> str:
    found = measured(signals, "singular_values")
    means = ", ".join(f"{one.model} {one.temperature} {one.numbers['mean']:.3g}" for one in found)
    return f"Histograms of the singular values of the input-output Jacobian. Means: {means}."


def paper_words(store: Store) -> str:
    """Return what a run's signals are of: the paper's table or figure that they reproduce, or themselves."""
    paper = store.notes.get("reproduces", {})
    item = str(paper.get("item", ""))
    if not item:
        return "Signal propagation"
    kind = "Table" if item.startswith("table") else "Figure"
    return f"{kind} {item.removeprefix(kind.lower())} of {paper['source'].rpartition(',')[0]}"
