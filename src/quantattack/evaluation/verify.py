"""Recomputes the verdicts of a record from the model, the data and the saved images, and lists each mismatch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from quantattack.attacks.threat import Threat
from quantattack.data.sources import Source, digest
from quantattack.errors import InputError
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.judge import SLACK
from quantattack.evaluation.models import CountedModel, model_checksum
from quantattack.evaluation.saved_images import load_shard
from quantattack.gradients import placement
from quantattack.record.identity import Identity
from quantattack.record.outcome import Outcome, Shard
from quantattack.record.record import Record
from quantattack.record.shards import checksum
from quantattack.types import Images, Indices, Model

_BATCH = 64  # images


@dataclass(frozen=True)
class Verified:
    """The result of a verification.

    Arguments:
        clean: Number of images whose clean prediction was recomputed.
        attacked: Number of outcomes that were recomputed from saved images.
        unsaved: Number of outcomes without a saved image, of which only the clean prediction was checked.
        files: Number of image files whose checksum was recomputed.
        wrong: One line per mismatch; empty if the record is confirmed.
    """

    clean: int
    attacked: int
    unsaved: int
    files: int
    wrong: tuple[str, ...]


def verify(record: Record, model: Model, source: Source, threat: Threat) -> Verified:
    """Recompute the verdicts of a record from its saved images and the model.

    Arguments:
        record: The record of one model, data set and threat.
        model: The model that was evaluated.
        source: The whole data set; positions in it are the record's image indices.
        threat: The threat of the record.

    Raises:
        InputError: If the record is in memory only, or has an index beyond the data set.
    """
    if record.store.folder is None:
        raise InputError("only a record in a folder can be verified")
    counted = CountedModel(model)
    mismatches = [*_checksum_mismatches(record, model, source)]
    clean, lines = _verify_clean(record, counted, source)
    mismatches += lines
    attacked, unsaved, files = 0, 0, 0
    for name, cell in record.cells.items():
        outcomes = {outcome.image: outcome for outcome in record.outcomes(name)}
        right = sum(outcome.clean_prediction == outcome.label for outcome in outcomes.values())
        saved = 0
        for shard in record.store.shards(cell):
            count, lines = _verify_shard(record.store.folder, shard, outcomes, counted, source, threat)
            mismatches += [f"{name}: {line}" for line in lines]
            saved, files = saved + count, files + 1
        attacked, unsaved = attacked + saved, unsaved + right - saved
    return Verified(clean, attacked, unsaved, files, tuple(mismatches))


def _checksum_mismatches(record: Record, model: Model, source: Source) -> Iterator[str]:
    """Yield a line for each checksum of the model and the data set that differs from the one recorded at the start.

    A record's data checksum covers its own images, so it is compared only if these are the whole data set.
    """
    for subject in Identity.from_json(record.store.identity).subjects or ():
        if subject.model == record.subject.model and subject.model_checksum != model_checksum(model):
            yield f"the model {record.subject.model} has another checksum than when it was evaluated"
        every = digest({"index": torch.arange(subject.count)})
        is_whole = subject.count == len(source) and subject.index_digest == every
        if subject.data == record.subject.data and is_whole and subject.data_checksum != source.checksum():
            yield f"the data set {record.subject.data} has another checksum than when it was attacked"


def _verify_clean(record: Record, counted: CountedModel, source: Source) -> tuple[int, list[str]]:
    """Recompute the clean predictions; return how many, and a line for each label or prediction that differs."""
    name = max(record.attacks, key=lambda attack: len(record.column(attack, "image")))
    index, label, before = (
        record.column(name, column).astype(int) for column in ("image", "label", "clean_prediction")
    )
    if not len(index):
        return 0, []
    _check_range(index, source)

    def differing(rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        images, labels = source.take(index[list(rows)].tolist())
        return labels.numpy() != label[list(rows)], _classes(counted, images) != before[list(rows)]

    batches = list(BatchSizer(_BATCH, fixed=True).parts(range(len(index)), differing))
    other_label, other_prediction = (np.concatenate(columns) for columns in zip(*batches, strict=True))
    lines = [f"image {image} has another label in the data set" for image in index[other_label]]
    return len(index), lines + [f"clean image {image} has another prediction" for image in index[other_prediction]]


def _check_range(index: np.ndarray, source: Source) -> None:
    if len(index) and index.max() >= len(source):
        raise InputError(f"the record is of image {index.max()}, the data set has {len(source)}; name the same data")


def _classes(counted: CountedModel, images: Images) -> np.ndarray:
    device, dtype = placement(counted)
    with torch.no_grad():
        return np.asarray(counted(images.to(device, dtype)).argmax(1).cpu())


def _verify_shard(
    folder: Path, shard: Shard, outcomes: dict[int, Outcome], counted: CountedModel, source: Source, threat: Threat
) -> tuple[int, list[str]]:
    """Verify the images of one file; return how many it holds, and a line for each mismatch."""
    path = folder / shard.file
    if not path.is_file():
        return 0, [f"{shard.file} is missing"]
    if checksum(path) != shard.sha256:
        return 0, [f"{shard.file} has another checksum than when it was written"]
    index, images = load_shard(path)
    lines = [f"{shard.file} holds {len(index)} images, not {shard.images}"] if len(index) != shard.images else []
    for rows in torch.split(torch.arange(len(index)), _BATCH):
        lines += _mismatches(index[rows], images[rows], outcomes, counted, source, threat)
    return len(index), lines


def _mismatches(
    index: Indices, images: Images, outcomes: dict[int, Outcome], counted: CountedModel, source: Source, threat: Threat
) -> Iterator[str]:
    """Yield a line for each image whose prediction, or whether it is inside the threat, differs from its outcome."""
    _, dtype = placement(counted)
    clean = source.take(index.tolist())[0].to(dtype)
    attacked = images.to(dtype)
    inside = threat.contains(attacked, clean, SLACK)
    for image, prediction, within in zip(index.tolist(), _classes(counted, attacked), inside.tolist(), strict=True):
        outcome = outcomes.get(image)
        if outcome is None:
            yield f"image {image} was saved and has no outcome"
        elif outcome.prediction != prediction:
            yield f"image {image} is predicted as {prediction}, the record says {outcome.prediction}"
        elif outcome.inside != within:
            yield f"image {image} is {'inside' if within else 'outside'} the threat, the record says otherwise"
