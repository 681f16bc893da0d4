"""What plain PGD sees of the loss: how many gradients are zero, and the margins against the limits of float32."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from quantattack.record.deployed import deployed_note
from quantattack.record.findings import Finding, read_findings
from quantattack.record.record import Record
from quantattack.report.colors import LIGHT
from quantattack.report.style import INK, legend, styled

Counts: TypeAlias = NDArray[np.float64]
LIMITS = (24 * np.log(2), 126 * np.log(2), 150 * np.log(2))  # 1 - p is 0, exp(-margin) is subnormal, is 0: in float32
_BINS = 32
_FATES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("zero", "exactly zero", {"facecolor": LIGHT["fooled"], "hatch": "/////"}),
    ("underflowed", "underflows", {"facecolor": LIGHT["wrong"], "hatch": "....."}),
    ("wrong", "points elsewhere", {"facecolor": LIGHT["wrong"], "hatch": "\\\\\\"}),
    ("exact", "as in exact arithmetic", {"facecolor": LIGHT["held"]}),
)


@dataclass(frozen=True, eq=False)
class Seen:
    """What plain PGD climbs on.

    Arguments:
        images: Whose margins these are, in words.
        counts: Number of images in each bin of the margin.
        edges: The bins' edges, in logits.
        limits: Margins where float32 rounds 1 - p to 0, where a wrong class's probability is subnormal, and where it
            is 0, so that cross entropy's gradient is too.
        beyond: Number of images beyond each limit.
        fates: Number of clean images by what cross entropy's gradient is (`zero`, `underflowed`, `wrong`, `exact`);
            empty without a diagnosis.
        stuck: Of the images that PGD leaves, how many got no gradient in a share of the steps, in bins of equal width
            from 0 to 1; empty without a diagnosis.

    """

    images: str
    counts: Counts
    edges: Counts
    limits: tuple[float, ...]
    beyond: tuple[int, ...]
    fates: Mapping[str, int]
    stuck: Sequence[int]

    @property
    def total(self) -> int:
        return int(self.counts.sum())


def seen_of(record: Record) -> Seen | None:
    """Return what plain PGD climbs on: as diagnosed, else where its search ended; None where neither is known."""
    findings = {finding.check: finding for finding in read_findings(record.store.connection, record.subject)}
    return _diagnosed(findings) or _recorded(record)


def _diagnosed(findings: Mapping[str, Finding]) -> Seen | None:
    margins = findings["margins"].data if "margins" in findings else {}
    if not {"counts", "edges", "limits", "beyond"} <= set(margins) or margins.get("dtype") != "float32":
        return None
    values = findings["gradient values"].data if "gradient values" in findings else {}
    failed = {name: int(values.get(name, 0)) for name in ("zero", "underflowed", "wrong")}
    fates = {**failed, "exact": int(values["images"]) - sum(failed.values())} if values.get("images") else {}
    stuck = findings["unavailable gradients"].data.get("shares", ()) if "unavailable gradients" in findings else ()
    counts, edges = (np.asarray(margins[name], dtype=np.float64) for name in ("counts", "edges"))
    words = f"the {int(counts.sum())} clean images of the diagnosis that the network has right"
    return Seen(words, counts, edges, tuple(margins["limits"]), tuple(margins["beyond"]), fates, stuck)


def _recorded(record: Record) -> Seen | None:
    """Return the margins at which plain PGD's search ended; those of a deployed file are the file's, not the twin's."""
    if record.plain_pgd is None or deployed_note(record.store, record.subject.model):
        return None
    margin = record.column(record.plain_pgd, "margin").astype(float)
    margin = margin[np.isfinite(margin)]
    if not len(margin):
        return None
    counts, edges = np.histogram(margin, bins=_BINS)
    beyond = tuple(int((margin > limit).sum()) for limit in LIMITS)
    words = f"the {len(margin)} images at which {record.plain_pgd} ended"
    return Seen(words, counts.astype(np.float64), edges, LIMITS, beyond, {}, ())


def seen_words(seen: Seen) -> str:
    """Say what the figure shows and whose images it is of."""
    above = f"Above: the gradient on {sum(seen.fates.values())} clean images. " if seen.fates else ""
    middle = f"In the middle: the {sum(seen.stuck)} images that PGD leaves. " if seen.stuck else ""
    margins = f"{'Below: m' if above or middle else 'M'}argins of {seen.images}. Dashed: the limits of float32; "
    zero = f"beyond {seen.limits[-1]:.4g} cross entropy's gradient is exactly zero there, on {seen.beyond[-1]} of them."
    return above + middle + margins + zero


def seen_figure(seen: Seen) -> Figure:
    """Draw the fates of the gradients and the share of PGD's steps without one, where known, above the margins."""
    heights = [*([0.55] if seen.fates else []), *([0.9] if seen.stuck else []), 1.5]
    labels = [label for _, label, _ in _FATES] if seen.fates else []
    with styled(labels, 0.75 + 1.25 * sum(heights) / 1.5 + 0.35 * len(heights)) as figure:
        panels = iter(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
        if seen.fates:
            first = next(panels)
            _fates(first, seen.fates)
            legend(figure, first)
        if seen.stuck:
            _stuck(next(panels), seen.stuck)
        _margins(next(panels), seen)
    return figure


def _fates(axes: Axes, fates: Mapping[str, int]) -> None:
    left = 0
    for name, label, look in _FATES:
        axes.barh(0, fates[name], left=left, height=0.7, edgecolor=INK, linewidth=0.5, label=label, gid="bar", **look)
        left += fates[name]
    axes.set_xlim(0, left)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("gradient of cross entropy at the clean images", loc="left", fontsize=8.5, pad=3)


def _stuck(axes: Axes, stuck: Sequence[int]) -> None:
    edges = np.linspace(0, 100, len(stuck) + 1)
    look: Any = {"facecolor": LIGHT["fooled"], "hatch": "/////", "edgecolor": INK, "linewidth": 0.5}
    axes.bar(edges[:-1], stuck, np.diff(edges), align="edge", gid="bar", **look)
    axes.set_xlim(0, 100)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    axes.set_title("share of PGD's steps with a zero gradient (%), per image left", loc="left", fontsize=8.5, pad=3)


def _margins(axes: Axes, seen: Seen) -> None:
    for count, low, high in zip(seen.counts, seen.edges[:-1], seen.edges[1:], strict=True):
        flat = low >= seen.limits[-1]
        look: Any = {"facecolor": LIGHT["fooled"], "hatch": "/////"} if flat else {"facecolor": LIGHT["held"]}
        if count:
            axes.bar(low, count, high - low, align="edge", edgecolor=INK, linewidth=0.5, gid="bar", **look)
    for limit in seen.limits:
        axes.axvline(limit, color=INK, linewidth=1.1, linestyle="--", gid="level")
    axes.set_xlim(min(0.0, seen.edges[0]), max(seen.limits[-1] * 1.08, seen.edges[-1]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.set_xlabel("margin (logits); hatched: wholly beyond the last limit")
    axes.set_ylabel("images")
