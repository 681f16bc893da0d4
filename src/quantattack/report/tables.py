"""A record's numbers as plain tables and sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.record.cell import Cell, broken_matrix, first_complete
from quantattack.record.record import MASKED, Record
from quantattack.record.statistics import wilson
from quantattack.report.bracket import proved_words
from quantattack.report.percent import percent

_REASONS = ("saturated_softmax", "zero_gradient", "wrong_direction")  # flags that explain PGD's failure, first first


@dataclass(frozen=True)
class Share:
    """A share of images, with its 95 % Wilson interval.

    Arguments:
        count: Number of images counted.
        of: Number of images in total.

    """

    count: int
    of: int

    @property
    def value(self) -> float:
        return self.count / self.of if self.of else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.count, self.of)


@dataclass(frozen=True)
class Row:
    """One attack of an evaluation.

    Arguments:
        attack: Name of the attack.
        robust: Robust accuracy under it.
        alone: Number of images that only this attack broke; None until all attacks are complete.
        steps: Median first step that fooled, over the images that were right before; None if no step is known.
        forwards: Mean forward passes per image; None until the attack is complete.
        backwards: Mean backward passes per image; None until the attack is complete.
        seconds: Wall time over all images attacked so far.
        done: Number of images that have an outcome.

    """

    attack: str
    robust: Share
    alone: int | None
    steps: float | None
    forwards: float | None
    backwards: float | None
    seconds: float
    done: int


@dataclass(frozen=True)
class Verdict:
    """Whether PGD's number can be trusted: `masked`, `caution`, `near` or `unknown`, and the same in words."""

    kind: str
    words: str


def interval(share: Share) -> str:
    """Return the 95 % interval of a share in percent."""
    low, high = share.interval
    return f"{100 * low:.1f} to {100 * high:.1f}%" if share.of else "-"


def radius_words(radius: float) -> str:
    """Return a radius as it is usually written: a short decimal, or a fraction of 255."""
    levels = round(radius * 255)
    short = f"{radius:.4g}"
    exact = abs(radius * 255 - levels) < 1e-6 and levels > 0
    return f"{levels}/255" if exact and float(short) != radius else short


def norm_name(threat: dict[str, Any]) -> str:
    """Return the name of a threat's norm, which is stored as a string or as a dict with the name under `part`."""
    norm = threat.get("norm", "")
    return str(norm.get("part", "")) if isinstance(norm, dict) else str(norm)


def threat_words(threat: dict[str, Any]) -> str:
    """Return a threat in a few words: the norm, the radius, and the levels of its pixels if it has any."""
    radius, levels, each = threat.get("radius"), threat.get("levels"), threat.get("each")
    if isinstance(each, dict):
        size = f" {_each_words(each)}"
    else:
        size = "" if radius is None else f" {radius_words(radius) if isinstance(radius, int | float) else radius}"
    return f"{norm_name(threat)}{size}" if levels is None else f"{norm_name(threat)}{size} on {levels} levels"


def _each_words(each: dict[str, Any]) -> str:
    """Return the radii of the pixels in a few words: one by one where there is one for each channel."""
    numbers, shape = each.get("numbers") or [], each.get("shape") or [0]
    if numbers and len(numbers) == shape[0]:
        return "per channel " + ", ".join(radius_words(number) for number in numbers)
    return f"per pixel, at most {radius_words(each.get('most', nan))}"


def clean_share(record: Record) -> Share:
    """Return the clean accuracy, over an attack that has seen every image; of no image until there is one."""
    cell = first_complete(record.by_attack)
    return Share(0, 0) if cell is None else _share(cell.right)


def robust_share(record: Record, name: str) -> Share:
    """Return the robust accuracy under one attack; of no image until the attack is complete."""
    return _robust(record.by_attack[name])


def _robust(cell: Cell) -> Share:
    return _share(~cell.broken) if cell.complete else Share(0, 0)


def worst_share(record: Record) -> Share:
    """Return the worst-case robust accuracy; of no image until every attack is complete."""
    return _share(record.survivors) if record.complete else Share(0, 0)


def _share(images: NDArray[np.bool_]) -> Share:
    return Share(int(images.sum()), len(images))


def broken_by(record: Record) -> NDArray[np.bool_]:
    """Return which attack (row) broke which image (column), over the images that every attack has seen."""
    return broken_matrix(record.by_attack)


def pairs(record: Record) -> NDArray[np.int64]:
    """Return for each pair of attacks how many images the row's attack broke and the column's did not."""
    broken = broken_by(record).astype(np.int64)
    return np.asarray(broken @ (1 - broken).T, dtype=np.int64)


def alone(record: Record) -> dict[str, int | None]:
    """Return for each attack how many images it broke and no other attack did; None until all are complete."""
    if not record.complete:
        return dict.fromkeys(record.attacks)
    broken = broken_by(record)
    single = broken & (broken.sum(axis=0) == 1)
    return dict(zip(record.attacks, single.sum(axis=1).tolist(), strict=True))


def median_steps(record: Record, name: str) -> float | None:
    """Return the median first step that fooled, over the images that were right before the attack."""
    return _median_steps(record.by_attack[name])


def _median_steps(cell: Cell) -> float | None:
    steps = cell.steps[cell.right & cell.broken]
    known = steps[~np.isnan(steps)]
    return float(np.median(known)) if len(known) else None


