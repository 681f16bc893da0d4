"""What a record says against itself: its rows against its settings, its cells against each other, without a model."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from quantattack.data.sources import digest
from quantattack.evaluation.task import part_range
from quantattack.record.bounds import BROKEN, PROVED, VERDICTS
from quantattack.record.cell import Cell
from quantattack.record.description import stable
from quantattack.record.identity import Identity, SubjectIdentity
from quantattack.record.record import Record

_ROUNDING = 1e-3  # of the radius: far more than the pixels' rounding, summed over an image, can add
_SHOWN = 5  # images named in a line


def contradictions(record: Record) -> Iterator[str]:
    """Yield a line for each thing that a record says against its own settings or against itself.

    Arguments:
        record: The record of one model, data set and threat.
    """
    subjects = Identity.from_json(record.store.identity).subjects
    about = next((about for about in subjects or () if about.subject == record.subject), None)
    if subjects is not None and about is None:
        yield "its model, data set or threat is none of the run's settings"
    if record.store.finished and not record.complete:
        yield "it is marked as finished, and not every attack has been run on every image"
    yield from _of_bounds(record)
    first = next(iter(record.by_attack.values()), None)
    for name, cell in record.by_attack.items():
        lines = [*_of_outcomes(cell, record.threat.get("radius")), *_of_others(cell, first)]
        if about is not None:
            lines += [*_of_settings(record, cell, about), *_of_images(cell, about), *_of_files(record, cell, about)]
        yield from (f"{name}: {line}" for line in lines)


def _of_bounds(record: Record) -> Iterator[str]:
    """Compare what is proved with what the attacks broke, and the counterexamples with their outcomes."""
    seen = {verdict: [i for i, bound in record.bounds.items() if bound.verdict == verdict] for verdict in VERDICTS}
    for name, cell in record.by_attack.items():
        images = cell.outcomes["image"]
        wrong = images[np.isin(images, seen[PROVED]) & cell.broken]
        if len(wrong):
            yield f"{name}: broken, and proved by complete search{_named(wrong)}"
        without = images[np.isin(images, seen[BROKEN]) & ~cell.broken]
        if cell.certifies and len(without):
            yield f"{name}: broken by complete search, and by none of its images{_named(without)}"


def _of_settings(record: Record, cell: Cell, about: SubjectIdentity) -> Iterator[str]:
    if cell.attack not in about.attacks:
        yield "it is none of the run's attacks"
    elif stable(about.attacks[cell.attack]) != stable(record.settings(cell.attack)):
        yield "its settings are others than the run's"


def _of_images(cell: Cell, about: SubjectIdentity) -> Iterator[str]:
    """Compare the number of images, and their indices where these are known, with the settings."""
    rows = part_range(about.count, about.part) if about.part else slice(0, about.count)
    if cell.images != rows.stop - rows.start:
        yield f"it is of {cell.images} images, and the run of {rows.stop - rows.start}"
    if cell.done > cell.images:
        yield f"it has {cell.done} outcomes of {cell.images} images"
    if about.index_digest == digest({"index": torch.arange(about.count)}):
        image = cell.outcomes["image"]
        strange = image[(image < rows.start) | (image >= rows.stop)]
        if len(strange):
            yield f"it has outcomes of images that the run does not attack{_named(strange)}"


def _of_files(record: Record, cell: Cell, about: SubjectIdentity) -> Iterator[str]:
    kept, right = sum(shard.images for shard in record.store.shards(cell.row)), int(cell.right.sum())
    if about.keep_images and kept != right:
        yield f"its files list {kept} attacked images, and {right} were attacked and kept"


def _of_others(cell: Cell, first: Cell | None) -> Iterator[str]:
    """Compare labels and clean predictions with those of the first attack on the same images."""
    if first is None or first is cell:
        return
    images = np.intersect1d(cell.outcomes["image"], first.outcomes["image"])
    mine, theirs = cell.outcomes[cell.places(images)], first.outcomes[first.places(images)]
    for column, words in (("label", "label"), ("clean_prediction", "clean prediction")):
        differ = mine[column] != theirs[column]
        if differ.any():
            yield f"another {words} than under {first.attack}{_named(images[differ])}"


def _of_outcomes(cell: Cell, radius: object) -> Iterator[str]:
    """Compare the columns of each outcome with one another."""
    rows, unknown = cell.outcomes, np.isnan(cell.outcomes["margin"])
    fooled, margin = rows["prediction"] != rows["label"], rows["margin"]
    largest = radius if isinstance(radius, int | float) else np.inf
    wrong = ~cell.right & ((rows["prediction"] != rows["clean_prediction"]) | (rows["size"] != 0))
    checks = {
        "the sign of the margin is not that of the prediction": ~unknown & np.where(fooled, margin > 0, margin < 0),
        "the perturbation is larger than the threat allows, and counts as inside": rows["inside"]
        & (rows["size"] > largest * (1 + _ROUNDING)),
        "the perturbation has no size": ~(rows["size"] >= 0),
        "wrong from the start, and perturbed": wrong,
        "a cost is negative": (rows["forwards"] < 0) | (rows["backwards"] < 0) | (rows["seconds"] < 0),
    }
    for words, found in checks.items():
        if found.any():
            yield f"{words}{_named(rows['image'][found])}"


def _named(images: NDArray[np.int64]) -> str:
    more = f" and {len(images) - _SHOWN} more" if len(images) > _SHOWN else ""
    return f", image {', '.join(map(str, images[:_SHOWN].tolist()))}{more}"