def attack_rows(record: Record) -> list[Row]:
    """Return the table of an evaluation's attacks, in the order in which they were run."""
    single = alone(record)
    return [_row(cell, single[name]) for name, cell in record.by_attack.items()]


def _row(cell: Cell, single: int | None) -> Row:
    whole = cell.complete and cell.done > 0
    return Row(
        attack=cell.attack,
        robust=_robust(cell),
        alone=single,
        steps=_median_steps(cell) if whole else None,
        forwards=float(cell.column("forwards").mean()) if whole else None,
        backwards=float(cell.column("backwards").mean()) if whole else None,
        seconds=float(cell.column("seconds").sum()),
        done=cell.done,
    )


def strongest(record: Record) -> str | None:
    """Return the attack with the lowest robust accuracy, the first in a tie; None until all attacks are complete."""
    robust = {name: cell.robust for name, cell in record.by_attack.items() if cell.done}
    return min(robust, key=robust.__getitem__, default=None) if record.complete else None


def verdict(record: Record) -> Verdict:
    """Return whether PGD's number can be trusted, in words."""
    gap, codes = record.masking_gap, record.codes
    if not record.complete:
        return Verdict("unknown", "The run is unfinished: nothing is known yet")
    if gap is not None and gap >= MASKED - 1e-9:
        return Verdict("masked", "PGD's number cannot be trusted")
    if gap is None and "masked" in codes:
        return Verdict("masked", "A gradient attack's number cannot be trusted")
    if gap is None:
        return Verdict("unknown", "Ordinary PGD was not run")
    if not checks(record):
        return Verdict("unknown", "Nothing checks PGD's number")
    if codes:
        return Verdict("caution", "PGD is near the worst case, but read the flags")
    return Verdict("near", "PGD is near the worst case")


def checks(record: Record) -> list[str]:
    """Return the attacks that can tell whether PGD's number is true: all but plain PGD and FGSM."""
    return [name for name in record.attacks if name.partition("[")[0] not in ("pgd", "fgsm")]


def headline(record: Record) -> str:
    """Compare plain PGD's robust accuracy with the worst case, in one or two sentences."""
    if not record.complete:
        return _so_far(record)
    return _against_pgd(record) + proved_words(record)


def _against_pgd(record: Record) -> str:
    worst, count = percent(record.worst_case), len(record.attacks)
    if record.plain_pgd is None or record.masking_gap is None:
        return f"The worst case is {worst} robust, over {_attacks(count)}; ordinary PGD was not run."
    if not checks(record):
        says = f"Ordinary PGD says {percent(record.robust(record.plain_pgd))} robust, and nothing checks it"
        return f"{says}: add --attacks standard."
    says = f"Ordinary PGD says {percent(record.robust(record.plain_pgd))} robust; the worst case is {worst}"
    return f"{says}: {_because(record, record.masking_gap)}"


def _so_far(record: Record) -> str:
    """Say how far each attack of an unfinished run has come, and what can no longer be exceeded."""
    images = record.images
    done = ", ".join(f"{name} {count} of {images}" for name, count in record.done.items())
    if isnan(record.at_most):
        return "The run is unfinished: no image has been attacked yet."
    if record.at_most == 1:  # nothing is known yet
        return f"The run is unfinished ({done} images)."
    bound = f"the worst case will be at most {percent(record.at_most)}"
    return f"The run is unfinished ({done} images); {bound}, since what is broken stays broken."


def _because(record: Record, gap: float) -> str:
    points, best = f"{100 * gap:.1f} points", strongest(record)
    if gap >= MASKED - 1e-9 and best is not None:
        how = "after the others" if record.by_attack[best].takes_over else "alone"
        left = f"{best} {how} leaves {percent(record.robust(best))}"
        reasons = [record.codes[code] for code in _REASONS if code in record.codes]
        why = f", because {reasons[0]}" if reasons else ""
        return f"PGD's number cannot be trusted, it is {points} too high ({left}){why}."
    return f"PGD is within {points} of the worst case over {_attacks(len(record.attacks))}."


def _attacks(count: int) -> str:
    return f"{count} attack{'s' if count != 1 else ''}"


def run_headline(records: Sequence[Record]) -> str:
    """Return the verdict on a whole run in a few words."""
    kinds = [verdict(record).kind for record in records]
    if len(records) == 1:
        return verdict(records[0]).words
    if masked := kinds.count("masked"):
        return f"PGD's number cannot be trusted in {masked} of {len(kinds)} evaluations"
    if kinds and all(kind == "near" for kind in kinds):
        return f"PGD is near the worst case in all {len(kinds)} evaluations"
    return "Read the flags before the numbers" if kinds else "Nothing has been evaluated yet"


def leading(records: Sequence[Record]) -> Record | None:
    """Return the evaluation shown first: the one with the largest masking gap."""
    return max(records, key=lambda record: -1.0 if record.masking_gap is None else record.masking_gap, default=None)


def progress_words(record: Record) -> str:
    """Return the progress of an unfinished evaluation; empty for a finished one."""
    if record.finished:
        return ""
    if record.complete:
        return "unfinished: the flags are still to be computed"
    return f"unfinished: {min(record.done.values(), default=0)} of {record.images} images"
